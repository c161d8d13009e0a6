"""The table a source table is loaded into: its name, its columns, and the statements that make it and its staging table.

Names follow the source's through a template. Redshift keeps less of a name than MySQL, so a name it can't hold is cut and gets a hash
of the true one; two names that become one are refused, never merged.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.errors import Invalid, Unfit
from contracts.sql import held_column, held_name, qualified, quote
from contracts.table import TableId, TableSchema
from loader.core.column_type import ColumnType, Name
from loader.core.plan import Mode, TargetColumn, TargetTable

DELETED = "_tidemark_deleted"
BARE = "_tidemark_bare"
OP = "_tidemark_op"
SEQ = "_tidemark_seq"
COMMIT_TS = "_tidemark_commit_ts"
GTID = "_tidemark_gtid"

EVENT_COLUMNS = (
    TargetColumn("", OP, "VARCHAR(1)"),
    TargetColumn("", SEQ, "BIGINT"),
    TargetColumn("", COMMIT_TS, "TIMESTAMP"),
    TargetColumn("", GTID, "VARCHAR(128)"),
)
"""What append mode adds to each row: which event made it."""
STAGED_DELETE = TargetColumn("", DELETED, "BOOLEAN")
"""What merge mode adds in staging: true means the key's row goes."""
DELETED_MARK = TargetColumn("", DELETED, "BOOLEAN", nullable=False)
"""What soft_delete mode adds to each row: true means MySQL has it no more."""
STAGED_BARE = TargetColumn("", BARE, "BOOLEAN")
"""What soft_delete mode adds in staging besides: true means the row has its key and nothing else. A delete marks the row of that key
then, any other change removes it."""

TARGETS_OWN = {Mode.MERGE: (), Mode.SOFT_DELETE: (DELETED_MARK,), Mode.APPEND: EVENT_COLUMNS}
OWN_COLUMNS = frozenset(column.name for columns in TARGETS_OWN.values() for column in columns)
"""What modes add to tables, by name."""
_STAGINGS_OWN = {Mode.MERGE: (STAGED_DELETE,), Mode.SOFT_DELETE: (DELETED_MARK, STAGED_BARE), Mode.APPEND: EVENT_COLUMNS}

COLUMNS_MAX = 1_600
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class TargetNaming:
    """Templates of the target's schema and table name; `{db}` and `{table}` stand for MySQL's names. Raises Invalid for any other
    placeholder, or a template that yields nothing."""

    schema_template: str = "{db}"
    table_template: str = "{table}"

    def __post_init__(self) -> None:
        for template in (self.schema_template, self.table_template):
            unknown = [p for p in _PLACEHOLDER.findall(template) if p not in ("db", "table")]
            if unknown or not template or set(_PLACEHOLDER.sub("", template)) & set("{}"):
                raise Invalid(f"target name template {template!r}: use text, {{db}} and {{table}}")

    def schema(self, table: TableId) -> str:
        return held_name(_filled(self.schema_template, table))

    def name(self, table: TableId) -> str:
        return held_name(_filled(self.table_template, table))


def _filled(template: str, table: TableId) -> str:
    return _PLACEHOLDER.sub(lambda match: table.database if match[1] == "db" else table.name, template)


def target_table(topic: str, schema: TableSchema, naming: TargetNaming, mode: Mode | None) -> TargetTable:
    """Where this table's rows go. `mode` None: merge when the table has a key, else append. Raises Invalid: another mode than
    append without a key, columns whose names become one, a column type Redshift has no room for; Unfit when such a table can be left
    as it is, and read again later."""
    chosen = mode or (Mode.MERGE if schema.key else Mode.APPEND)
    if chosen.keyed and not schema.key:
        raise Unfit(
            f"table {schema.table} has no key, so it can't be loaded in mode {chosen}: give it a primary key, set key columns in"
            f" tables.override, or choose mode: append"
        )
    keyed = frozenset(schema.key) if chosen.keyed else frozenset()
    columns = tuple(_target_columns(schema, keyed, chosen))
    names = {column.source: column.name for column in columns}
    key = tuple(names[source] for source in schema.key) if chosen.keyed else ()
    return TargetTable(topic, schema, naming.schema(schema.table), naming.name(schema.table), columns, key, chosen)


