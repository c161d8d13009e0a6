"""A table's share of a micro-batch as the Parquet its staging table takes, with every record accounted for.

A value that doesn't fit loads as NULL and is kept in quarantine. A change whose row can't be formed is quarantined whole, and its key,
if that can be formed, is staged as a delete: absent and named, never silently old.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from contracts.envelope import Op, Row
from contracts.errors import Invalid
from loader.core.collapse import latest
from loader.core.column_type import ColumnType
from loader.core.columns import read_column
from loader.core.fit import fit
from loader.core.parquet import encode_parquet
from loader.core.plan import Change, EncodedBatch, Mode, QuarantinedValue, TableBatch, TargetColumn, TargetTable
from loader.core.quarantine import key_image, quarantined_change, quarantined_value
from loader.core.target import staging_columns

_NO_VALUES: Row = {}


def encode(batch: TableBatch, target: TargetTable) -> EncodedBatch:
    """The batch for the target's staging table: in merge mode the last change of each key, in append mode every change.

    A TRUNCATE of a merged table stages nothing and counts as applied; in append mode it is a row without values, like every other event.
    Raises Invalid when the target no longer suits the batch's schema: another key, a column the target lacks, or one whose type changed
    too far.
    """
    _check(batch, target)
    records = len(batch.changes)
    if target.mode is Mode.MERGE and batch.truncate:
        return EncodedBatch(None, 0, records, 0, records, 0, 0)
    rows = _Rows(batch, target)
    table = rows.table()
    quarantine = tuple(rows.quarantine())
    return EncodedBatch(
        parquet=encode_parquet(table) if table.num_rows else None,
        rows=table.num_rows,
        records=records,
        superseded=records - len(rows.changes),
        applied=len(rows.changes) - len(rows.unformed),
        quarantined=len(rows.unformed),
        values_nulled=len(quarantine) - len(rows.unformed),
        quarantine=quarantine,
    )


def _check(batch: TableBatch, target: TargetTable) -> None:
    table, known = batch.schema.table, {column.source for column in target.columns}
    if missing := [column.name for column in batch.schema.columns if column.name not in known]:
        raise Invalid(f"table {table}: {target.schema}.{target.name} has no column for {missing}; add them before rows that hold them")
    keyed = {column.source for column in target.columns if column.name in target.key}
    if target.mode is Mode.MERGE and (keyed != set(batch.schema.key) or not keyed):
        raise Invalid(
            f"table {table}: its key is {sorted(batch.schema.key)}, but {target.schema}.{target.name} is keyed by {sorted(keyed)};"
            f" drop the target table and snapshot it again"
        )


class _Rows:
    """The staging table's rows while they are formed, by index: `changes`, what is left after collapse, and their `images`, source column →
    value. In merge mode `deleted` rows have a key and nothing else. `unformed`: why a change is quarantined whole; `absent`: those of
    them that stage nothing, because their key can't be formed or the mode is append."""

    def __init__(self, batch: TableBatch, target: TargetTable) -> None:
        self.batch, self.target = batch, target
        merge = target.mode is Mode.MERGE
        self.changes = latest(batch.changes, batch.schema.key) if merge else batch.changes
        self.images: list[Row] = []
        self.deleted: list[bool] = []
        self.unformed: dict[int, str] = {}
        self.absent: set[int] = set()
        self.nulled: list[tuple[int, TargetColumn, str]] = []
        self._names = frozenset(batch.schema.by_name)
        form = self._form_merged if merge else self._form_appended
        for index, change in enumerate(self.changes):
            form(index, change)

    def _form_merged(self, index: int, change: Change) -> None:
        envelope = change.envelope
        delete = envelope.op is Op.DELETE
        image = key_image(change, self.batch.schema.key) if delete else envelope.after
        if envelope.op is Op.TRUNCATE:
            raise ValueError(
                f"table {self.batch.schema.table}: a TRUNCATE is a batch of its own, here it is among {len(self.changes)} changes"
            )
        # A delete needs its key and nothing else, so it can't be too large.
        if image is None or (not delete and (envelope.source.oversize or image.keys() != self._names)):
            self.unformed[index] = self._misfit(change, envelope.after)
            # Without a key its key columns are NULL, and it will be found absent by that.
            image, delete = key_image(change, self.batch.schema.key), True
        self.images.append(_NO_VALUES if image is None else image)
        self.deleted.append(delete)

    def _form_appended(self, index: int, change: Change) -> None:
        envelope = change.envelope
        image: Row | None = envelope.after
        if envelope.op is Op.TRUNCATE:
            image = _NO_VALUES
        elif envelope.op is Op.DELETE:
            image = envelope.before
        partial = envelope.op in (Op.TRUNCATE, Op.DELETE)
        if envelope.source.oversize or image is None or not (image.keys() <= self._names if partial else image.keys() == self._names):
            self.unformed[index] = self._misfit(change, image)
            self.absent.add(index)
            image = _NO_VALUES
        self.images.append(image)

    def _misfit(self, change: Change, image: Row | None) -> str:
        if size_bytes := change.envelope.source.oversize:
            return f"the row takes {size_bytes} bytes, more than a message may; raise kafka.message_bytes_max and read the row again"
        if image is None:
            return "the change carries no row"
        lacks, extra = sorted(self._names - image.keys()), sorted(image.keys() - self._names)
        return f"the row is not of its schema: it lacks {lacks}, and holds {extra} beyond it"

    def table(self) -> pa.Table:
        """Every row that is staged, in offset order; columns in the staging table's order and of its types."""
        arrays = [self._array(column) for column in self.target.columns]
        if late := [index for index in self.unformed if index not in self.absent and not self._is_bare(index)]:
            arrays = self._stripped(arrays, late)
        schema = pa.schema([(c.name, ColumnType.parse(c.sql_type).arrow) for c in staging_columns(self.target)])
        table = pa.table([*arrays, *self._added()], schema=schema)
        return table.filter(pa.array([i not in self.absent for i in range(table.num_rows)], pa.bool_())) if self.absent else table

    def _array(self, column: TargetColumn) -> pa.Array:
        kind, source = ColumnType.parse(column.sql_type), self.batch.schema.by_name.get(column.source)
        if source is None:  # dropped at the source, kept in the target
            return pa.nulls(len(self.changes), kind.arrow)
        read, faults = read_column(source, [image.get(column.source) for image in self.images])
        array, misfits = fit(read, source, kind)
        faults |= misfits
        in_key = column.name in self.target.key
        if array.null_count and not column.nullable:
            nulls = [i for i in pc.indices_nonzero(array.is_null()).to_pylist() if i not in self.absent]
            faults |= {i: self._null_reason(i, source.name) for i in nulls if i not in faults and (in_key or not self._is_bare(i))}
        for index, reason in faults.items():
            if column.nullable:
                self.nulled.append((index, column, reason))
                continue
            self.unformed.setdefault(index, f"column {source.name}: {reason}")
            if in_key or self.target.mode is Mode.APPEND:
                self.absent.add(index)
        return array

    def _null_reason(self, index: int, name: str) -> str:
        raw = self.changes[index].envelope.source.raw.get(name)
        return "NULL where the target takes none" + (f"; MySQL holds {raw!r}" if raw is not None else "")

    def _is_bare(self, index: int) -> bool:
        return self.target.mode is Mode.MERGE and self.deleted[index]

    def _stripped(self, arrays: list[pa.Array], late: list[int]) -> list[pa.Array]:
        """What was found unformed only while its columns were read becomes the delete of its key."""
        gone = set(late)
        for index in late:
            self.deleted[index] = True
        keep = pa.array([i not in gone for i in range(len(self.changes))])
        return [
            array if column.name in self.target.key else pc.if_else(keep, array, pa.scalar(None, array.type))
            for array, column in zip(arrays, self.target.columns, strict=True)
        ]

    def _added(self) -> list[pa.Array]:
        if self.target.mode is Mode.MERGE:
            return [pa.array(self.deleted, pa.bool_())]
        envelopes = [change.envelope for change in self.changes]
        return [
            pa.array([e.op.value for e in envelopes], pa.string()),
            pa.array([e.source.seq for e in envelopes], pa.int64()),
            pa.array([e.source.commit_ts_us for e in envelopes], pa.int64()).cast(pa.timestamp("us")),
            pa.array([e.source.gtid for e in envelopes], pa.string()),
        ]

    def quarantine(self) -> Iterator[QuarantinedValue]:
        """In offset order; only after `table` has looked at every value."""
        by_index: dict[int, list[tuple[TargetColumn, str]]] = {}
        for index, column, reason in self.nulled:
            by_index.setdefault(index, []).append((column, reason))
        for index in sorted(by_index.keys() | self.unformed.keys()):
            change = self.changes[index]
            if index in self.unformed:
                yield quarantined_change(self.batch, change, self.unformed[index])
                continue
            for column, reason in by_index[index]:
                yield quarantined_value(self.batch, change, column.source, self.images[index][column.source], reason)
