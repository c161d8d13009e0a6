"""Where a table's changes go: topic, shard, and the columns that are its key."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from contracts.errors import Invalid
from contracts.progress import shard_of
from contracts.table import TableId, TableSchema
from contracts.topics import Topics
from streamer.core.schemas import with_key


@dataclass(frozen=True, slots=True)
class Message:
    """A record to be produced. Rows go to partition 0 of their topic, barriers to their shard's partition of `progress`."""

    topic: str
    key: bytes | None
    value: bytes
    partition: int = 0


@dataclass(frozen=True, slots=True)
class TableChoice:
    """What the settings say of one table. `needs_key`: a mode was asked for that loads rows by their key; `append`: the one that loads
    every event."""

    key: tuple[str, ...] | None = None
    shard: int | None = None
    needs_key: bool = False
    append: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """Which tables are captured, and what is chosen for some of them. `patterns`: the `db.table` patterns that `captures` comes from;
    `names`: these, those of what is excluded, and the tables something is chosen for, as the settings spell them."""

    topics: Topics
    shards: int
    captures: Callable[[TableId], bool]
    patterns: tuple[str, ...] = ()
    tables: Mapping[TableId, TableChoice] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def of(self, table: TableId) -> TableChoice:
        return self.tables.get(table, TableChoice())

    def appends(self, schema: TableSchema) -> bool:
        """Whether the table's target holds every event, and not a row for each key. `schema`: under the key of its `Route`."""
        choice = self.of(schema.table)
        return choice.append or not (schema.key or choice.needs_key)

    def topic(self, table: TableId) -> str:
        return self.topics.rows(table)

    def shard(self, table: TableId) -> int:
        return shard_of(self.topic(table), self.shards, self.of(table).shard)

    def refuse_moved(self, tables: Iterable[TableId], shards: Mapping[str, int]) -> None:
        """`shards`: those in which topics have rows. Another one has none of the table's offsets: it would load all its rows a second time.
        Raises Invalid, naming what keeps every table where it is."""
        held = {table: shard for table in tables if (shard := shards.get(self.topic(table))) is not None}
        moved = [f"tables.override.{table}.shard: {shard}" for table, shard in held.items() if self.shard(table) != shard]
        if moved:
            raise Invalid(
                f"a table's shard is fixed once there are rows of it, and the settings give another to {len(moved)} of them. Set"
                f" {', '.join(moved[:10])}{', …' if len(moved) > 10 else ''}"
            )


@dataclass(frozen=True, slots=True)
class Route:
    """A table's topic and shard, and its schema under the key that names its rows on Kafka."""

    topic: str
    shard: int
    schema: TableSchema


def route(schema: TableSchema, choices: Choices) -> Route:
    """The route of a table as one row event, or one SELECT, saw it (`schema`, with the key it had at that moment: see TableMap.schema).

    Key: the configured columns, else the schema's own, else none. The server is not asked: what is a key there now may not have been one
    when the row was written, and two rows would be taken for one. Raises Invalid for configured columns the table has not.
    """
    table = schema.table
    if (configured := choices.of(table).key) is not None:
        schema = with_key(schema, configured)
    return Route(choices.topic(table), choices.shard(table), schema)


def schema_message(topics: Topics, way: Route) -> Message:
    """The record that tells readers what a fingerprint stands for."""
    return Message(topics.schemas, f"{way.topic}/{way.schema.fingerprint}".encode(), way.schema.encode())
