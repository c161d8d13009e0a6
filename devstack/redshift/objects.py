"""Schemas, views, users, groups, roles and what they may do."""

from devstack.redshift import queries
from devstack.redshift.lexer import literal
from devstack.redshift.names import POSTGRES_BYTES_MAX, quoted
from devstack.redshift.plan import Script
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented

TABLE_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", "TRUNCATE")
SCHEMA_PRIVILEGES = ("CREATE", "USAGE")
DATABASE_PRIVILEGES = ("CREATE", "TEMP", "TEMPORARY")


def group(name: str) -> str:
    """PostgreSQL has one name space for users, groups and roles; Redshift has three."""
    return quoted(f"group {name}"[:POSTGRES_BYTES_MAX])


def role(name: str) -> str:
    return quoted(f"role {name}"[:POSTGRES_BYTES_MAX])


def create_schema(reader: Reader) -> Script:
    only_if_new = reader.accept("IF", "NOT", "EXISTS")
    name = reader.name()
    if name.startswith("pg_") or name == "standin":
        raise SqlError(f'unacceptable schema name "{name}"', "42939")
    owner = f" AUTHORIZATION {reader.name_sql()}" if reader.accept("AUTHORIZATION") else ""
    if reader.accept("QUOTA"):
        raise not_implemented("schema QUOTA")
    reader.end()
    sql = f"CREATE SCHEMA{' IF NOT EXISTS' if only_if_new else ''} {quoted(name)}{owner}"
    return Script("create schema", (sql,), "CREATE SCHEMA", only_if_new=only_if_new)


def create_view(reader: Reader, *, replace: bool) -> Script:
    """Redshift's views take no explicit types. WITH NO SCHEMA BINDING (late binding) needs the names qualified; the stand-in
    binds it all the same, so a table under such a view is dropped only with CASCADE here."""
    view = reader.relation()
    columns = f" ({', '.join(quoted(c) for c in reader.names_in_parentheses())})" if reader.sees("(") else ""
    reader.expect("AS")
    before = len(reader.relations)
    body = queries.query(reader)
    if reader.accept("WITH", "NO", "SCHEMA", "BINDING"):
        for relation in reader.relations[before:]:
            if relation.schema is None:
                raise SqlError(f'All the relation names inside should be qualified when creating VIEW WITH NO SCHEMA BINDING: "{relation}"')
    reader.end()
    verb = "CREATE OR REPLACE VIEW" if replace else "CREATE VIEW"
    return Script("create view", (f"{verb} {view.sql}{columns} AS {body}",), "CREATE VIEW")


def drop(reader: Reader) -> Script:
    reader.expect("DROP")
    kind = reader.expect_one("TABLE", "VIEW", "SCHEMA", "USER", "GROUP", "ROLE")
    if_there = " IF EXISTS" if reader.accept("IF", "EXISTS") else ""
    if kind in ("USER", "GROUP", "ROLE"):
        name = reader.name()
        reader.end()
        written = {"USER": quoted, "GROUP": group, "ROLE": role}[kind](name)
        forget = (f"DELETE FROM standin.users WHERE name = {literal(name)}",) if kind == "USER" else ()
        return Script(f"drop {kind.lower()}", (f"DROP ROLE{if_there} {written}", *forget), f"DROP {kind}")
    names = [reader.relation() if kind != "SCHEMA" else None]
    written_names = [names[0].sql if names[0] else reader.name_sql()]
    while reader.accept(","):
        written_names.append(reader.name_sql() if kind == "SCHEMA" else reader.relation().sql)
    behaviour = reader.accept_one("CASCADE", "RESTRICT")
    reader.end()
    sql = f"DROP {kind}{if_there} {', '.join(written_names)}{f' {behaviour}' if behaviour else ''}"
    return Script(f"drop {kind.lower()}", (sql,), f"DROP {kind}")


def create_user(reader: Reader) -> Script:
    name = reader.name()
    reader.accept("WITH")
    steps: list[str] = []
    options: list[str] = []
    password: str | None = None
    while not reader.done:
        if reader.accept("PASSWORD"):
            password = None if reader.accept("DISABLE") else reader.string()
        elif word := reader.accept_one("CREATEUSER", "NOCREATEUSER", "CREATEDB", "NOCREATEDB"):
            options.append({"CREATEUSER": "SUPERUSER", "NOCREATEUSER": "NOSUPERUSER"}.get(word, word))
        elif reader.accept("IN", "GROUP"):
            steps.append(f"GRANT {group(reader.name())} TO {quoted(name)}")
        else:
            raise not_implemented(f"CREATE USER option {reader.peek().text!r}")
    steps.insert(0, f"CREATE ROLE {quoted(name)} LOGIN {' '.join(options)}")
    if password is not None:
        steps.append(f"INSERT INTO standin.users VALUES ({literal(name)}, {literal(password)})")
    return Script("create user", tuple(steps), "CREATE USER")


