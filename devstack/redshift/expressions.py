"""Value expressions: read token by token, written for PostgreSQL. Only what is named here passes."""

from collections.abc import Callable

from devstack.redshift import queries
from devstack.redshift.columntypes import read_type
from devstack.redshift.functions import AGGREGATES, WINDOW, function
from devstack.redshift.lexer import Kind, literal
from devstack.redshift.names import quoted
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented

OPERATORS = frozenset(["=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "^", "||", "~", "!~", "~*", "!~*", "|", "&"])
WORD_OPERATORS = frozenset(["AND", "OR", "LIKE", "ILIKE"])
CONSTANTS = {
    "NULL": "NULL", "TRUE": "TRUE", "FALSE": "FALSE", "CURRENT_USER": "CURRENT_USER", "USER": "CURRENT_USER",
    "SESSION_USER": "SESSION_USER", "CURRENT_DATE": "CURRENT_DATE", "SYSDATE": "standin.sysdate()",
}  # fmt: skip
DATE_PARTS = {
    "YEAR": "year", "YEARS": "year", "YR": "year", "Y": "year", "QUARTER": "quarter", "QTR": "quarter", "MONTH": "month",
    "MONTHS": "month", "MON": "month", "WEEK": "week", "WEEKS": "week", "W": "week", "DAY": "day", "DAYS": "day", "D": "day",
    "HOUR": "hour", "HOURS": "hour", "HR": "hour", "H": "hour", "MINUTE": "minute", "MINUTES": "minute", "MIN": "minute",
    "M": "minute", "SECOND": "second", "SECONDS": "second", "SEC": "second", "S": "second", "MILLISECOND": "millisecond",
    "MILLISECONDS": "millisecond", "MS": "millisecond", "MICROSECOND": "microsecond", "MICROSECONDS": "microsecond", "US": "microsecond",
    "EPOCH": "epoch", "DOW": "dow", "DOY": "doy",
}  # fmt: skip
SYSTEM_COLUMNS = frozenset(["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"])


def expression(reader: Reader) -> str:
    """One value expression, a condition included. Operators are written in the order they were read: both servers give them
    the same precedence."""
    parts: list[str] = []
    while True:
        parts.append(operand(reader))
        while (suffix := postfix(reader)) is not None:
            parts.append(suffix)
        operator = infix(reader)
        if operator is None:
            return " ".join(parts)
        parts.append(operator)


def expressions(reader: Reader) -> list[str]:
    found = [expression(reader)]
    while reader.accept(","):
        found.append(expression(reader))
    return found


def infix(reader: Reader) -> str | None:
    if reader.sees_one(*OPERATORS):
        operator = reader.next().text
        quantifier = reader.accept_one("ANY", "SOME", "ALL")
        return operator if quantifier is None else f"{operator} {quantifier}"
    if reader.sees_one(*WORD_OPERATORS):
        return reader.next().upper
    for words in (("NOT", "LIKE"), ("NOT", "ILIKE"), ("NOT", "BETWEEN"), ("BETWEEN",), ("NOT", "SIMILAR", "TO"), ("SIMILAR", "TO")):
        if reader.accept(*words):
            return " ".join(words)
    if reader.accept("ESCAPE"):
        return "ESCAPE"
    return None


def postfix(reader: Reader) -> str | None:
    """What may follow a whole operand: a cast, IS NULL, IN (...), a time zone."""
    if reader.accept("::"):
        return f":: {read_type(reader).postgres}"
    if reader.accept("AT", "TIME", "ZONE"):
        return f"AT TIME ZONE {operand(reader)}"
    if reader.accept("ISNULL"):
        return "IS NULL"
    if reader.accept("NOTNULL"):
        return "IS NOT NULL"
    if reader.accept("IS"):
        negation = "NOT " if reader.accept("NOT") else ""
        return f"IS {negation}{reader.expect_one('NULL', 'TRUE', 'FALSE', 'UNKNOWN')}"
    if reader.sees("IN") or reader.sees("NOT", "IN"):
        negation = "NOT " if reader.accept("NOT") else ""
        reader.expect("IN")
        return f"{negation}IN {parenthesised(reader)}"
    return None


def operand(reader: Reader) -> str:
    token = reader.peek()
    if reader.sees_one("-", "+"):
        return reader.next().text + " " + operand(reader)
    if reader.accept("NOT"):
        return "NOT " + operand(reader)
    if reader.sees("("):
        return parenthesised(reader)
    if token.kind is Kind.STRING:
        return literal(reader.next().text)
    if token.kind in (Kind.NUMBER, Kind.PARAMETER):
        return reader.next().text
    if token.kind is Kind.WORD:
        form = FORMS.get(token.upper)
        if form is not None and (token.upper in ALWAYS_FORMS or reader.peek(1).upper == "("):
            reader.next()
            return form(reader)
        if token.upper in ("DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIME") and reader.peek(1).kind is Kind.STRING:
            return f"{reader.next().upper} {literal(reader.string())}"
        if token.upper in CONSTANTS:
            reader.next()
            return CONSTANTS[token.upper]
        if reader.peek(1).upper == "(":
            return call(reader)
    return column(reader)


def parenthesised(reader: Reader) -> str:
    """A subquery or a list of expressions, in its parentheses."""
    reader.expect("(")
    if reader.sees_one("SELECT", "WITH") or reader.sees("(", "SELECT"):
        inner = queries.query(reader)
    else:
        inner = ", ".join(expressions(reader))
    reader.expect(")")
    return f"({inner})"


def column(reader: Reader) -> str:
    parts = [reader.name()]
    while reader.accept("."):
        parts.append(reader.name())
    if len(parts) > 3:
        raise not_implemented("SUPER navigation")
    if parts[-1] in SYSTEM_COLUMNS:
        raise SqlError(f'column "{parts[-1]}" does not exist', "42703")
    return ".".join(quoted(p) for p in parts)


# function calls ----------------------------------------------------------------------------------------------------------


def call(reader: Reader) -> str:
    name = reader.next().upper
    known = function(name)
    reader.functions.add(name)
    reader.expect("(")
    distinct = ""
    if known.aggregate:
        distinct = {"DISTINCT": "DISTINCT ", "ALL": "", None: ""}[reader.accept_one("DISTINCT", "ALL")]
    if name == "COUNT" and reader.accept("*"):
        arguments = ["*"]
    else:
        arguments = [] if reader.sees(")") else expressions(reader)
    reader.expect(")")
    if distinct:
        arguments = [distinct + arguments[0], *arguments[1:]]
    written = known.call(name, arguments)
    if name in WINDOW or (name in AGGREGATES and reader.sees("OVER")):
        return written + over(reader)
    return written


def over(reader: Reader) -> str:
    reader.accept("IGNORE", "NULLS") and unsupported("IGNORE NULLS")
    reader.accept("RESPECT", "NULLS")
    reader.expect("OVER", "(")
    parts: list[str] = []
    if reader.accept("PARTITION", "BY"):
        parts.append("PARTITION BY " + ", ".join(expressions(reader)))
    if reader.accept("ORDER", "BY"):
        parts.append("ORDER BY " + queries.ordering(reader))
    if reader.accept("ROWS"):
        parts.append("ROWS " + frame(reader))
    reader.expect(")")
    return f" OVER ({' '.join(parts)})"


def unsupported(what: str) -> None:
    raise not_implemented(what)


def frame(reader: Reader) -> str:
    if reader.accept("BETWEEN"):
        start = frame_bound(reader)
        reader.expect("AND")
        return f"BETWEEN {start} AND {frame_bound(reader)}"
    return frame_bound(reader)


def frame_bound(reader: Reader) -> str:
    if reader.accept("CURRENT", "ROW"):
        return "CURRENT ROW"
    if reader.accept("UNBOUNDED"):
        return f"UNBOUNDED {reader.expect_one('PRECEDING', 'FOLLOWING')}"
    return f"{reader.integer()} {reader.expect_one('PRECEDING', 'FOLLOWING')}"


# forms with a syntax of their own, each read after its first word --------------------------------------------------------


def case(reader: Reader) -> str:
    parts = ["CASE"]
    if not reader.sees("WHEN"):
        parts.append(expression(reader))
    while reader.accept("WHEN"):
        parts.append(f"WHEN {expression(reader)}")
        reader.expect("THEN")
        parts.append(f"THEN {expression(reader)}")
    if reader.accept("ELSE"):
        parts.append(f"ELSE {expression(reader)}")
    reader.expect("END")
    return " ".join([*parts, "END"])


def cast(reader: Reader) -> str:
    reader.expect("(")
    value = expression(reader)
    reader.expect("AS")
    to = read_type(reader).postgres
    reader.expect(")")
    return f"CAST({value} AS {to})"


def convert(reader: Reader) -> str:
    reader.expect("(")
    to = read_type(reader).postgres
    reader.expect(",")
    value = expression(reader)
    reader.expect(")")
    return f"CAST({value} AS {to})"


def extract(reader: Reader) -> str:
    reader.expect("(")
    part = date_part(reader)
    reader.expect("FROM")
    value = expression(reader)
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
        arguments = ", ".join(expressions(reader))
        reader.expect(")")
        return f"standin.{function_name}('{part}', {arguments})"

    return read


def trim(reader: Reader) -> str:
    reader.expect("(")
    side = reader.accept_one("BOTH", "LEADING", "TRAILING") or "BOTH"
    if reader.accept("FROM"):
        characters, value = "' '", expression(reader)
    else:
        value = expression(reader)
        characters = "' '"
        if reader.accept("FROM"):
            characters, value = value, expression(reader)
    reader.expect(")")
    return f"TRIM({side} {characters} FROM {value})"


def substring(reader: Reader) -> str:
    reader.expect("(")
    arguments = [expression(reader)]
    while reader.accept(",") or reader.accept_one("FROM", "FOR"):
        arguments.append(expression(reader))
    reader.expect(")")
    return function("SUBSTR").call("SUBSTRING", arguments)


def position(reader: Reader) -> str:
    reader.expect("(")
    needle = operand(reader)
    reader.expect("IN")
    haystack = expression(reader)
    reader.expect(")")
    return f"pg_catalog.strpos({haystack}, {needle})"


def exists(reader: Reader) -> str:
    return "EXISTS " + parenthesised(reader)


def interval(reader: Reader) -> str:
    value = reader.string()
    if reader.peek().upper in DATE_PARTS:
        value = f"{value} {reader.next().text}"
    return f"INTERVAL {literal(value)}"


def listagg(reader: Reader) -> str:
    """LISTAGG(x, sep) WITHIN GROUP (ORDER BY ...) is PostgreSQL's string_agg with the order inside."""
    reader.expect("(")
    distinct = "DISTINCT " if reader.accept("DISTINCT") else ""
    value = expression(reader)
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
ALWAYS_FORMS = frozenset(["CASE", "INTERVAL"])
