"""What stands in for Parquet where thousands of schedules are run: the same choice of changes, as JSON."""

from typing import Any

import orjson

from contracts.envelope import decode_key
from loader.core.changes import DecodedChanges
from loader.core.collapse import latest
from loader.core.plan import EncodedBatch, Mode, TableBatch, TargetTable
from loader.core.records import Change

OP, SEQ = "_tidemark_op", "_tidemark_seq"


def encode_as_json(batch: TableBatch, target: TargetTable) -> EncodedBatch:
    """`loader.committer.Encode`. The file is what `tests.fakes.warehouse.rows_as_json` reads."""
    assert isinstance(batch.changes, DecodedChanges)
    changes = batch.changes.changes
    records = len(changes)
    if target.mode.keyed and batch.truncate:
        return EncodedBatch(None, 0, records, 0, records, 0, 0)
    if target.mode.keyed:
        rows = [_merged(change, target.mode) for change in latest(changes, batch.schema.key, keep_gone=target.mode is Mode.SOFT_DELETE)]
    else:
        rows = [_appended(change) for change in changes]
    bare = any(row[3] for row in rows)
    return EncodedBatch(orjson.dumps(rows), len(rows), records, records - len(rows), len(rows), 0, 0, bare=bare)


def _merged(change: Change, mode: Mode) -> list[Any]:
    assert change.key is not None
    key = decode_key(change.key)["id"]
    after = change.envelope.after
    gone = change.envelope.before if mode is Mode.SOFT_DELETE and not change.envelope.source.snapshot else None
    return [key, after is None, dict(after or gone or {}), mode is Mode.SOFT_DELETE and after is None and gone is None]


def _appended(change: Change) -> list[Any]:
    envelope = change.envelope
    values = dict(envelope.after or envelope.before or {})
    return [None, False, {**values, OP: envelope.op.value, SEQ: envelope.source.seq}, False]
