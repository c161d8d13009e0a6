"""One Redshift statement -> the plan the stand-in runs. Pure, and closed: a statement that is not known here is refused."""

from collections.abc import Callable

from devstack.redshift import changes, objects, queries, tables, transactions
from devstack.redshift.alterations import alter_table
from devstack.redshift.copystatement import copy
from devstack.redshift.functions import COPY_HISTORY
from devstack.redshift.lexer import tokens
from devstack.redshift.names import LongNames
from devstack.redshift.plan import Forward, Plan
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented


def translate(sql: str, long_names: LongNames | None = None, *, case_sensitive: bool = False) -> Plan | None:
    """The plan of one statement, None for an empty one. Raises SqlError: 42601 for a syntax error, 0A000 with
    "stand-in: ... not implemented" for what Redshift may know and the stand-in does not."""
    found = tokens(sql)
    while len(found) > 1 and found[-2].upper == ";":
        del found[-2]
    if any(token.upper == ";" for token in found):
        raise SqlError("cannot insert multiple commands into a prepared statement")
    if len(found) == 1:
        return None
    reader = Reader(found, long_names or LongNames(), case_sensitive)
    return statement(reader)


def select(reader: Reader) -> Forward:
    sql = queries.query(reader)
    reader.end()
    return Forward("select", sql, reads_copy_history=bool(reader.functions & COPY_HISTORY))


def with_statement(reader: Reader) -> Plan:
    """WITH may lead a SELECT, UPDATE or DELETE: the word after its tables says which."""
    probe = Reader(reader.tokens, reader.long_names, reader.case_sensitive)
    queries.with_clause(probe)
    return {"UPDATE": changes.update, "DELETE": changes.delete}.get(probe.peek().upper, select)(reader)


def create(reader: Reader) -> Plan:
    reader.expect("CREATE")
    if reader.accept("OR", "REPLACE"):
        reader.expect("VIEW")
        return objects.create_view(reader, replace=True)
    if reader.accept("VIEW"):
        return objects.create_view(reader, replace=False)
    for word, plan in (
        ("SCHEMA", objects.create_schema),
        ("USER", objects.create_user),
        ("GROUP", objects.create_group),
        ("ROLE", objects.create_role),
    ):
        if reader.accept(word):
            return plan(reader)
    if reader.sees_one("TABLE", "LOCAL", "TEMP", "TEMPORARY"):
        return tables.create_table(reader)
    raise not_implemented(f"CREATE {reader.peek().text.upper()}")


def alter(reader: Reader) -> Plan:
    reader.expect("ALTER")
    for word, plan in (
        ("TABLE", alter_table),
        ("SCHEMA", objects.alter_schema),
        ("GROUP", objects.alter_group),
        ("DEFAULT", objects.default_privileges),
    ):
        if reader.accept(word):
            return plan(reader)
    raise not_implemented(f"ALTER {reader.peek().text.upper()}")


STATEMENTS: dict[str, Callable[[Reader], Plan]] = {
    "SELECT": select, "(": select, "WITH": with_statement,
    "INSERT": changes.insert, "UPDATE": changes.update, "DELETE": changes.delete, "MERGE": changes.merge, "TRUNCATE": changes.truncate,
    "COPY": copy, "CREATE": create, "ALTER": alter, "DROP": objects.drop, "GRANT": objects.grant, "REVOKE": objects.grant,
    "BEGIN": transactions.begin, "START": transactions.begin,
    "COMMIT": transactions.finish, "END": transactions.finish, "ROLLBACK": transactions.finish, "ABORT": transactions.finish,
    "LOCK": transactions.lock, "SET": transactions.set_setting, "RESET": transactions.reset, "SHOW": transactions.show,
    "VACUUM": transactions.maintenance, "ANALYZE": transactions.maintenance, "ANALYSE": transactions.maintenance,
}  # fmt: skip


def statement(reader: Reader) -> Plan:
    word = reader.peek().upper
    plan = STATEMENTS.get(word)
    if plan is None:
        raise not_implemented(f"statement {reader.peek().text.upper()}")
    return plan(reader)