def create_group(reader: Reader) -> Script:
    name = group(reader.name())
    steps = [f"CREATE ROLE {name} NOLOGIN"]
    reader.accept("WITH")
    if reader.accept("USER"):
        steps.append(f"GRANT {name} TO {reader.name_sql()}")
        while reader.accept(","):
            steps.append(f"GRANT {name} TO {reader.name_sql()}")
    reader.end()
    return Script("create group", tuple(steps), "CREATE GROUP")


def create_role(reader: Reader) -> Script:
    name = role(reader.name())
    reader.end()
    return Script("create role", (f"CREATE ROLE {name} NOLOGIN",), "CREATE ROLE")


def alter_group(reader: Reader) -> Script:
    name = group(reader.name())
    change = reader.expect_one("ADD", "DROP")
    reader.expect("USER")
    user = reader.name_sql()
    reader.end()
    sql = f"GRANT {name} TO {user}" if change == "ADD" else f"REVOKE {name} FROM {user}"
    return Script("alter group", (sql,), "ALTER GROUP")


def alter_schema(reader: Reader) -> Script:
    name = reader.name_sql()
    action = "OWNER" if reader.accept("OWNER", "TO") else "RENAME"
    if action == "RENAME":
        reader.expect("RENAME", "TO")
    sql = f"ALTER SCHEMA {name} {action} TO {reader.name_sql()}"
    reader.end()
    return Script("alter schema", (sql,), "ALTER SCHEMA")


# privileges ---------------------------------------------------------------------------------------------------------------


def grant(reader: Reader) -> Script:
    """GRANT or REVOKE, of privileges or of a role."""
    verb = reader.expect_one("GRANT", "REVOKE")
    direction = "TO" if verb == "GRANT" else "FROM"
    if reader.accept("ROLE"):
        name = role(reader.name())
        reader.expect(direction)
        sql = f"{verb} {name} {direction} {', '.join(grantees(reader))}"
    else:
        reader.accept("GRANT", "OPTION", "FOR")
        privileges, allowed = privilege_list(reader)
        reader.expect("ON")
        what = grant_object(reader, allowed)
        reader.expect(direction)
        sql = f"{verb} {privileges} ON {what} {direction} {', '.join(grantees(reader))}"
        if verb == "GRANT" and reader.accept("WITH", "GRANT", "OPTION"):
            sql += " WITH GRANT OPTION"
    reader.accept_one("CASCADE", "RESTRICT")
    reader.end()
    return Script(verb.lower(), (sql,), verb)


def default_privileges(reader: Reader) -> Script:
    reader.expect("PRIVILEGES")
    sql = "ALTER DEFAULT PRIVILEGES"
    if reader.accept("FOR", "USER"):
        sql += f" FOR ROLE {reader.name_sql()}"
    if reader.accept("IN", "SCHEMA"):
        sql += f" IN SCHEMA {reader.name_sql()}"
    verb = reader.expect_one("GRANT", "REVOKE")
    privileges, _ = privilege_list(reader)
    reader.expect("ON", "TABLES")
    direction = "TO" if verb == "GRANT" else "FROM"
    reader.expect(direction)
    sql += f" {verb} {privileges} ON TABLES {direction} {', '.join(grantees(reader))}"
    reader.end()
    return Script("alter default privileges", (sql,), "ALTER DEFAULT PRIVILEGES")


def privilege_list(reader: Reader) -> tuple[str, set[str]]:
    if reader.accept("ALL"):
        reader.accept("PRIVILEGES")
        return "ALL", set()
    found: list[str] = []
    while True:
        word = reader.next().upper
        if word not in (*TABLE_PRIVILEGES, *SCHEMA_PRIVILEGES, *DATABASE_PRIVILEGES):
            raise not_implemented(f"privilege {word}")
        found.append(word)
        if not reader.accept(","):
            return ", ".join(found), set(found)


def grant_object(reader: Reader, privileges: set[str]) -> str:
    if reader.accept("ALL", "TABLES", "IN", "SCHEMA"):
        return f"ALL TABLES IN SCHEMA {reader.name_sql()}"
    kind: str
    allowed: tuple[str, ...]
    if reader.accept("SCHEMA"):
        kind, allowed = "SCHEMA", SCHEMA_PRIVILEGES
    elif reader.accept("DATABASE"):
        kind, allowed = "DATABASE", DATABASE_PRIVILEGES
    else:
        reader.accept("TABLE")
        kind, allowed = "TABLE", TABLE_PRIVILEGES
    if not privileges <= set(allowed):
        raise SqlError(f"invalid privilege type {', '.join(sorted(privileges - set(allowed)))} for {kind.lower()}", "0LP01")
    names = [reader.relation().sql if kind == "TABLE" else reader.name_sql()]
    while reader.accept(","):
        names.append(reader.relation().sql if kind == "TABLE" else reader.name_sql())
    return f"{kind} {', '.join(names)}"


def grantees(reader: Reader) -> list[str]:
    found: list[str] = []
    while True:
        if reader.accept("GROUP"):
            found.append(group(reader.name()))
        elif reader.accept("ROLE"):
            found.append(role(reader.name()))
        elif reader.accept("PUBLIC"):
            found.append("PUBLIC")
        else:
            found.append(reader.name_sql())
        if not reader.accept(","):
            return found
