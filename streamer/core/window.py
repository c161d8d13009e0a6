"""What changed in a part of the binlog: which rows, by their Kafka keys, or as the row events themselves; and which tables lost rows that
it does not name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contracts.envelope import Envelope
from contracts.position import Gtid, GtidSet
from contracts.table import TableId, TableSchema
from streamer.core.ddl import DatabaseDropped, Verb
from streamer.core.decoder import Chunk, Decoder, Record, Shown, Step, Unrouted
from streamer.core.names import Spelling, as_typed
from streamer.core.route import Choices, route
from streamer.core.schemas import TableMap
from streamer.core.transactions import Began, Ddl, EventJudge

ROWS_MAX = 30_000  # decoded at a time


@dataclass(slots=True)
class Changed:
    """A table that changed. `key_forms`: of the schemas its rows were decoded by. `emptied`: the statement that took rows it does not name,
    the last one; empty for none. `keyless`: its rows have no keys. `events`: how many row events of it there are, where those are looked
    for; `last_us`: by the fingerprint of each schema that rows were decoded by, when the last of them was committed."""

    table: TableId
    key_forms: set[str] = field(default_factory=set)
    emptied: str = ""
    keyless: bool = False
    events: int = 0
    last_us: dict[str, int] = field(default_factory=dict)


class EventSink(Protocol):
    """Takes the row events of a window, in their order."""

    def take(self, schema: TableSchema, records: Sequence[Record], commit_us: int) -> None:
        """Records of the transaction under way, all of one table, and when it was committed."""

    def ended(self, commit_us: int) -> None:
        """The transaction under way is whole; it may have had no records."""


class WindowScan:
    """Takes the steps of a decoder, in order. `tables`: what changed, by topic. `left`: transactions still to come. `files`: binlog files
    that hold those that came."""

    def __init__(
        self,
        choices: Choices,
        captures: Callable[[TableId], bool],
        wanted: GtidSet,
        decoder: Decoder,
        found: Callable[[str, Sequence[bytes]], None],
        *,
        again: bool = False,
        events: EventSink | None = None,
        spell: Spelling = as_typed,
    ) -> None:
        """`captures`: of which tables to look at changes, all of them captured. `wanted`: the transactions to look at. `found`: told
        the topic and the keys of changes, as often as they occur. `again`: of append tables row events are looked for instead, and `events`
        takes them. `spell`: how the server spells names."""
        self._choices = choices
        self._judge = EventJudge(captures, spell)
        self._wanted = wanted
        self._decoder = decoder
        self._found = found
        self._again = again
        self._events = events
        self._schemas: dict[str, TableSchema] = {}  # by topic, of its rows to come
        self.left = wanted.count()
        self.tables: dict[str, Changed] = {}
        self.files: list[str] = []

    def take(self, step: Step) -> None:
        """Raises as EventJudge.judge and `route` do."""
        if isinstance(step, Chunk):
            self._chunk(step)
        elif isinstance(step, Unrouted):
            self._table(step.table)
        else:
            self._shown(step)

    def steps(self) -> Iterator[Step]:
        """What the decoder makes of what it was fed. A step ends at every commit, so it holds rows of one transaction."""
        while self.left and (step := self._decoder.next(0, ROWS_MAX)) is not None:
            yield step

    def _chunk(self, chunk: Chunk) -> None:
        wanted = chunk.commits.gtids if chunk.commits is not None else GtidSet()
        if chunk.in_progress is not None:
            wanted = wanted.with_gtid(chunk.in_progress.gtid)
        if wanted.is_subset(self._wanted):
            commit_us = _commit_us(chunk) if self._again and chunk.records else 0
            for rows in chunk.records:
                self._rows(rows.topic, rows.records, commit_us)
            if chunk.commits is not None:
                self._came(chunk.commits.count)
        if chunk.commits is not None and self._events is not None:
            self._events.ended(chunk.commits.newest_us)

    def _rows(self, topic: str, records: Sequence[Record], commit_us: int) -> None:
        """Of one transaction. `commit_us`: told where events are looked for."""
        schema = self._schemas[topic]
        if self._again:
            last_us = self.tables[topic].last_us
            last_us[schema.fingerprint] = max(commit_us, last_us.get(schema.fingerprint, 0))
        if not (self._again and self._choices.appends(schema)):
            self._found(topic, [key for record in records if (key := record["key"]) is not None])
            return
        self.tables[topic].events += len(records)
        if self._events is not None:
            self._events.take(schema, records, commit_us)

    def _came(self, count: int) -> None:
        self.left -= count
        file = self._decoder.position.file
        if file not in self.files[-1:]:
            self.files.append(file)

    def _table(self, table: TableMap) -> None:
        if not self._judge.captures(table.table):
            self._decoder.ignore(table)
            return
        way = route(table.schema, self._choices)
        changed = self._changed(table.table)
        if way.schema.key:
            changed.key_forms.add(way.schema.key_form)
        else:
            changed.keyless = True
        if way.schema.key or self._again:
            self._schemas[way.topic] = way.schema
            self._decoder.use(table, way, 0)
        else:
            self._decoder.ignore(table)

    def _changed(self, table: TableId) -> Changed:
        return self.tables.setdefault(self._choices.topic(table), Changed(table))

    def _shown(self, shown: Shown) -> None:
        for meaning in self._judge.judge(shown.at, shown.under_way):
            if isinstance(meaning, Began):
                self._decoder.began()
            elif isinstance(meaning, Ddl):
                assert shown.under_way is not None
                self._ddl(meaning, shown.under_way.gtid)
            else:
                self._decoder.ended()
                if meaning.gtid in self._wanted:
                    self._came(1)
                if self._events is not None:
                    self._events.ended(meaning.commit_us)

    def _ddl(self, ddl: Ddl, gtid: Gtid) -> None:
        change = ddl.change
        if gtid not in self._wanted:
            return
        if isinstance(change, DatabaseDropped):
            for changed in self.tables.values():
                if changed.table.database == change.database:
                    changed.emptied = f"DROP DATABASE {change.database}"
            return
        emptied = change.tables if change.verb in (Verb.TRUNCATE, Verb.DROP) or change.rows_unseen else ()
        for table in (*emptied, *(table for names in change.renames for table in names)):
            if self._judge.captures(table):
                self._changed(table).emptied = f"{change.verb.value.upper()} TABLE ({gtid})"


def _commit_us(chunk: Chunk) -> int:
    """When the transaction that its rows are of was committed."""
    if chunk.commits is not None:
        return chunk.commits.newest_us
    return Envelope.decode(chunk.records[0].records[0]["value"] or b"").source.commit_ts_us
