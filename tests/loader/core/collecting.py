"""The same records through both ways of collecting row changes, which must come to the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.envelope import Op, Row
from contracts.errors import Corrupt
from contracts.offsets import OffsetRange
from contracts.table import TableSchema
from loader.core.changes import DecodedChanges
from loader.core.cut import Cut, OpenBatch
from loader.core.encode import encode
from loader.core.lane import Part, Start
from loader.core.plan import Destination, EncodedBatch, Mode, TableBatch, TargetTable
from loader.core.readers import choose
from loader.core.records import Record, Records
from loader.destinations import Destinations
from tests.loader.core.reading import NEVER, NOW, PROGRESS, named
from tests.loader.core.rowmaker import ORDERS, TOPIC, change, target_of

OLD = NOW + timedelta(days=2)

Step = Records | int | None
"""Records that are read at once; a barrier up to a seq; None: everything is cut that may be."""


@dataclass(frozen=True)
class Loaded:
    """A part of a cut and what it is once encoded. `left`: offsets of changes that were kept decoded."""

    offsets: OffsetRange
    next_seq: int
    rows: int
    size_bytes: int
    stop_offset: int
    commit_ts_us: int
    truncate: bool
    keys: tuple[bytes | None, ...]
    encoded: EncodedBatch
    left: tuple[int, ...] = field(compare=False)


@dataclass
class Told:
    """What came of a run: after each step what the batch counts, each part, and the error that ended it."""

    counts: list[tuple[int, int, int]] = field(default_factory=list)
    cuts: list[tuple[str, int]] = field(default_factory=list)
    parts: list[Loaded] = field(default_factory=list)
    error: tuple[str, str] | None = None

    @property
    def left(self) -> list[int]:
        return [offset for part in self.parts for offset in part.left]


class Book:
    """The schemas of one topic, the newest last."""

    def __init__(self, schemas: Sequence[TableSchema]) -> None:
        self.schemas = {schema.fingerprint: schema for schema in schemas}

    def find(self, topic: str, fingerprint: str) -> TableSchema:
        if fingerprint not in self.schemas:
            raise Corrupt(f"{topic}: schema {fingerprint} is unknown")
        return self.schemas[fingerprint]

    def newest(self, topic: str) -> TableSchema:
        return list(self.schemas.values())[-1]


def sent(offset: int, op: Op, row: Row | None, *, before: Row | None = None, **rest: Any) -> Record:
    """The record of a change; `before` of an update. `rest`: as for `change`."""
    made = change(offset, op, row, **rest)
    envelope = made.envelope if before is None else replace(made.envelope, before=before)
    return Record(TOPIC, offset, made.key, envelope.encode())


def swapped(record: Record, old: str | bytes, new: str | bytes) -> Record:
    """The record with a piece of its value written another way."""
    old, new = (text.encode() if isinstance(text, str) else text for text in (old, new))
    assert record.value is not None
    assert old in record.value, (old, record.value)
    return replace(record, value=record.value.replace(old, new))


def told(way: str, steps: Iterable[Step], targets: Mapping[str, TargetTable], schemas: Sequence[TableSchema], start: Start) -> Told:
    """What `python` or `kernel` makes of them. `targets`: by fingerprint."""
    found, barriers = Told(), 0
    destinations = Destinations(Book(schemas), lambda _, schema: targets[schema.fingerprint], choose(way).collect)
    batch = OpenBatch(PROGRESS, 0, 0, {TOPIC: start}, destinations)
    try:
        for step in steps:
            if isinstance(step, Records):
                batch.add(step, NOW)
            elif step is None:
                while reason := batch.reason_to_cut(NEVER, OLD):
                    made = batch.cut(reason, NOW)
                    found.cuts.append((reason.value, made.progress_offset))
                    found.parts += _loaded(made)
            else:
                barrier = replace(named(barriers), next_seqs={TOPIC: step})
                batch.add(Records.of(Record(PROGRESS, barriers, None, barrier.encode())), NOW)
                barriers += 1
            found.counts.append((batch.rows, batch.reached_rows, batch.reached_bytes))
    except Exception as error:
        found.error = type(error).__name__, str(error)
    return found


def _loaded(cut: Cut) -> list[Loaded]:
    return [_encoded(part) for part in cut.parts]


def _encoded(part: Part) -> Loaded:
    changes = part.changes
    assert isinstance(part.destination, Destination)
    left: Iterable[int] = () if changes.truncate else [kept.offset for kept in getattr(changes, "decoded", {}).values()]
    if isinstance(changes, DecodedChanges) and not changes.truncate:
        left = [kept.offset for kept in changes.changes]
    seen = changes.size_bytes, changes.stop_offset, changes.commit_ts_us, changes.truncate, tuple(changes.message_keys())
    batch = TableBatch(part.topic, 0, part.destination.schema, part.offsets, part.next_seq, changes)
    rows = len(changes)
    return Loaded(part.offsets, part.next_seq, rows, *seen, encode(batch, part.destination.target), tuple(left))


def alike(
    steps: Sequence[Step],
    *,
    schemas: Sequence[TableSchema] = (ORDERS,),
    mode: Mode | None = None,
    targets: Sequence[TargetTable] | None = None,
    start: Start | None = None,
) -> Told:
    """What both ways make of the steps, which must be the same; the kernel's, with what it has left to the readable way. Without
    `targets`, each schema's own."""
    made = [target_of(schema, mode) for schema in schemas] if targets is None else targets
    into = {schema.fingerprint: target for schema, target in zip(schemas, made, strict=True)}
    beginning = start or Start("id-1", 0, 0, 0)
    ours, theirs = (told(way, steps, into, schemas, beginning) for way in ("kernel", "python"))
    same(ours, theirs)
    return ours


def loaded_alike(records: Sequence[Record], **rest: Any) -> Told:
    """The same for records that are read at once and loaded together; none of them ends in an error."""
    found = alike([Records.of(*records), len(records), None], **rest)
    assert found.error is None, found.error
    assert sum(part.rows for part in found.parts) == len(records)
    return found


def same(ours: Told, theirs: Told) -> None:
    """Fails with the first difference, shortly."""
    for number, (part, other) in enumerate(zip(ours.parts, theirs.parts, strict=False)):
        if part != other:
            pytest.fail(f"part {number} differs:\n{_difference(part, other)}")
    assert (ours.error, ours.cuts, ours.counts) == (theirs.error, theirs.cuts, theirs.counts)
    assert len(ours.parts) == len(theirs.parts)


def _difference(part: Loaded, other: Loaded) -> str:
    ours, theirs = _told_apart(part), _told_apart(other)
    return "\n".join(f"{name}: {str(ours[name])[:1500]}\nnot    {str(theirs[name])[:1500]}" for name in ours if ours[name] != theirs[name])


def _told_apart(part: Loaded) -> dict[str, Any]:
    told = {name.name: getattr(part, name.name) for name in fields(part) if name.name not in ("encoded", "left")}
    told |= {name.name: getattr(part.encoded, name.name) for name in fields(part.encoded)}
    if part.encoded.parquet is not None:
        table = pq.read_table(pa.BufferReader(part.encoded.parquet))
        told |= {"schema": table.schema, **{f"column {name}": table[name].to_pylist() for name in table.column_names}}
        told["parquet"] = f"{len(part.encoded.parquet)} bytes, {hash(part.encoded.parquet)}"
    return told
