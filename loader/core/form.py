"""The rows of a staging table, formed from decoded changes one by one and column by column: the readable way, which knows what to say
about a value or a change that does not fit.

A value that doesn't fit loads as NULL and is kept in quarantine; so are the largest values of a row that doesn't. A change whose row can't
be formed is quarantined whole, and its key, if that can be formed, is staged bare: the key's row goes, absent and named, never silently
old. In soft_delete mode the row of a delete is its before image, staged whole; one staged bare marks the row that the target has, and is
named, for that may not be the last, unless it comes of a row that was looked for by its key in vain.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from contracts.envelope import Op, Row
from contracts.table import Column, Kind, TableSchema
from loader.core.column_type import ColumnType
from loader.core.columns import Faults, read_column
from loader.core.fit import fit
from loader.core.plan import Mode, QuarantinedValue, TargetColumn, TargetTable
from loader.core.quarantine import key_image, quarantined_change, quarantined_value
from loader.core.records import Change
from loader.core.row_limit import RECORD_BYTES_UNSEEN, ROW_BYTES_MAX, giving_way, value_sizes, varies
from loader.core.target import staging_columns

_NO_VALUES: Row = {}
_NO_TEXTS: Mapping[str, str] = {}
_LOST_AS_NULL = {
    **dict.fromkeys([Kind.CHAR, Kind.VARCHAR, Kind.TEXT], "holds bytes that stand for no character of {charset}"),
    **dict.fromkeys([Kind.FLOAT, Kind.DOUBLE, Kind.VECTOR], "is no finite number"),
}
"""Why a value that JSON cannot carry is not loaded. A date that is none is not among them: it means NULL."""


class RowForm:
    """The staging table's rows while they are formed, by index: `changes`, of which none is superseded, and their `images`, source column →
    value. `bare` rows have a key and nothing else. `unformed`: why a change is quarantined whole; `absent`: those of them that stage
    nothing, because their key can't be formed or the mode is append."""

    def __init__(self, schema: TableSchema, target: TargetTable, changes: Sequence[Change]) -> None:
        self.schema, self.target, self.changes = schema, target, changes
        self.images: list[Row] = []
        self.bare: set[int] = set()
        self.unformed: dict[int, str] = {}
        self.absent: set[int] = set()
        self.nulled: list[tuple[int, TargetColumn, str]] = []
        self._names = frozenset(schema.by_name)
        self._raw = {index: change.envelope.source.raw for index, change in enumerate(changes) if change.envelope.source.raw}
        form = self._form_keyed if target.mode.keyed else self._form_appended
        for index, change in enumerate(self.changes):
            form(index, change)

    def _form_keyed(self, index: int, change: Change) -> None:
        envelope = change.envelope
        if envelope.op is Op.TRUNCATE:
            raise ValueError(f"table {self.schema.table}: a TRUNCATE is a batch of its own, here it is among {len(self.changes)} changes")
        delete = envelope.op is Op.DELETE
        image = envelope.before if delete else envelope.after
        # A delete that is merged needs its key and nothing else, so it can't be too large. One that tells of a row which was looked for and
        # is not there has no more to say.
        key_is_enough = delete and (self.target.mode is Mode.MERGE or envelope.source.snapshot)
        if key_is_enough or envelope.source.oversize or image is None or image.keys() != self._names:
            key = key_image(change, self.schema.key)
            if key is None or not key_is_enough:
                self.unformed[index] = self._misfit(change, image)
            # Without a key its key columns are NULL, and it will be found absent by that.
            image = _NO_VALUES if key is None else key
            self.bare.add(index)
        self.images.append(image)

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
        arrays = self._limited([self._array(column) for column in self.target.columns])
        if late := self.unformed.keys() - self.absent - self.bare:
            arrays = self._stripped(arrays, late)
        schema = pa.schema([(c.name, ColumnType.parse(c.sql_type).arrow) for c in staging_columns(self.target)])
        table = pa.table([*arrays, *self._added()], schema=schema)
        return table.filter(pa.array([i not in self.absent for i in range(table.num_rows)], pa.bool_())) if self.absent else table

    def _array(self, column: TargetColumn) -> pa.Array:
        kind, source = ColumnType.parse(column.sql_type), self.schema.by_name.get(column.source)
        if source is None:  # dropped at the source, kept in the target
            return pa.nulls(len(self.changes), kind.arrow)
        read, faults = read_column(source, [image.get(column.source) for image in self.images])
        array, misfits = fit(read, source, kind)
        faults |= misfits | self._lost(source)
        in_key = column.name in self.target.key
        if array.null_count and not column.nullable:
            nulls = [i for i in pc.indices_nonzero(array.is_null()).to_pylist() if i not in self.absent]
            faults |= {i: self._null_reason(i, source.name) for i in nulls if i not in faults and (in_key or i not in self.bare)}
        for index, reason in faults.items():
            if column.nullable:
                self.nulled.append((index, column, reason))
                continue
            self.unformed.setdefault(index, f"column {source.name}: {reason}")
            if in_key or self.target.mode is Mode.APPEND:
                self.absent.add(index)
        return array

    def _lost(self, source: Column) -> Faults:
        """Values in whose place the image has null because JSON cannot carry them."""
        if source.kind not in _LOST_AS_NULL:
            return {}
        reason = _LOST_AS_NULL[source.kind].format(charset=source.charset)
        return {
            index: reason
            for index, raw in self._raw.items()
            if source.name in raw and self.images[index].get(source.name) is None and index not in self.bare | self.absent
        }

    def _null_reason(self, index: int, name: str) -> str:
        raw = self._raw.get(index, _NO_TEXTS).get(name)
        return "NULL where the target takes none" + (f"; MySQL holds {raw!r}" if raw is not None else "")

    def _limited(self, arrays: list[pa.Array]) -> list[pa.Array]:
        """Rows that are more than COPY takes lose their largest values; those that have not enough to lose are unformed."""
        passed = self.bare | self.unformed.keys()
        large = [i for i, change in enumerate(self.changes) if change.size_bytes > RECORD_BYTES_UNSEEN and i not in passed]
        if not large:
            return arrays
        columns, added = self.target.columns, self._added()
        may_be_null = [
            place
            for place, column in enumerate(columns)
            if column.nullable and column.name not in self.target.key and varies(arrays[place].type)
        ]
        lost: dict[int, set[int]] = {}
        for index in large:
            sizes = value_sizes([*arrays, *added], index)
            reason = f"the row takes {sum(sizes)} bytes, more than the {ROW_BYTES_MAX} that COPY takes of a row"
            places = giving_way(sizes, may_be_null)
            if places is None:
                self.unformed[index] = f"{reason}, and not enough of them where the target takes NULL"
                if self.target.mode is Mode.APPEND:
                    self.absent.add(index)
                continue
            for place in places:
                self.nulled.append((index, columns[place], f"{reason}; this value is among its largest"))
                lost.setdefault(place, set()).add(index)
        return [_null_at(array, lost[place]) if place in lost else array for place, array in enumerate(arrays)]

    def _stripped(self, arrays: list[pa.Array], late: set[int]) -> list[pa.Array]:
        """What was found unformed only while its columns were read keeps its key and no more."""
        self.bare |= late
        return [
            array if column.name in self.target.key else _null_at(array, late)
            for array, column in zip(arrays, self.target.columns, strict=True)
        ]

    def _added(self) -> list[pa.Array]:
        envelopes = [change.envelope for change in self.changes]
        bare = pa.array([i in self.bare for i in range(len(self.changes))], pa.bool_())
        if self.target.mode is Mode.MERGE:
            return [bare]
        if self.target.mode is Mode.SOFT_DELETE:
            return [pa.array([e.op is Op.DELETE for e in envelopes], pa.bool_()), bare]
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
                yield quarantined_change(self.target.topic, change, self.unformed[index])
                continue
            for column, reason in by_index[index]:
                value = self.images[index][column.source]
                if value is None:
                    value = self._raw[index][column.source]
                yield quarantined_value(self.target.topic, change, column.source, value, reason)


def _null_at(array: pa.Array, indices: set[int]) -> pa.Array:
    # Not `if_else`: it keeps the bytes of what it makes NULL, and so they would count in a row group's size.
    return array.take(pa.array([None if i in indices else i for i in range(len(array))], pa.int64()))
