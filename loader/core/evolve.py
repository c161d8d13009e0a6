"""A target table that is already there against the one a schema asks for: it takes the rows as it stands, or a person alters it first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contracts.errors import Invalid
from contracts.sql import qualified, quote
from loader.core.column_type import ColumnType, Name
from loader.core.plan import TargetColumn, TargetTable
from loader.core.target import DELETED, DELETED_MARK, OWN_COLUMNS, table_columns


@dataclass(frozen=True, slots=True)
class StandingColumn:
    """A column the warehouse's table has. `sql_type` as the loader would write it, or the warehouse's own words for a type it never
    makes."""

    name: str
    sql_type: str


def refuse_misfit(target: TargetTable, standing: Sequence[StandingColumn]) -> None:
    """Raises Invalid, naming table, column and the ALTER to run, when the table can't take the target's rows as it stands: a column is
    missing, of another type or too short, or belongs to the source no more. A longer one is fine."""
    table, source = qualified(target.schema, target.name), target.source.table
    wanted = {column.name: column for column in table_columns(target)}
    there = {column.name: column for column in standing}
    for name, column in wanted.items():
        if name not in there:
            raise _misfit(f"lacks column {name} of {source}", f"ALTER TABLE {table} ADD COLUMN {_added(column)}", target, name)
        if not _takes(there[name], column):
            raise _misfit(
                f"has column {name} as {there[name].sql_type}, and {source} needs {column.sql_type}",
                _alter(table, there[name], column),
                target,
                name,
            )
    for name in there.keys() - wanted.keys():
        raise _misfit(f"has column {name}, which {source} has not", _dropped(table, name), target, name)


def refuse_other_mode(target: TargetTable, standing: Sequence[StandingColumn]) -> None:
    """The same for the columns the mode adds, and for those another mode has added."""
    ours = OWN_COLUMNS - {column.name for column in target.columns}
    refuse_misfit(replace(target, columns=()), [column for column in standing if column.name in ours])


def _added(column: TargetColumn) -> str:
    # Rows that are there when the mark comes are not deleted.
    return f"{quote(column.name)} {column.sql_type}{' DEFAULT FALSE NOT NULL' if column is DELETED_MARK else ''}"


def _dropped(table: str, name: str) -> str:
    drop = f"ALTER TABLE {table} DROP COLUMN {quote(name)}"
    # Without the mark its rows would be there like any other.
    return f"DELETE FROM {table} WHERE {quote(name)}; {drop}" if name == DELETED else drop


def _takes(standing: StandingColumn, wanted: TargetColumn) -> bool:
    if standing.sql_type == wanted.sql_type:
        return True
    try:
        has, needs = ColumnType.parse(standing.sql_type), ColumnType.parse(wanted.sql_type)
    except ValueError:
        return False
    return has.name is needs.name and has.name in (Name.VARCHAR, Name.VARBYTE) and has.length >= needs.length


def _alter(table: str, standing: StandingColumn, wanted: TargetColumn) -> str:
    if ColumnType.parse(wanted.sql_type).name is Name.VARCHAR and standing.sql_type.startswith("VARCHAR("):
        return f"ALTER TABLE {table} ALTER COLUMN {quote(wanted.name)} TYPE {wanted.sql_type}"
    # Redshift alters no other type in place.
    return f"DROP TABLE {table}, and read the table again: streamer snapshot -t TABLE"


def _misfit(what: str, fix: str, target: TargetTable, column: str) -> Invalid:
    return Invalid(f"table {target.schema}.{target.name} {what}. Run: {fix}", table=f"{target.schema}.{target.name}", column=column)
