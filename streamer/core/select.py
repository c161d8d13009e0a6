"""SQL that reads rows so that their text is exact: every value in a form from which `selected` makes what the binlog would have given.

The session it runs in is SESSION_SQL's; the answer is the text protocol's, with text in each column's own character set.
Source: MySQL manual, "Range Optimization", "Character Set Introducers", "Cast Functions and Operators".
"""

from collections.abc import Mapping, Sequence

from contracts.envelope import Value
from contracts.errors import Invalid
from contracts.progress import RowCursor
from contracts.table import Column, Kind
from streamer.core import literals
from streamer.core.definition import Definition
from streamer.core.sql import TokenKind, tokens

SESSION_SQL = (
    "SET SESSION time_zone = '+00:00', character_set_results = NULL, sql_mode = 'ALLOW_INVALID_DATES', "
    # DEFAULT would be what the server sets for all sessions.
    "sql_select_limit = 18446744073709551615, max_execution_time = 0, show_gipk_in_create_table_and_information_schema = ON"
)
"""To be run after `SET NAMES utf8mb4`. The mode lets dates that are none stand in conditions as they stand in columns, and pads no CHAR."""


def select_rows(definition: Definition, after: RowCursor | None, where: str | None, rows_max: int) -> str:
    """At most `rows_max` rows in order, behind `after`, of those that `where` (a condition in SQL) chooses; of a table without an order all
    rows, in any order: it can only be read in one go.

    Raises Invalid for a `where` that is not one whole condition, and for values in `after` that the SELECT of such a table cannot have
    given: its columns may have got other types since."""
    if after is not None and (after.columns != definition.order or len(after.values) != len(after.columns) or not after.columns):
        raise ValueError(f"the rows of {definition.schema.table} are ordered by {definition.order}, not by {after.columns}")
    conditions = []
    if after is not None:
        conditions.append(_behind(definition, after))
    if where is not None:
        conditions.append(_whole(where, definition))
    sql = _select(definition, conditions)
    if definition.order:
        sql += f" ORDER BY {', '.join(map(quote, definition.order))} LIMIT {rows_max}"
    return sql


def select_keys(definition: Definition, keys: Sequence[Mapping[str, Value]]) -> str:
    """The rows with these Kafka keys, JSON objects in the forms of envelopes: all rows that have one of them, and maybe others, which
    the server takes for equal (letters of another case) or a key does not tell apart (dates that are none, null in JSON).

    Every key costs the server's optimizer memory: some thousands at a time. Raises Invalid, naming the column, for what is not a key of
    the table as it is now."""
    if not keys:
        raise ValueError("no keys to select rows by")
    return _select(definition, [" OR ".join(_is_key(definition, key) for key in keys)])


def quote(name: str) -> str:
    """A name in MySQL's SQL."""
    return "`" + name.replace("`", "``") + "`"


def expression(definition: Definition, column: Column) -> str:
    """What selects a column's exact value."""
    name, kind = quote(column.name), column.kind
    if kind in (Kind.FLOAT, Kind.DOUBLE):
        return f"CAST({name} AS DOUBLE)"  # itself it is shown in six digits, or in those of its declared scale
    if kind is Kind.DECIMAL and column.name in definition.padded:
        return f"CAST({name} AS DECIMAL({column.precision},{column.scale}))"
    if kind is Kind.BIT:
        return f"CAST({name} AS UNSIGNED)"
    if kind in (Kind.ENUM, Kind.SET):
        number = f"CAST({name} AS UNSIGNED)"
        if not _is_ambiguous(column):
            return number
        # What the catalogue shows as `?` may be another character; then the label is not known by its number, and comes spelled out.
        whole, narrow = f"CONVERT({name} USING utf8mb4)", f"CONVERT(CONVERT({name} USING utf8mb3) USING utf8mb4)"
        return f"IF({narrow} COLLATE utf8mb4_bin <=> {whole}, {number}, CONCAT('-', {whole}))"
    return name


_WIDE_CHARSETS = frozenset({"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"})


def _is_ambiguous(column: Column) -> bool:
    """Whether a label may hold a character beyond U+FFFF: the catalogue, in three bytes a character, shows `?` for it."""
    return column.charset in _WIDE_CHARSETS and any("?" in label for label in column.labels)


def _select(definition: Definition, conditions: Sequence[str]) -> str:
    table = definition.schema.table
    columns = ", ".join(expression(definition, column) for column in definition.schema.columns)
    sql = f"SELECT {columns} FROM {quote(table.database)}.{quote(table.name)}"
    return f"{sql} WHERE {' AND '.join(conditions)}" if conditions else sql


def _behind(definition: Definition, after: RowCursor) -> str:
    """`a >= x AND (a > x OR (a = x AND (b > y …)))`: the first comparison makes the range of the index, the others are exact."""
    parts = []
    for name, text in zip(after.columns, after.values, strict=True):
        column = definition.schema.by_name[name]
        try:
            parts.append((column, literals.of_text(column, text)))
        except ValueError as error:
            raise Invalid(f"a reading of {definition.schema.table} cannot go on: column {name}, {error}", column=name) from error
    column, value = parts[-1]
    condition = _compared(column, ">", value)
    for column, value in reversed(parts[:-1]):
        equal = f"({_compared(column, '=', value)} AND {condition})"
        condition = f"({_compared(column, '>', value)} OR {equal})"
        condition = f"({_compared(column, '>=', value)} AND {condition})"
    return condition


def _compared(column: Column, operator: str, value: str) -> str:
    name = quote(column.name)
    if column.kind is Kind.ENUM and operator != "=":
        # By number, and for single numbers the index is used, for ranges of them it is not.
        numbers = range(int(value) + (operator == ">"), len(column.labels) + 1)
        if len(numbers) <= _ENUM_NUMBERS_MAX:
            return f"{name} IN ({', '.join(map(str, numbers))})" if numbers else "FALSE"
    if column.kind is Kind.SET:
        name = f"CAST({name} AS UNSIGNED)"  # itself it is compared as a double, which has no room for 64 bits
    return f"{name} {operator} {value}"


_ENUM_NUMBERS_MAX = 256


def _whole(where: str, definition: Definition) -> str:
    """The condition in parentheses that it cannot leave, on a line of its own that no comment can pass. Raises Invalid."""
    condition = f"({where}\n)"
    depth = 0
    found = list(tokens(condition))
    for place, token in enumerate(found):
        if token.kind is TokenKind.MARK:
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        if (token.kind is TokenKind.MARK and token.text in ";'\"`") or (depth <= 0 and place < len(found) - 1):
            depth = -1
            break
    if depth != 0 or not where.strip() or len(found) <= 2:
        raise Invalid(
            f"not one whole condition for rows of {definition.schema.table}: {where!r:.200}; write what would stand behind WHERE, "
            "with its quotes, parentheses and comments closed"
        )
    return condition


def _is_key(definition: Definition, key: Mapping[str, Value]) -> str:
    table = definition.schema.table
    if not key:
        raise Invalid(f"a key of {table} without columns")
    alternatives: list[list[str]] = []
    for name, value in key.items():
        column = definition.schema.by_name.get(name)
        if column is None:
            raise Invalid(f"a key names column {name}, which {table} does not have (now)", table=str(table), column=name)
        try:
            alternatives.append(literals.conditions(column, quote(name), value))
        except ValueError as error:
            raise Invalid(f"a key of {table}: column {name}, {error}", table=str(table), column=name) from error
    if any(not of_column for of_column in alternatives):
        return "FALSE"
    return "(" + " AND ".join(of[0] if len(of) == 1 else f"({' OR '.join(of)})" for of in alternatives) + ")"
