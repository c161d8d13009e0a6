"""A target table that is already there against the one a schema asks for: it takes the rows as it stands, or once its text columns are
widened, which loses nothing; any other difference is for a person to mend.

Source: Redshift guide, "ALTER TABLE": only a VARCHAR grows in place, in a transaction of its own, and none of a primary key.
"""

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


def widenings(target: TargetTable, standing: Sequence[StandingColumn]) -> list[str]:
    """The statements that make room for the target's rows where a text column of the source has grown, each for a transaction of its own
    and safe to repeat; none when the table takes the rows as it stands, as one with longer columns does. Raises Invalid, naming table,
    column and what to run, when that isn't enough: a column is missing, of another type, or belongs to the source no more, or a text
    column of the primary key is too short."""
    table, source = qualified(target.schema, target.name), target.source.table
    wanted = {column.name: column for column in table_columns(target)}
    there = {column.name: column for column in standing}
    statements = []
    for name, column in wanted.items():
        if name not in there:
            raise _misfit(f"lacks column {name} of {source}", f"ALTER TABLE {table} ADD COLUMN {_added(column)}", target, name)
        if _takes(there[name], column):
            continue
        if not _is_text(there[name], column) or name in target.key or not column.source:
            raise _misfit(
                f"has column {name} as {there[name].sql_type}, and {source} needs {column.sql_type}",
                _retyped(target, there[name], column),
                target,
                name,
            )
        statements.append(_widened(table, column))
    for name in there.keys() - wanted.keys():
        raise _misfit(f"has column {name}, which {source} has not", _dropped(table, name), target, name)
    return statements


def refuse_other_mode(target: TargetTable, standing: Sequence[StandingColumn]) -> None:
    """The same for the columns the mode adds, and for those another mode has added."""
    ours = OWN_COLUMNS - {column.name for column in target.columns}
    widenings(replace(target, columns=()), [column for column in standing if column.name in ours])


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


def _is_text(standing: StandingColumn, wanted: TargetColumn) -> bool:
    return wanted.sql_type.startswith("VARCHAR(") and standing.sql_type.startswith("VARCHAR(")


def _widened(table: str, column: TargetColumn) -> str:
    return f"ALTER TABLE {table} ALTER COLUMN {quote(column.name)} TYPE {column.sql_type}"


def _retyped(target: TargetTable, standing: StandingColumn, wanted: TargetColumn) -> str:
    table = qualified(target.schema, target.name)
    if not _is_text(standing, wanted):
        return f"DROP TABLE {table}, and read the table again: streamer snapshot -t TABLE"
    if wanted.name not in target.key:
        return _widened(table, wanted)
    key = ", ".join(quote(name) for name in target.key)
    constraint = quote(f"{target.name}_pkey")
    return f"ALTER TABLE {table} DROP CONSTRAINT {constraint}; {_widened(table, wanted)}; ALTER TABLE {table} ADD PRIMARY KEY ({key})"


def _misfit(what: str, fix: str, target: TargetTable, column: str) -> Invalid:
    return Invalid(f"table {target.schema}.{target.name} {what}. Run: {fix}", table=f"{target.schema}.{target.name}", column=column)