def _target_columns(schema: TableSchema, keyed: frozenset[str], mode: Mode) -> Iterable[TargetColumn]:
    added, error = _STAGINGS_OWN[mode], Unfit if mode.keyed else Invalid
    if len(schema.columns) + len(added) > COLUMNS_MAX:
        raise error(f"table {schema.table} has {len(schema.columns)} columns; Redshift takes {COLUMNS_MAX}, {len(added)} of them ours")
    owners = {column.name: "Tidemark's own column of that name" for column in added}
    for column in schema.columns:
        name = held_column(column.name)
        if name in owners:
            raise error(f"table {schema.table}: column {column.name!r} and {owners[name]} would both be {name!r} in Redshift; rename one")
        owners[name] = f"column {column.name!r}"
        in_key = column.name in keyed
        yield TargetColumn(column.name, name, ColumnType.of(column, in_key=in_key).sql, nullable=not in_key)


class TargetNames:
    """The target names given away so far: two source tables never share one."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], TableId] = {}

    def claim(self, target: TargetTable) -> None:
        """Gives the target's name to its source table; again for the same table changes nothing. Raises Invalid naming both tables."""
        owner = self._owners.setdefault((target.schema, target.name), target.source.table)
        if owner != target.source.table:
            raise Invalid(
                f"tables {owner} and {target.source.table} would both load into {target.schema}.{target.name}:"
                f" set target.schema and target.table so that each gets a name of its own, or exclude one"
            )


def table_columns(target: TargetTable) -> tuple[TargetColumn, ...]:
    """The target table's columns, in order: the source's, then what the mode adds."""
    return target.columns + TARGETS_OWN[target.mode]


def staging_columns(target: TargetTable) -> tuple[TargetColumn, ...]:
    """The staging table's columns, and so the Parquet file's, in order."""
    return target.columns + _STAGINGS_OWN[target.mode]


def create_statements(target: TargetTable, grant_select_to: Sequence[str]) -> list[str]:
    """Schema, table and grants, each safe to repeat. Grantees are `user`, `group name`, `role name` or `public`. Raises Invalid."""
    return [*schema_statements(target, grant_select_to), *table_statements(target, grant_select_to)]


def schema_statements(target: TargetTable, grant_select_to: Sequence[str]) -> list[str]:
    """Of `create_statements` those about the schema, which tables of other shards share: each for a transaction of its own."""
    schema = quote(target.schema)
    grants = (f"GRANT USAGE ON SCHEMA {schema} TO {_grantee(grantee)}" for grantee in grant_select_to)
    return [f"CREATE SCHEMA IF NOT EXISTS {schema}", *grants]


def table_statements(target: TargetTable, grant_select_to: Sequence[str]) -> list[str]:
    """Of `create_statements` those about the table, for one transaction: who may read it is granted while it is made, and not after.

    The primary key informs Redshift's planner and its choice of distribution. It is left out where it holds a VARBYTE, which
    the documentation does not allow in so many words. No column has a DEFAULT: it could not be widened.
    """
    table = qualified(target.schema, target.name)
    parts = [f"{quote(c.name)} {c.sql_type}{'' if c.nullable else ' NOT NULL'}" for c in table_columns(target)]
    types = {c.name: ColumnType.parse(c.sql_type).name for c in target.columns}
    if target.key and all(types[name] is not Name.VARBYTE for name in target.key):
        parts.append(f"PRIMARY KEY ({', '.join(quote(name) for name in target.key)})")
    grants = (f"GRANT SELECT ON TABLE {table} TO {_grantee(grantee)}" for grantee in grant_select_to)
    return [f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(parts)}) DISTSTYLE AUTO SORTKEY AUTO", *grants]


def _grantee(text: str) -> str:
    word, _, name = text.strip().partition(" ")
    if word.upper() in ("GROUP", "ROLE") and name.strip():
        return f"{word.upper()} {quote(name.strip(), keep_case=True)}"
    return "PUBLIC" if text.strip().upper() == "PUBLIC" else quote(text.strip(), keep_case=True)
