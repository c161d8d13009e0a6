"""Rows and where they come from → envelopes, in Debezium's form (`contracts.envelope`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from contracts.envelope import Envelope, Op, Row, Source, decode_key, encode_key
from contracts.errors import Corrupt
from contracts.table import TableId
from streamer.core.decoder import Record, Records
from streamer.core.events import Change
from streamer.core.route import Message, Route
from streamer.core.rows import RowChange


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What a row change does to one key. A row whose key changes is two of them, adjacent: the old key deleted, the new one created."""

    op: Op
    before: Row | None
    after: Row | None
    raw: Mapping[str, str] = field(default_factory=dict)
    key_change: bool = False

    @property
    def row(self) -> Row:
        """The image that holds the key."""
        row = self.after if self.after is not None else self.before
        return row if row is not None else {}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows of one event come from: all an envelope's source says but the row itself."""

    pipeline: str
    server_id: int
    gtid: str
    file: str
    pos: int
    ts_ms: int
    commit_ts_us: int


def key_changes(row: RowChange, way: Route) -> tuple[KeyChange, ...]:
    """One change, or two when the key changes.

    Columns the after image leaves out are taken from the before image. Raises Corrupt, naming table, column and the session setting that
    does it, when one is in neither, when a before image lacks the key, and when a deleted row without a key is not whole.
    """
    before, after = row.before, row.after
    if row.absent_before and before is not None:
        needed = way.schema.key or (way.schema.by_name if row.change is Change.DELETE else ())
        _refuse_unknown([name for name in row.absent_before if name in needed], way.schema.table)
    if row.change is Change.INSERT:
        _refuse_unknown(row.absent_after, way.schema.table)
        return (KeyChange(Op.CREATE, None, after, row.raw_after),)
    if row.change is Change.DELETE:
        return (KeyChange(Op.DELETE, before, None, row.raw_before),)
    assert before is not None
    assert after is not None
    raw = row.raw_after
    if row.absent_after:
        _refuse_unknown([name for name in row.absent_after if name not in before], way.schema.table)
        # In column order, as a whole image has them.
        after = {name: after[name] if name in after else before[name] for name in way.schema.by_name}
        raw = {**raw, **{name: text for name, text in row.raw_before.items() if name in row.absent_after}}
    if _key(before, row.raw_before, way.schema.key) == _key(after, raw, way.schema.key):
        return (KeyChange(Op.UPDATE, before, after, raw),)
    return (
        KeyChange(Op.DELETE, before, None, row.raw_before, key_change=True),
        KeyChange(Op.CREATE, None, after, raw, key_change=True),
    )


def identity(changes: Sequence[KeyChange], topic: str) -> bytes:
    """The bytes by which a resumed stream knows the same row again: what changed and where, nothing of when or how it was sent."""
    parts: list[bytes] = []
    for change in changes:
        images = {"before": change.before, "after": change.after}
        parts += [f"{topic} {change.op.value} ".encode(), orjson.dumps(images), orjson.dumps(dict(change.raw))]
    return b"".join(parts)


def message(change: KeyChange, way: Route, origin: Origin, *, seq: int, ev: int, now_ms: int, bytes_max: int) -> Message:
    """The record of one change. A row larger than `bytes_max` (key and value) goes without its values: only the key columns, and how
    large it was."""
    key = encode_key(way.schema.key, change.row)
    envelope = Envelope(change.op, change.before, change.after, _source(change, way, origin, seq, ev), now_ms)
    value = envelope.encode()
    size = len(value) + len(key or b"")
    if size > bytes_max:
        source = replace(envelope.source, raw={name: text for name, text in change.raw.items() if name in way.schema.key}, oversize=size)
        value = Envelope(change.op, _only(way.schema.key, change.before), _only(way.schema.key, change.after), source, now_ms).encode()
    return Message(way.topic, key, value)


def gone_records(keys: Sequence[bytes], way: Route, origin: Origin, *, first_seq: int, now_ms: int) -> Records:
    """The records of rows that were looked for by these Kafka keys and are not there: deletes of which nothing but the key is known."""
    records: list[Record] = []
    size_bytes = 0
    for number, key in enumerate(keys):
        change = KeyChange(Op.DELETE, decode_key(key), None)
        source = replace(_source(change, way, origin, first_seq + number, number), snapshot=True)
        value = Envelope(change.op, change.before, None, source, now_ms).encode()
        records.append({"key": key, "value": value})
        size_bytes += len(value)
    return Records(way.topic, records, size_bytes)


def truncate_message(table: TableId, topic: str, origin: Origin, *, seq: int, now_ms: int, schema: str = "") -> Message:
    """The record of a TRUNCATE: no key, no row. `schema`: fingerprint of that of the rows behind it, where these decided it."""
    source = Source(
        name=origin.pipeline,
        table=table,
        server_id=origin.server_id,
        gtid=origin.gtid,
        file=origin.file,
        pos=origin.pos,
        ts_ms=origin.ts_ms,
        commit_ts_us=origin.commit_ts_us,
        seq=seq,
        ev=0,
        schema=schema,
    )
    return Message(topic, None, Envelope(Op.TRUNCATE, None, None, source, now_ms).encode())


def _source(change: KeyChange, way: Route, origin: Origin, seq: int, ev: int) -> Source:
    return Source(
        name=origin.pipeline,
        table=way.schema.table,
        server_id=origin.server_id,
        gtid=origin.gtid,
        file=origin.file,
        pos=origin.pos,
        ts_ms=origin.ts_ms,
        commit_ts_us=origin.commit_ts_us,
        seq=seq,
        ev=ev,
        schema=way.schema.fingerprint,
        snapshot=change.op is Op.READ,
        key_change=change.key_change,
        raw=change.raw,
    )


def _key(row: Row, raw: Mapping[str, str], key: Sequence[str]) -> tuple[bytes | None, list[str | None]]:
    # As Kafka has it; a value JSON cannot carry is null in the row, and its text tells two of them apart.
    return encode_key(key, row), [raw.get(name) for name in key]


def _only(names: Sequence[str], row: Row | None) -> Row | None:
    return None if row is None else {name: row[name] for name in names if name in row}


def _refuse_unknown(names: Sequence[str], table: TableId) -> None:
    if names:
        raise unknown_column(names[0], table)


def unknown_column(column: str, table: TableId) -> Corrupt:
    """The error for a row image that leaves out a column which the change cannot do without."""
    return Corrupt(
        f"a change of {table} does not say what column {column} holds: the session that made it set binlog_row_image to MINIMAL or "
        "NOBLOB, or binlog_row_value_options = PARTIAL_JSON with it. SET PERSIST binlog_row_image = FULL, and take the right to "
        "change it from that account (SESSION_VARIABLES_ADMIN)",
        table=str(table),
        column=column,
    )
