"""INSERT, UPDATE, DELETE, TRUNCATE and MERGE."""

from devstack.redshift import expressions, queries
from devstack.redshift.functions import COPY_HISTORY
from devstack.redshift.names import Relation, quoted, system_relation
from devstack.redshift.plan import Forward, Lock, Script
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented


def target(reader: Reader) -> Relation:
    relation = reader.relation()
    if system_relation(relation) is not None:
        raise SqlError(f"permission denied for relation {relation.name}", "42501")
    return relation


def change(reader: Reader, verb: str, sql: str, table: Relation, *, shared: bool = False) -> Forward:
    return Forward(verb, sql, (Lock(table, shared),), bool(reader.functions & COPY_HISTORY))


def insert(reader: Reader) -> Forward:
    reader.expect("INSERT", "INTO")
    table = target(reader)
    columns = ""
    if reader.sees("(") and reader.peek(1).upper != "SELECT":
        columns = f" ({', '.join(quoted(c) for c in reader.names_in_parentheses())})"
    if reader.accept("DEFAULT", "VALUES"):
        source = "DEFAULT VALUES"
    elif reader.accept("VALUES"):
        source = "VALUES " + ", ".join(rows(reader))
    else:
        source = queries.query(reader)
    reader.end()
    return change(reader, "insert", f"INSERT INTO {table.sql}{columns} {source}", table, shared=True)


def rows(reader: Reader) -> list[str]:
    found = [row(reader)]
    while reader.accept(","):
        found.append(row(reader))
    return found


def row(reader: Reader) -> str:
    reader.expect("(")
    values = [value(reader)]
    while reader.accept(","):
        values.append(value(reader))
    reader.expect(")")
    return f"({', '.join(values)})"


def value(reader: Reader) -> str:
    return "DEFAULT" if reader.accept("DEFAULT") else expressions.expression(reader)


def update(reader: Reader) -> Forward:
    leading = queries.with_clause(reader) + " " if reader.sees("WITH") else ""
    reader.expect("UPDATE")
    table = target(reader)
    alias = queries.table_alias(reader)
    sql = f"{leading}UPDATE {table.sql}{f' AS {alias}' if alias else ''} SET {', '.join(assignments(reader))}"
    if reader.accept("FROM"):
        sql += " FROM " + queries.from_items(reader)
    sql += where(reader)
    reader.end()
    return change(reader, "update", sql, table)


def assignments(reader: Reader) -> list[str]:
    reader.expect("SET")
    found: list[str] = []
    while True:
        name = reader.name_sql()
        if reader.sees("."):
            raise SqlError("SET takes column names without a table", "42601")
        reader.expect("=")
        found.append(f"{name} = {value(reader)}")
        if not reader.accept(","):
            return found


def where(reader: Reader) -> str:
    return f" WHERE {expressions.expression(reader)}" if reader.accept("WHERE") else ""


def delete(reader: Reader) -> Forward:
    leading = queries.with_clause(reader) + " " if reader.sees("WITH") else ""
    reader.expect("DELETE")
    reader.accept("FROM")
    table = target(reader)
    if queries.table_alias(reader) is not None:
        raise not_implemented("an alias of DELETE's target")
    sql = f"{leading}DELETE FROM {table.sql}"
    if reader.accept("USING"):
        sql += " USING " + queries.from_items(reader)
    sql += where(reader)
    reader.end()
    return change(reader, "delete", sql, table)


def truncate(reader: Reader) -> Script:
    """TRUNCATE commits the transaction it runs in, with all that came before it. Source: guide, "TRUNCATE"."""
    reader.expect("TRUNCATE")
    reader.accept("TABLE")
    table = target(reader)
    reader.end()
    return Script("truncate", (f"TRUNCATE TABLE {table.sql}",), "TRUNCATE TABLE", commits=True)


# MERGE. Source: guide, "MERGE" -----------------------------------------------------------------------------------------------


def merge(reader: Reader) -> Forward | Script:
    reader.expect("MERGE", "INTO")
    table = target(reader)
    if not reader.sees("USING"):
        raise SqlError("MERGE: the target table takes no alias")
    reader.expect("USING")
    if reader.sees("("):
        raise SqlError("MERGE: source must be a table, not a subquery", "0A000")
    source = target(reader)
    if source == table:
        raise SqlError("MERGE: source and target cannot be the same table")
    alias = queries.table_alias(reader)
    using = source.sql if alias is None else f"{source.sql} AS {alias}"
    reader.expect("ON")
    condition = expressions.expression(reader)
    if reader.accept("REMOVE", "DUPLICATES"):
        reader.end()
        return remove_duplicates(table, using, alias or source.sql, condition)
    matched = matched_clause(reader)
    missing = not_matched_clause(reader)
    reader.end()
    return change(reader, "merge", f"MERGE INTO {table.sql} USING {using} ON {condition} {matched} {missing}", table)


def matched_clause(reader: Reader) -> str:
    reader.expect("WHEN", "MATCHED", "THEN")
    if reader.accept("DELETE"):
        return "WHEN MATCHED THEN DELETE"
    reader.expect("UPDATE")
    return f"WHEN MATCHED THEN UPDATE SET {', '.join(assignments(reader))}"


def not_matched_clause(reader: Reader) -> str:
    reader.expect("WHEN", "NOT", "MATCHED", "THEN", "INSERT")
    columns = f" ({', '.join(quoted(c) for c in reader.names_in_parentheses())})" if reader.sees("(") else ""
    reader.expect("VALUES")
    return f"WHEN NOT MATCHED THEN INSERT{columns} VALUES {row(reader)}"


def remove_duplicates(table: Relation, using: str, source: str, condition: str) -> Script:
    """As the guide explains it: keep one of each matching source row, delete the matches, insert what was kept."""
    kept = quoted("standin merge")
    return Script(
        verb="merge",
        steps=(
            f"CREATE TEMP TABLE {kept} AS SELECT DISTINCT {source}.* FROM {using}",
            f"DELETE FROM {table.sql} USING {using} WHERE {condition}",
            f"INSERT INTO {table.sql} SELECT * FROM {kept}",
            f"DROP TABLE {kept}",
        ),
        tag="MERGE",
        locks=(Lock(table, shared=False),),
        count_of_step=2,
    )
