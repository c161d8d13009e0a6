"""Changes as the native kernel keeps them: columns, and decoded changes only where it leaves a row to the readable way.

Both ways come to the same batch, or to the same error, but for what the kernel does not load and so does not read: the image before of
a create or an update, and of a merged delete all but its key; the strings of `source` but its GTID and schema. What is wrong in there,
and leaves brackets and quotes where they are, may be noticed by the readable way alone.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import tidemark_kernel

from contracts.table import Column, Kind, TableSchema
from loader.core.changes import OpenChanges, OpenDecodedChanges, memory_of
from loader.core.collapse import as_gone, identity, last_of_rows, looked_for_in_vain
from loader.core.column_type import ColumnType, Name
from loader.core.columns import MILLISECONDS_DIGITS
from loader.core.fit import DAY_MAX, DAY_MIN, DAY_US
from loader.core.form import RowForm
from loader.core.plan import Destination, Mode, Staged, TargetColumn, TargetTable
from loader.core.records import Change, Records
from loader.core.row_limit import RECORD_BYTES_UNSEEN
from loader.core.target import DELETED, staging_columns

_INTEGERS = {Name.SMALLINT: ("int16", 2**15), Name.INTEGER: ("int32", 2**31), Name.BIGINT: ("int64", 2**63)}
_MOMENTS = (DAY_MIN * DAY_US, (DAY_MAX + 1) * DAY_US - 1)

Form = tuple[str, int, int]
"""A form's name in the kernel, and its two limits."""


def collect(destination: Destination, next_seq: int) -> OpenChanges:
    """What collects changes from the one with `next_seq` on: readably where a column has no form in the kernel."""
    try:
        return KernelChanges(destination.schema, destination.target, next_seq)
    except LookupError:
        return OpenDecodedChanges()


class KernelChanges:
    """OpenChanges of one schema, read by the kernel."""

    def __init__(self, schema: TableSchema, target: TargetTable, next_seq: int) -> None:
        """`next_seq`: of the first change. Raises LookupError when the kernel has no form for a column: then read them readably."""
        self._schema, self._target = schema, target
        by_source = {column.source: column for column in target.columns}
        columns = [_column(at, column, by_source[column.name], target) for at, column in enumerate(schema.columns)]
        whole_deletes = target.mode is not Mode.MERGE
        self._kernel = tidemark_kernel.EnvelopeRows(
            schema.fingerprint, columns, target.mode.keyed, whole_deletes, next_seq, RECORD_BYTES_UNSEEN
        )
        self._decoded: dict[int, Change] = {}
        self._decoded_bytes = 0

    def __len__(self) -> int:
        return len(self._kernel)

    @property
    def memory_bytes(self) -> int:
        return self._kernel.memory_bytes + self._decoded_bytes

    def size_bytes(self, count: int) -> int:
        return self._kernel.size_bytes(count)

    def read(self, records: Records, begin: int) -> int:
        return self._kernel.add(records.keys, records.values, records.offsets, begin)

    def put(self, change: Change) -> None:
        row = identity(change, self._schema.key) if self._target.mode.keyed else None
        self._decoded[len(self)] = change
        self._decoded_bytes += memory_of(change.size_bytes)
        key = row if isinstance(row, bytes) else None  # else it stands alone
        self._kernel.leave(key, change.offset, change.envelope.source.commit_ts_us, change.size_bytes)

    def take(self, count: int) -> "ColumnChanges":
        last, first = self._kernel.place(count - 1), self._kernel.place(0)
        size_bytes = self.size_bytes(count)
        decoded = {at: change for at, change in self._decoded.items() if at < count}
        self._decoded = {at - count: change for at, change in self._decoded.items() if at >= count}
        self._decoded_bytes -= sum(memory_of(change.size_bytes) for change in decoded.values())
        return ColumnChanges(self._kernel.take(count), decoded, size_bytes, last[0] + 1, first[1])


