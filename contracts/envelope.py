"""The envelope: one row change on Kafka, in Debezium's form.

As its MySQL connector writes it with `schemas.enable=false`, `decimal.handling.mode=string`, unsigned BIGINT as a decimal string
and default time modes; optional fields that would be null are left out of `source`. Ours adds to `source`: `seq`, `ev`,
`commit_ts_us`, `schema`, and where they apply `key_change`, `raw`, `oversize`.
Source: Debezium documentation, "MySQL connector: Data change events".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from contracts.table import TableId

Value = None | bool | int | float | str | list[Any] | dict[str, Any]  # as JSON carries it
Row = Mapping[str, Value]

VERSION = "tidemark-1"  # of this form; a reader refuses any other


class Op(StrEnum):
    CREATE = "c"
    UPDATE = "u"
    DELETE = "d"
    READ = "r"  # read from the table itself: snapshots and re-reads
    TRUNCATE = "t"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a change comes from. `seq` counts within the topic from 0 without a gap; `ev` is the row's number within its transaction,
    from 0; `ts_ms` is the server's clock at the statement, `commit_ts_us` at the commit (only the latter cannot be set by users);
    `schema` is the fingerprint of the TableSchema the row was decoded by."""

    name: str
    table: TableId
    server_id: int
    gtid: str
    file: str
    pos: int
    ts_ms: int
    commit_ts_us: int
    seq: int
    ev: int
    schema: str
    snapshot: bool = False
    key_change: bool = False
    raw: Mapping[str, str] = field(default_factory=dict)
    oversize: int = 0


@dataclass(frozen=True, slots=True)
class Envelope:
    """One row change. `before` is None for c and r, `after` for d; both for t. `ts_ms`: when the streamer handled it."""

    op: Op
    before: Row | None
    after: Row | None
    source: Source
    ts_ms: int

    def encode(self) -> bytes:
        """Fixed field order: two encoders of the same change give the same bytes."""
        s = self.source
        source: dict[str, Any] = {
            "version": VERSION,
            "connector": "mysql",
            "name": s.name,
            "ts_ms": s.ts_ms,
            "snapshot": "true" if s.snapshot else "false",
            "db": s.table.database,
            "table": s.table.name,
            "server_id": s.server_id,
            "gtid": s.gtid,
            "file": s.file,
            "pos": s.pos,
            "row": s.ev,
            "seq": s.seq,
            "ev": s.ev,
            "commit_ts_us": s.commit_ts_us,
            "schema": s.schema,
        }
        if s.key_change:
            source["key_change"] = True
        if s.raw:
            source["raw"] = dict(s.raw)
        if s.oversize:
            source["oversize"] = s.oversize
        return orjson.dumps({"before": self.before, "after": self.after, "source": source, "op": self.op.value, "ts_ms": self.ts_ms})

    @classmethod
    def decode(cls, data: bytes) -> "Envelope":
        """Raises ValueError naming what is missing or unknown."""
        try:
            body = orjson.loads(data)
            s = body["source"]
            if s["version"] != VERSION:
                raise ValueError(f"envelope version {s['version']!r}; this release reads {VERSION!r}")
            source = Source(
                name=s["name"],
                table=TableId(s["db"], s["table"]),
                server_id=s["server_id"],
                gtid=s["gtid"],
                file=s["file"],
                pos=s["pos"],
                ts_ms=s["ts_ms"],
                commit_ts_us=s["commit_ts_us"],
                seq=s["seq"],
                ev=s["ev"],
                schema=s["schema"],
                snapshot=s["snapshot"] == "true",
                key_change=s.get("key_change", False),
                raw=s.get("raw", {}),
                oversize=s.get("oversize", 0),
            )
            made = cls(Op(body["op"]), body["before"], body["after"], source, body["ts_ms"])
            _refuse_other_types(made)
            return made
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an envelope: {type(error).__name__} {error}") from error


def with_seq(data: bytes, seq: int) -> bytes:
    """The same envelope as another record of its topic."""
    body = orjson.loads(data)
    body["source"]["seq"] = seq
    return orjson.dumps(body)


def _refuse_other_types(made: Envelope) -> None:
    """What is counted with or looked into later. Raises TypeError."""
    source = made.source
    for name, value in (("seq", source.seq), ("commit_ts_us", source.commit_ts_us), ("oversize", source.oversize)):
        if type(value) is not int:
            raise TypeError(f"source.{name} is {value!r:.80}, not a whole number")
    for name, image in (("before", made.before), ("after", made.after), ("source.raw", source.raw)):
        if not (isinstance(image, dict) or (image is None and name != "source.raw")):
            raise TypeError(f"{name} is {image!r:.80}, not an object")


def encode_key(key: Sequence[str], row: Row) -> bytes | None:
    """The Kafka message key: the key columns as a JSON object in key order, None for a table without a key."""
    return orjson.dumps({name: row[name] for name in key}) if key else None


def decode_key(data: bytes) -> dict[str, Value]:
    """Raises ValueError when it is not a JSON object."""
    key = orjson.loads(data)
    if not isinstance(key, dict):
        raise ValueError(f"a message key is a JSON object, got {type(key).__name__}")
    return key
