"""Expressions with a syntax of their own: CASE, CAST, EXTRACT, DATEADD, LISTAGG and the like, each read after its first word."""

from collections.abc import Callable

from devstack.redshift import expressions, queries
from devstack.redshift.columntypes import read_type
from devstack.redshift.functions import function
from devstack.redshift.lexer import literal
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import not_implemented

DATE_PARTS = {
    "YEAR": "year", "YEARS": "year", "YR": "year", "Y": "year", "QUARTER": "quarter", "QTR": "quarter", "MONTH": "month",
    "MONTHS": "month", "MON": "month", "WEEK": "week", "WEEKS": "week", "W": "week", "DAY": "day", "DAYS": "day", "D": "day",
    "HOUR": "hour", "HOURS": "hour", "HR": "hour", "H": "hour", "MINUTE": "minute", "MINUTES": "minute", "MIN": "minute",
    "M": "minute", "SECOND": "second", "SECONDS": "second", "SEC": "second", "S": "second", "MILLISECOND": "millisecond",
    "MILLISECONDS": "millisecond", "MS": "millisecond", "MICROSECOND": "microsecond", "MICROSECONDS": "microsecond", "US": "microsecond",
    "EPOCH": "epoch", "DOW": "dow", "DOY": "doy",
}  # fmt: skip


def case(reader: Reader) -> str:
    parts = ["CASE"]
    if not reader.sees("WHEN"):
        parts.append(expressions.expression(reader))
    while reader.accept("WHEN"):
        parts.append(f"WHEN {expressions.expression(reader)}")
        reader.expect("THEN")
        parts.append(f"THEN {expressions.expression(reader)}")
    if reader.accept("ELSE"):
        parts.append(f"ELSE {expressions.expression(reader)}")
    reader.expect("END")
    return " ".join([*parts, "END"])


def cast(reader: Reader) -> str:
    reader.expect("(")
    value = expressions.expression(reader)
    reader.expect("AS")
    to = read_type(reader).postgres
    reader.expect(")")
    return f"CAST({value} AS {to})"


def convert(reader: Reader) -> str:
    reader.expect("(")
    to = read_type(reader).postgres
    reader.expect(",")
    value = expressions.expression(reader)
    reader.expect(")")
    return f"CAST({value} AS {to})"


def extract(reader: Reader) -> str:
    reader.expect("(")
    part = date_part(reader)
    reader.expect("FROM")
    value = expressions.expression(reader)
    reader.expect(")")
    return f"CAST(floor(EXTRACT({part} FROM {value})) AS integer)" if part != "epoch" else f"EXTRACT(epoch FROM {value})::bigint"


def date_part(reader: Reader) -> str:
    token = reader.next()
    part = DATE_PARTS.get(token.text.upper())
    if part is None:
        raise not_implemented(f"date part {token.text!r}")
    return part


def dated(function_name: str) -> Callable[[Reader], str]:
    """DATEADD, DATEDIFF and DATE_PART take the name of a part as their first argument, bare or in quotes."""

    def read(reader: Reader) -> str:
        reader.expect("(")
        part = date_part(reader)
        reader.expect(",")
        arguments = ", ".join(expressions.expressions(reader))
        reader.expect(")")
        return f"standin.{function_name}('{part}', {arguments})"

    return read


def trim(reader: Reader) -> str:
    reader.expect("(")
    side = reader.accept_one("BOTH", "LEADING", "TRAILING") or "BOTH"
    if reader.accept("FROM"):
        characters, value = "' '", expressions.expression(reader)
    else:
        value = expressions.expression(reader)
        characters = "' '"
        if reader.accept("FROM"):
            characters, value = value, expressions.expression(reader)
    reader.expect(")")
    return f"TRIM({side} {characters} FROM {value})"


def substring(reader: Reader) -> str:
    reader.expect("(")
    arguments = [expressions.expression(reader)]
    while reader.accept(",") or reader.accept_one("FROM", "FOR"):
        arguments.append(expressions.expression(reader))
    reader.expect(")")
    return function("SUBSTR").call("SUBSTRING", arguments)


def position(reader: Reader) -> str:
    reader.expect("(")
    needle = expressions.operand(reader)
    reader.expect("IN")
    haystack = expressions.expression(reader)
    reader.expect(")")
    return f"pg_catalog.strpos({haystack}, {needle})"


def exists(reader: Reader) -> str:
    return "EXISTS " + expressions.parenthesised(reader)


def interval(reader: Reader) -> str:
    value = reader.string()
    if reader.peek().upper in DATE_PARTS:
        value = f"{value} {reader.next().text}"
    return f"INTERVAL {literal(value)}"


def listagg(reader: Reader) -> str:
    """LISTAGG(x, sep) WITHIN GROUP (ORDER BY ...) is PostgreSQL's string_agg with the order inside."""
    reader.expect("(")
    distinct = "DISTINCT " if reader.accept("DISTINCT") else ""
    value = expressions.expression(reader)
    separator = literal(reader.string()) if reader.accept(",") else "''"
    reader.expect(")")
    order = ""
    if reader.accept("WITHIN", "GROUP"):
        reader.expect("(", "ORDER", "BY")
        order = f" ORDER BY {queries.ordering(reader)}"
        reader.expect(")")
    if reader.sees("OVER"):
        raise not_implemented("LISTAGG as a window function")
    return f"standin.listagg(string_agg({distinct}CAST({value} AS varchar), {separator}{order}))"


FORMS: dict[str, Callable[[Reader], str]] = {
    "CASE": case, "CAST": cast, "CONVERT": convert, "EXTRACT": extract, "TRIM": trim, "SUBSTRING": substring, "POSITION": position,
    "EXISTS": exists, "INTERVAL": interval, "LISTAGG": listagg, "DATEADD": dated("dateadd"), "DATEDIFF": dated("datediff"),
    "DATE_ADD": dated("dateadd"), "DATE_DIFF": dated("datediff"), "DATE_PART": dated("date_part"),
}  # fmt: skip
WITHOUT_PARENTHESES = frozenset(["CASE", "INTERVAL"])
