"""SELECT: read clause by clause, written for PostgreSQL."""

from devstack.redshift import expressions
from devstack.redshift.names import quoted, system_relation
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented

NOT_AN_ALIAS = frozenset(["SET", "VALUES", "WHERE", "SELECT", "TABLESAMPLE", "QUALIFY", "WINDOW", "FETCH", "RETURNING"])


def query(reader: Reader) -> str:
    """A whole query: WITH, SELECTs joined by set operators, ORDER BY, LIMIT and OFFSET."""
    parts: list[str] = []
    if reader.sees("WITH"):
        parts.append(with_clause(reader))
    parts.append(select_term(reader))
    while True:
        operator = reader.accept_one("UNION", "INTERSECT", "EXCEPT", "MINUS")
        if operator is None:
            break
        every = " ALL" if reader.accept("ALL") else ""
        if every and operator != "UNION":
            raise not_implemented(f"{operator} ALL")
        parts.append(("EXCEPT" if operator == "MINUS" else operator) + every)
        parts.append(select_term(reader))
    if reader.accept("ORDER", "BY"):
        parts.append("ORDER BY " + ordering(reader))
    if reader.accept("LIMIT"):
        parts.append("LIMIT ALL" if reader.accept("ALL") else "LIMIT " + expressions.operand(reader))
    if reader.accept("OFFSET"):
        parts.append("OFFSET " + expressions.operand(reader))
    return " ".join(parts)


def with_clause(reader: Reader) -> str:
    reader.expect("WITH")
    recursive = "RECURSIVE " if reader.accept("RECURSIVE") else ""
    tables: list[str] = []
    while True:
        name = reader.name_sql()
        columns = ""
        if reader.sees("("):
            columns = f" ({', '.join(quoted(c) for c in reader.names_in_parentheses())})"
        reader.expect("AS", "(")
        tables.append(f"{name}{columns} AS ({query(reader)})")
        reader.expect(")")
        if not reader.accept(","):
            return f"WITH {recursive}{', '.join(tables)}"


def select_term(reader: Reader) -> str:
    if reader.accept("("):
        inner = query(reader)
        reader.expect(")")
        return f"({inner})"
    return select(reader)


def select(reader: Reader) -> str:
    reader.expect("SELECT")
    parts = ["SELECT"]
    top = expressions.operand(reader) if reader.accept("TOP") else None
    if reader.accept("DISTINCT"):
        if reader.sees("ON", "("):
            raise reader.error()
        parts.append("DISTINCT")
    else:
        reader.accept("ALL")
    parts.append(", ".join(select_list(reader)))
    if reader.sees("INTO"):
        raise not_implemented("SELECT INTO")
    if reader.accept("FROM"):
        parts.append("FROM " + from_items(reader))
    if reader.accept("WHERE"):
        parts.append("WHERE " + expressions.expression(reader))
    if reader.accept("GROUP", "BY"):
        parts.append("GROUP BY " + ", ".join(expressions.expressions(reader)))
    if reader.accept("HAVING"):
        parts.append("HAVING " + expressions.expression(reader))
    if top is not None:
        if reader.accept("ORDER", "BY"):
            parts.append("ORDER BY " + ordering(reader))
        return f"({' '.join(parts)} LIMIT {top})"
    return " ".join(parts)


def select_list(reader: Reader) -> list[str]:
    items = [select_item(reader)]
    while reader.accept(","):
        items.append(select_item(reader))
    return items


def select_item(reader: Reader) -> str:
    if reader.accept("*"):
        return "*"
    mark = reader.at
    if reader.sees_name():
        qualifier = [reader.name()]
        while reader.accept("."):
            if reader.accept("*"):
                return ".".join(quoted(q) for q in qualifier) + ".*"
            qualifier.append(reader.label())
    reader.at = mark
    value = expressions.expression(reader)
    if reader.accept("AS"):
        return f"{value} AS {quoted(reader.label())}"
    if reader.sees_name() and reader.peek().upper not in NOT_AN_ALIAS:
        return f"{value} AS {reader.name_sql()}"
    return value


def from_items(reader: Reader) -> str:
    items = [joined(reader)]
    while reader.accept(","):
        items.append(joined(reader))
    return ", ".join(items)


def joined(reader: Reader) -> str:
    parts = [from_item(reader)]
    while True:
        if reader.accept("CROSS", "JOIN"):
            parts.append(f"CROSS JOIN {from_item(reader)}")
            continue
        kind = join_kind(reader)
        if kind is None:
            return " ".join(parts)
        parts.append(f"{kind} {from_item(reader)}")
        if reader.accept("USING"):
            parts.append(f"USING ({', '.join(quoted(c) for c in reader.names_in_parentheses())})")
        else:
            reader.expect("ON")
            parts.append("ON " + expressions.expression(reader))


def join_kind(reader: Reader) -> str | None:
    if reader.accept("JOIN") or reader.accept("INNER", "JOIN"):
        return "JOIN"
    side = reader.accept_one("LEFT", "RIGHT", "FULL")
    if side is None:
        return None
    reader.accept("OUTER")
    reader.expect("JOIN")
    return f"{side} JOIN"


def from_item(reader: Reader) -> str:
    if reader.accept("("):
        if not (reader.sees_one("SELECT", "WITH") or reader.sees("(")):
            inner = joined(reader)
            reader.expect(")")
            return f"({inner})"
        inner = query(reader)
        reader.expect(")")
        alias = table_alias(reader)
        if alias is None:
            raise SqlError("subquery in FROM must have an alias")
        return f"({inner}) AS {alias}"
    written = readable_relation(reader)
    alias = table_alias(reader)
    return written if alias is None else f"{written} AS {alias}"


def readable_relation(reader: Reader) -> str:
    """A table or view that is read: a user's, or a system view the stand-in has."""
    relation = reader.relation()
    if reader.sees("("):
        raise not_implemented(f"function {relation} in FROM")
    reader.relations.append(relation)
    return system_relation(relation) or relation.sql


def table_alias(reader: Reader) -> str | None:
    if reader.accept("AS"):
        return reader.name_sql()
    if reader.sees_name() and reader.peek().upper not in NOT_AN_ALIAS:
        return reader.name_sql()
    return None


def ordering(reader: Reader) -> str:
    """Redshift sorts NULLs last ascending and first descending, as PostgreSQL does."""
    items: list[str] = []
    while True:
        item = expressions.expression(reader)
        direction = reader.accept_one("ASC", "DESC")
        if direction:
            item += f" {direction}"
        if reader.accept("NULLS"):
            item += f" NULLS {reader.expect_one('FIRST', 'LAST')}"
        items.append(item)
        if not reader.accept(","):
            return ", ".join(items)
