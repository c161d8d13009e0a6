"""ALTER TABLE: one action a statement, and the rules Redshift has where PostgreSQL has none. Source: guide, "ALTER TABLE"."""

import json

from devstack.redshift import expressions
from devstack.redshift.columntypes import read_type
from devstack.redshift.lexer import literal
from devstack.redshift.names import Relation, quoted
from devstack.redshift.plan import Block, Script
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented
from devstack.redshift.tables import encoding

TAG = "ALTER TABLE"


def alter_table(reader: Reader) -> Script:
    """The plan of ALTER TABLE, read after those words."""
    table = reader.relation()
    if reader.accept("ADD"):
        plan = add(reader, table)
    elif reader.accept("DROP"):
        plan = drop(reader, table)
    elif reader.accept("RENAME"):
        plan = rename(reader, table)
    elif reader.accept("OWNER", "TO"):
        plan = script(f"ALTER TABLE {table.sql} OWNER TO {reader.name_sql()}")
    elif reader.accept("ALTER"):
        plan = alter_column(reader, table)
    else:
        raise not_implemented(f"ALTER TABLE ... {reader.peek().text}")
    if reader.sees(","):
        raise reader.error()
    reader.end()
    return plan


def script(*steps: str, block: Block = Block.ANY) -> Script:
    return Script("alter table", steps, TAG, block=block)


def add(reader: Reader, table: Relation) -> Script:
    if reader.accept("CONSTRAINT"):
        reader.name()
    if reader.accept("PRIMARY", "KEY"):
        keys = literal(json.dumps(reader.names_in_parentheses()))
        return script(f"SELECT standin.declare_primary_key({literal(table.sql)}::regclass, {keys}::jsonb)")
    if reader.sees_one("UNIQUE", "FOREIGN"):
        raise not_implemented(f"ADD {reader.peek().upper}")
    reader.accept("COLUMN")
    name = reader.name()
    kind = read_type(reader)
    written = f"ALTER TABLE {table.sql} ADD COLUMN {quoted(name)} {kind.postgres}{kind.column_check(quoted(name))}"
    comments: list[str] = []
    # Redshift wants this order: DEFAULT, ENCODE, NOT NULL.
    has_default = reader.accept("DEFAULT")
    if has_default:
        written += f" DEFAULT {expressions.operand(reader)}"
    if reader.accept("ENCODE"):
        detail = json.dumps({"encoding": encoding(reader).lower()})
        comments = [f"COMMENT ON COLUMN {table.sql}.{quoted(name)} IS {literal(detail)}"]
    if reader.accept("NOT", "NULL"):
        if not has_default:
            raise SqlError("ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression", "0A000")
        written += " NOT NULL"
    elif reader.accept("NULL"):
        pass
    return script(written, *comments)


def drop(reader: Reader, table: Relation) -> Script:
    if reader.sees("CONSTRAINT"):
        raise not_implemented("DROP CONSTRAINT")
    reader.accept("COLUMN")
    name = reader.name()
    behaviour = reader.accept_one("RESTRICT", "CASCADE") or "RESTRICT"
    return script(
        f"SELECT standin.check_droppable({literal(table.sql)}::regclass, {literal(name)}, {behaviour == 'CASCADE'})",
        f"ALTER TABLE {table.sql} DROP COLUMN {quoted(name)} {behaviour}",
    )


def rename(reader: Reader, table: Relation) -> Script:
    if reader.accept("TO"):
        return script(f"ALTER TABLE {table.sql} RENAME TO {reader.name_sql()}")
    reader.expect("COLUMN")
    old = reader.name_sql()
    reader.expect("TO")
    return script(f"ALTER TABLE {table.sql} RENAME COLUMN {old} TO {reader.name_sql()}")


def alter_column(reader: Reader, table: Relation) -> Script:
    if not reader.accept("COLUMN"):
        raise not_implemented(f"ALTER TABLE ... ALTER {reader.peek().text}")
    name = reader.name()
    if reader.accept("ENCODE"):
        change = literal(json.dumps({"encoding": encoding(reader).lower()}))
        return script(f"SELECT standin.describe_column({literal(table.sql)}::regclass, {literal(name)}, {change}::jsonb)")
    reader.expect("TYPE")
    kind = read_type(reader).postgres
    if not kind.startswith("varchar("):
        raise SqlError(f'cannot alter column "{name}" of relation "{table}", target data type "{kind}" is not supported', "0A000")
    length = kind[len("varchar(") : -1]
    return script(f"SELECT standin.resize({literal(table.sql)}::regclass, {literal(name)}, {length})", block=Block.OUTSIDE)
