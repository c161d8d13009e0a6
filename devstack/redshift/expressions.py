"""Value expressions: read token by token, written for PostgreSQL. Only what is named here passes."""

from devstack.redshift import forms, queries
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
        form = forms.FORMS.get(token.upper)
        if form is not None and (token.upper in forms.WITHOUT_PARENTHESES or reader.peek(1).upper == "("):
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
    # After a dot any word is a name, and so is `oid`, which catalog tables have.
    parts = [reader.label() if reader.sees("OID") else reader.name()]
    while reader.accept("."):
        parts.append(reader.label())
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
    if reader.sees("IGNORE", "NULLS"):
        raise not_implemented("IGNORE NULLS")
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
