"""Transaction control, LOCK, and the session's settings."""

from devstack.redshift.changes import target
from devstack.redshift.lexer import Kind, literal
from devstack.redshift.names import folded, quoted
from devstack.redshift.plan import Block, Forward, Script
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented

# Redshift's setting -> the one PostgreSQL keeps it in; those it has not are kept under `standin.`.
SETTINGS = {
    "statement_timeout": "statement_timeout", "search_path": "search_path", "timezone": "timezone", "time zone": "timezone",
    "application_name": "application_name", "client_encoding": "client_encoding", "datestyle": "datestyle",
    "extra_float_digits": "extra_float_digits", "query_group": "standin.query_group",
    "wlm_query_slot_count": "standin.wlm_query_slot_count", "analyze_threshold_percent": "standin.analyze_threshold_percent",
    "enable_case_sensitive_identifier": "standin.enable_case_sensitive_identifier",
    "enable_result_cache_for_session": "standin.enable_result_cache_for_session", "json_parse_truncate_strings": "",
}  # fmt: skip
SHOWN = {**SETTINGS, "server_version": "standin.server_version", "transaction_isolation": "standin.isolation"}
CASE_SENSITIVE = "enable_case_sensitive_identifier"


def begin(reader: Reader) -> Forward:
    """Isolation levels other than the database's are accepted and mean nothing. Source: guide, "BEGIN"."""
    if reader.accept("START"):
        reader.expect("TRANSACTION")
    else:
        reader.expect("BEGIN")
        reader.accept_one("WORK", "TRANSACTION")
    access = ""
    while not reader.done:
        if reader.accept("ISOLATION", "LEVEL"):
            if not (reader.accept("SERIALIZABLE") or reader.accept("READ", "COMMITTED") or reader.accept("READ", "UNCOMMITTED")):
                reader.expect("REPEATABLE", "READ")
        elif reader.accept("READ", "ONLY"):
            access = " READ ONLY"
        elif not reader.accept("READ", "WRITE"):
            reader.end()
        reader.accept(",")
    return Forward("begin", f"BEGIN{access}")


def finish(reader: Reader) -> Forward:
    word = reader.expect_one("COMMIT", "END", "ROLLBACK", "ABORT")
    reader.accept_one("WORK", "TRANSACTION")
    if reader.sees("TO"):
        raise not_implemented("savepoints (Redshift has none)")
    reader.end()
    return Forward("commit", "COMMIT") if word in ("COMMIT", "END") else Forward("rollback", "ROLLBACK")


def lock(reader: Reader) -> Script:
    """Always ACCESS EXCLUSIVE, in the order written, and no snapshot is taken by it. Source: guide, "LOCK"."""
    reader.expect("LOCK")
    reader.accept("TABLE")
    tables = [target(reader)]
    while reader.accept(","):
        tables.append(target(reader))
    reader.end()
    steps = tuple(f"LOCK TABLE {t.sql} IN ACCESS EXCLUSIVE MODE" for t in tables)
    return Script("lock", steps, "LOCK TABLE", block=Block.INSIDE)


def set_setting(reader: Reader) -> Script:
    reader.expect("SET")
    scope = "LOCAL " if reader.accept("LOCAL") else ""
    if not scope and reader.accept("SESSION") and reader.sees_one("AUTHORIZATION", "CHARACTERISTICS"):
        raise not_implemented(f"SET SESSION {reader.peek().upper}")
    name = setting_name(reader)
    kept = known(name, SETTINGS)
    if name != "time zone" and not reader.accept("TO"):
        reader.expect("=")
    values = [setting_value(reader)]
    while reader.accept(","):
        values.append(setting_value(reader))
    reader.end()
    if name == "search_path":
        written = ", ".join(v if v == "DEFAULT" else literal(v) for v in values)
    else:
        written = values[0] if values[0] == "DEFAULT" else literal(values[0])
    sensitive = None
    if name == CASE_SENSITIVE:
        sensitive = values[0].lower() in ("true", "on", "1")
    return Script("set", (f"SET {scope}{kept} TO {written}",), "SET", case_sensitive=sensitive)


def reset(reader: Reader) -> Script:
    reader.expect("RESET")
    name = setting_name(reader)
    kept = known(name, SETTINGS)
    reader.end()
    return Script("reset", (f"RESET {kept}",), "RESET", case_sensitive=False if name == CASE_SENSITIVE else None)


def show(reader: Reader) -> Forward:
    reader.expect("SHOW")
    name = setting_name(reader)
    kept = known(name, SHOWN)
    reader.end()
    return Forward("show", f"SELECT current_setting({literal(kept)}, true) AS {quoted(name)}")


def setting_name(reader: Reader) -> str:
    if reader.accept("TIME", "ZONE"):
        return "time zone"
    token = reader.next()
    if token.kind is not Kind.WORD:
        reader.at -= 1
        raise reader.error()
    return folded(token.text, quoted=False, case_sensitive=False)


def known(name: str, settings: dict[str, str]) -> str:
    kept = settings.get(name)
    if not kept:
        raise not_implemented(f"setting {name}")
    return kept


def setting_value(reader: Reader) -> str:
    token = reader.next()
    if token.kind in (Kind.STRING, Kind.NUMBER, Kind.QUOTED):
        return token.text
    if token.kind is Kind.WORD:
        return "DEFAULT" if token.upper == "DEFAULT" else token.text
    raise SqlError(f'invalid value for parameter near "{token.text}"', "22023")


def maintenance(reader: Reader) -> Script:
    """VACUUM and ANALYZE do nothing that can be seen from SQL; VACUUM is refused inside a transaction block."""
    verb = reader.expect_one("VACUUM", "ANALYZE", "ANALYSE")
    if verb != "VACUUM":
        reader.accept("VERBOSE")
        if reader.sees("COMPRESSION"):
            raise not_implemented("ANALYZE COMPRESSION")
        tables = () if reader.done or reader.sees("PREDICATE") else (target(reader).sql,)
        if reader.sees("("):
            reader.names_in_parentheses()
        if reader.accept("PREDICATE"):
            reader.expect("COLUMNS")
        reader.accept("ALL", "COLUMNS")
        reader.end()
        return Script("analyze", tuple(f"ANALYZE {t}" for t in tables), "ANALYZE")
    for words in (("FULL",), ("SORT", "ONLY"), ("DELETE", "ONLY"), ("REINDEX",), ("RECLUSTER",)):
        if reader.accept(*words):
            break
    if not reader.done:
        tables = (target(reader).sql,)
        if reader.accept("TO"):
            reader.integer()
            reader.expect("PERCENT")
    else:
        tables = ()
    reader.accept("BOOST")
    reader.end()
    return Script("vacuum", tuple(f"VACUUM {t}" for t in tables), "VACUUM", block=Block.OUTSIDE)
