"""Values against the column they are to be loaded into: one that doesn't fit becomes NULL here, with its reason, before any upload.

COPY would fail as a whole for a single value too long, too large or out of range, and it coerces nothing: what leaves here has exactly the
Arrow type of the target column. Source: Redshift guide, "COPY from columnar data formats", "Data types".
"""

from collections.abc import Callable
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import Invalid
from contracts.table import Column
from loader.core.column_type import ColumnType, Name
from loader.core.columns import CONVERSION_ERRORS, Faults

_EPOCH = date(1970, 1, 1).toordinal()
DAY_MIN, DAY_MAX = date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH
DAY_US = 24 * 60 * 60 * 1_000_000
_YEARS = "outside the years 1 to 9999"


def fit(array: pa.Array, column: Column, target: ColumnType) -> tuple[pa.Array, Faults]:
    """The array as the target column's type, NULL where a value doesn't fit, and why. Raises Invalid when no value of this
    source column could ever fit the target's type: the table has to be made anew."""
    kind = array.type
    match target.name:
        case Name.VARCHAR if pa.types.is_string(kind):
            return _text(array, target)
        case Name.VARBYTE if pa.types.is_binary(kind):
            return _refuse(array, pc.greater(pc.binary_length(array), target.length), lambda i: _too_long(array, i, target))
        case Name.SMALLINT | Name.INTEGER | Name.BIGINT | Name.DECIMAL if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            return _number(array, target)
        case Name.REAL | Name.DOUBLE if pa.types.is_floating(kind):
            cast = array.cast(target.arrow, safe=False)
            return _refuse(cast, pc.is_inf(cast), lambda _: f"outside {target.sql}")
        case Name.DATE if kind == target.arrow:
            return _between(array, pa.int32(), DAY_MIN, DAY_MAX)
        case Name.TIMESTAMP | Name.TIMESTAMPTZ if kind == target.arrow:
            return _between(array, pa.int64(), DAY_MIN * DAY_US, (DAY_MAX + 1) * DAY_US - 1)
        case Name.BOOLEAN if kind == target.arrow:
            return array, {}
        case _:
            raise Invalid(
                f"column {column.name}: {column.kind.value} can't be loaded into {target.sql}; its type changed too far:"
                f" drop the target table and snapshot it again"
            )


def _refuse(array: pa.Array, bad: pa.Array, reason: Callable[[int], str]) -> tuple[pa.Array, Faults]:
    if not pc.any(bad).as_py():
        return array, {}
    bad = pc.fill_null(bad, False)
    faults = {i: reason(i) for i in pc.indices_nonzero(bad).to_pylist()}
    return pc.if_else(bad, pa.scalar(None, array.type), array), faults


def _text(array: pa.Array, target: ColumnType) -> tuple[pa.Array, Faults]:
    long = pc.greater(pc.binary_length(array), target.length)
    # Redshift takes U+0000 in no text.
    holds_nul = pc.match_substring(array, "\x00")
    return _refuse(
        array, pc.or_(long, holds_nul), lambda i: _too_long(array, i, target) if long[i].as_py() else "holds the character U+0000"
    )


def _too_long(array: pa.Array, index: int, target: ColumnType) -> str:
    return f"{pc.binary_length(array[index]).as_py()} bytes do not fit {target.sql}"


def _between(array: pa.Array, view: pa.DataType, low: int, high: int) -> tuple[pa.Array, Faults]:
    numbers = array.view(view)
    return _refuse(array, pc.or_(pc.less(numbers, low), pc.greater(numbers, high)), lambda _: _YEARS)


def _number(array: pa.Array, target: ColumnType) -> tuple[pa.Array, Faults]:
    """An exact cast, halved where it fails until the values at fault stand alone."""
    if array.type == target.arrow:
        return array, {}
    if target.name is Name.DECIMAL and pa.types.is_integer(array.type):
        # Arrow casts no 64-bit integer to fewer than 19 digits, whatever its value.
        array = array.cast(pa.decimal128(38, 0))
    faults: Faults = {}

    def cast(start: int, part: pa.Array) -> pa.Array:
        try:
            return part.cast(target.arrow)
        except CONVERSION_ERRORS:
            if len(part) == 1:
                faults[start] = f"does not fit {target.sql}"
                return pa.nulls(1, target.arrow)
            middle = len(part) // 2
            return pa.concat_arrays([cast(start, part[:middle]), cast(start + middle, part[middle:])])

    return cast(0, array), faults
