"""Whether a column of one of the warehouse's types holds the values of another, as they are or converted.

Source: Redshift guide, "Type compatibility and conversion"; MySQL manual, "ALTER TABLE", what MODIFY makes of the values that are there.
"""

from loader.core.column_type import ColumnType, Name

_DIGITS = {Name.SMALLINT: 5, Name.INTEGER: 10, Name.BIGINT: 19}
_SIGN_AND_POINT = 2


def holds(column: ColumnType, other: ColumnType) -> bool:
    """Whether `column` takes every value of `other`, and shows it as it would."""
    if column.name is other.name and column.name in (Name.VARCHAR, Name.VARBYTE):
        return column.length >= other.length
    if other.name in _DIGITS and column.name in _DIGITS:
        return _DIGITS[column.name] >= _DIGITS[other.name]
    if other.name in _DIGITS and column.name is Name.DECIMAL and column.scale == 0:
        return column.precision >= _DIGITS[other.name] + (other.name is Name.BIGINT)  # one of 19 digits lacks -2**63
    return column == other


def converts(held: ColumnType, into: ColumnType) -> bool:
    """Whether a CAST makes of every value of type `held` what MySQL makes of it when the column becomes one of type `into`."""
    if holds(into, held):
        return True
    match held.name, into.name:
        case (Name.REAL, Name.DOUBLE) | (Name.DATE, Name.TIMESTAMP):
            return True
        case ((Name.SMALLINT | Name.INTEGER | Name.BIGINT | Name.DECIMAL), Name.DECIMAL):
            return into.scale >= held.scale and into.precision - into.scale >= _digits(held) - held.scale
        case ((Name.SMALLINT | Name.INTEGER | Name.BIGINT | Name.DECIMAL), Name.VARCHAR):
            return into.length >= _digits(held) + _SIGN_AND_POINT
        case _:
            return False


def _digits(number: ColumnType) -> int:
    return _DIGITS.get(number.name, number.precision)