@dataclass(frozen=True, slots=True)
class ColumnChanges:
    """Changes as columns. `decoded`: by index those whose row is formed the readable way; the columns are empty there."""

    columns: tidemark_kernel.EnvelopeColumns
    decoded: dict[int, Change]
    size_bytes: int
    stop_offset: int
    commit_ts_us: int
    truncate: bool = False

    def __len__(self) -> int:
        return len(self.columns)

    def message_keys(self) -> Iterator[bytes | None]:
        validity, buffers = self.columns.keys()
        keys = _array(pa.binary(), len(self), validity, buffers)
        return (self.decoded[at].key if at in self.decoded else key.as_py() for at, key in enumerate(keys))

    def staged(self, schema: TableSchema, target: TargetTable) -> Staged:
        latest = self.columns.latest() if target.mode.keyed else None
        kept = None if latest is None else pa.BooleanArray.from_buffers(pa.bool_(), len(self), [None, pa.py_buffer(latest)])
        table = self._table(schema, target)
        gone: Collection[int] = ()
        if target.mode is Mode.SOFT_DELETE and (vain := {at for at, change in self.decoded.items() if looked_for_in_vain(change)}):
            last, gone = last_of_rows(self._rows(schema.key), vain)
            kept = self._mask(last)
            deleted = pc.or_(table[DELETED], self._mask(gone))
            table = table.set_column(table.schema.get_field_index(DELETED), DELETED, deleted)
        superseded = 0 if kept is None else len(self) - kept.true_count
        if not self.decoded:
            return Staged(table if kept is None else table.filter(kept), superseded, 0, ())
        left = sorted(at for at in self.decoded if kept is None or kept[at].as_py())
        form = RowForm(schema, target, [as_gone(self.decoded[at]) if at in gone else self.decoded[at] for at in left])
        formed = form.table()
        places = [at for index, at in enumerate(left) if index not in form.absent]
        by_kernel = pa.array([at not in self.decoded for at in range(len(self))])
        whole = by_kernel if kept is None else pc.and_(kept, by_kernel)
        rows = pa.concat_tables([table.filter(whole), formed])
        order = pc.sort_indices(pa.concat_arrays([pc.indices_nonzero(whole), pa.array(places, pa.uint64())]))
        return Staged(rows.take(order), superseded, len(form.unformed), tuple(form.quarantine()))

    def _rows(self, key: Sequence[str]) -> Iterator[object]:
        """What names the row of each change, see `loader.core.collapse.identity`."""
        for at, message_key in enumerate(self.message_keys()):
            yield identity(self.decoded[at], key) if at in self.decoded else message_key

    def _mask(self, indices: Collection[int]) -> pa.BooleanArray:
        chosen = frozenset(indices)
        return pa.array([at in chosen for at in range(len(self))], pa.bool_())

    def _table(self, schema: TableSchema, target: TargetTable) -> pa.Table:
        """Every row, in the staging table's columns; one that is formed the readable way is all NULL."""
        types = {column.name: ColumnType.parse(column.sql_type).arrow for column in staging_columns(target)}
        read = self.columns.columns()
        by_source = {column.name: buffers for column, buffers in zip(schema.columns, read, strict=False)}
        arrays: dict[str, pa.Array] = {}
        for column in target.columns:
            kind = types[column.name]
            # A column dropped at the source may be kept in the target.
            found = by_source.pop(column.source, None)
            arrays[column.name] = pa.nulls(len(self), kind) if found is None else _array(kind, len(self), *found)
        added = [name for name in types if name not in arrays]
        given = read[len(schema.columns) :]
        if target.mode is Mode.SOFT_DELETE:
            # What the kernel reads is whole, so no row of it is bare.
            given.append((None, [bytes((len(self) + 7) // 8)]))
        for name, (validity, buffers) in zip(added, given, strict=True):
            arrays[name] = _array(types[name], len(self), validity, buffers)
        return pa.table([arrays[name] for name in types], schema=pa.schema(list(types.items())))


def _array(kind: pa.DataType, length: int, validity: bytes | None, buffers: list[bytes]) -> pa.Array:
    held = [None if data is None else pa.py_buffer(data) for data in (validity, *buffers)]
    return pa.Array.from_buffers(kind, length, held)


def _column(at: int, column: Column, target: TargetColumn, table: TargetTable) -> tuple[bytes, str, int, int, bool, bool]:
    literal = (b"," if at else b"{") + orjson.dumps(column.name) + b":"
    return (literal, *_form(column, ColumnType.parse(target.sql_type)), target.name in table.key, target.nullable)


def _form(column: Column, target: ColumnType) -> Form:
    """Raises LookupError when the target is of another type than is made for such a column, but for the length of a text: what fits it
    then, and what of it, the readable way says."""
    made = ColumnType.of(column)
    if (made.name, made.precision, made.scale) != (target.name, target.precision, target.scale):
        raise LookupError(f"column {column.name}: {column.kind.value} into {target.sql}")
    match column.kind, target.name:
        case Kind.BIT, Name.BIGINT:
            return "bits", 8, 0
        case Kind.BIT, Name.DECIMAL:
            return "bits", 16, 0
        case _, (Name.SMALLINT | Name.INTEGER | Name.BIGINT) as name:
            width, end = _INTEGERS[name]
            return width, -end, end - 1
        case _, Name.DECIMAL:
            return "decimal", target.precision, target.scale
        case _, Name.REAL:
            return "real", 0, 0
        case _, Name.DOUBLE:
            return "double", 0, 0
        case _, Name.BOOLEAN:
            return "boolean", 0, 0
        case _, Name.DATE:
            return "int32", DAY_MIN, DAY_MAX
        case _, Name.TIMESTAMP:
            return "us" if column.fraction > MILLISECONDS_DIGITS else "ms", *_MOMENTS
        case _, Name.TIMESTAMPTZ:
            return "timestamp", 0, 0
        case Kind.VECTOR, Name.VARCHAR:
            return "vector", target.length, 0
        case _, Name.VARCHAR:
            return "text", target.length, 0
        case Kind.GEOMETRY, Name.VARBYTE:
            return "geometry", target.length, 0
        case _, Name.VARBYTE:
            return "bytes", target.length, 0
        case _:
            assert_never(target.name)
