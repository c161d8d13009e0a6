"""What people ask of a running streamer, by records of the topic `signals`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from contracts.envelope import Envelope, Op, decode_key
from contracts.table import TableId


class Ask(StrEnum):
    SNAPSHOT = "snapshot"  # read the rows of a table again
    REREAD = "reread"  # read those with these keys again
    EMIT = "emit"  # send these row events again
    PAUSE = "pause"  # go on with that later
    RESUME = "resume"
    STOP = "stop"  # leave it as it is


KEYS_MAX = 2_000
KEYS_BYTES_MAX = 512 * 1024
"""Of one signal, that many keys or so many bytes of them (or one key): who asks for more sends several. Each key costs MySQL's optimizer
memory, and the streamer too."""


EVENTS_MAX = 2_000
EVENTS_BYTES_MAX = 1 << 20
"""Of one signal, that many row events or so many bytes of them (or one event, of whatever size a record may have)."""


@dataclass(frozen=True, slots=True)
class RowEvent:
    """The record of a row change as it was sent, or would have been: a Kafka key and an envelope, of whatever seq."""

    key: bytes | None
    value: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.key or b"") + len(self.value)


@dataclass(frozen=True, slots=True)
class Signal:
    """`id`: whatever the asker recognises it by in the log. `where`: only rows for which this SQL condition holds. `resync`: rows of the
    target that the table has no more go: it is emptied before the first row. `keys`: Kafka keys of rows, of which the target loses those
    that the table has no more; `key_form`: TableSchema.key_form of the schemas they are by, without which a key may name another row.
    `events`: row changes of the table, in binlog order; `schema`: the fingerprint of the one they are all by."""

    id: str
    ask: Ask
    table: TableId
    where: str | None = None
    resync: bool = False
    keys: tuple[bytes, ...] = ()
    key_form: str = ""
    events: tuple[RowEvent, ...] = ()
    schema: str = ""

    def __post_init__(self) -> None:
        if self.resync and self.where is not None:
            raise ValueError("a resync empties the target, so it reads all rows: it goes without a condition")
        if self.ask is not Ask.SNAPSHOT and (self.resync or self.where is not None):
            raise ValueError(f"{self.ask.value} takes neither a condition nor resync")
        if (self.ask is Ask.REREAD) != bool(self.keys) or bool(self.keys) != bool(self.key_form):
            raise ValueError(f"{Ask.REREAD.value} takes keys and their form, and nothing else does")
        if (self.ask is Ask.EMIT) != bool(self.events) or bool(self.events) != bool(self.schema):
            raise ValueError(f"{Ask.EMIT.value} takes row events and their schema, and nothing else does")
        for key in self.keys:
            decode_key(key)
        for event in self.events:
            envelope = Envelope.decode(event.value)
            if envelope.op in (Op.READ, Op.TRUNCATE) or (envelope.source.table, envelope.source.schema) != (self.table, self.schema):
                raise ValueError(f"not a row change of {self.table} by schema {self.schema}: {event.value[:80]!r}")

    @property
    def rows(self) -> int:
        """How many it names; 1 of a whole table."""
        return len(self.keys) or len(self.events) or 1

    @property
    def size_bytes(self) -> int:
        """Of the keys or events."""
        return sum(map(len, self.keys)) + sum(event.size_bytes for event in self.events)

    def encode(self) -> bytes:
        body: dict[str, Any] = {"v": 1, "id": self.id, "ask": self.ask.value, "table": [self.table.database, self.table.name]}
        if self.where is not None:
            body["where"] = self.where
        if self.resync:
            body["resync"] = True
        if self.keys:
            body |= {"keys": [key.decode() for key in self.keys], "key_form": self.key_form}
        if self.events:
            # As they are, not as texts in a text: a signal of one event is not much larger than the event.
            events = [(None if event.key is None else orjson.Fragment(event.key), orjson.Fragment(event.value)) for event in self.events]
            body |= {"events": events, "schema": self.schema}
        return orjson.dumps(body)

    @classmethod
    def decode(cls, data: bytes) -> "Signal":
        """Raises ValueError on any other version or form."""
        body = orjson.loads(data)
        if not isinstance(body, dict) or body.get("v") != 1:
            raise ValueError(f"signal of unknown version: {data[:80]!r}; this release reads version 1")
        if unknown := body.keys() - {"v", "id", "ask", "table", "where", "resync", "keys", "key_form", "events", "schema"}:
            raise ValueError(f"signal with unknown {', '.join(sorted(unknown))}")
        try:
            database, name = body["table"]
            where, resync = body.get("where"), body.get("resync", False)
            keys, key_form = body.get("keys", []), body.get("key_form", "")
            events, schema = body.get("events", []), body.get("schema", "")
            texts = (body["id"], database, name, where or "", key_form, schema, *keys)
            for value, kind in (*((text, str) for text in texts), (resync, bool), (keys, list), (events, list)):
                if not isinstance(value, kind):
                    raise TypeError(f"{value!r:.80} is not {kind.__name__}")
            encoded = tuple(key.encode() for key in keys)
            again = tuple(RowEvent(None if key is None else orjson.dumps(key), orjson.dumps(value)) for key, value in events)
            return cls(body["id"], Ask(body["ask"]), TableId(database, name), where, resync, encoded, key_form, again, schema)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a signal: {type(error).__name__} {error}") from error
