"""Staging tables: what COPY fills and the commit merges from. Each belongs to one session of the warehouse and one target, and is used
again: making and dropping a table is a catalog's work, and a commit of its own where it is not inside another transaction.

Source: Redshift guide, "COPY from columnar data formats", "CREATE TABLE: TEMP", "TRUNCATE" (which commits what is open).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.sql import quote
from loader.core.plan import StagedLoad, TargetTable
from loader.core.target import staging_columns

STAGED = "tidemark_staged_"
"""What the names of all begin with."""
DEAD_ROWS_MAX = 20_000
"""Rows deleted in a staging table before it is made anew: nothing vacuums a temporary one, and every read passes over them."""

COPIED_ROWS = "SELECT pg_last_copy_count()"


def staging_name(target: TargetTable) -> str:
    """The same for a target while its columns stay the same."""
    columns = ", ".join(f"{column.name} {column.sql_type} {column.nullable}" for column in staging_columns(target))
    digest = hashlib.sha256(f"{target.schema}.{target.name} {target.mode} {columns}".encode()).hexdigest()
    return f"{STAGED}{digest[:16]}"


@dataclass(slots=True)
class StagingTables:
    """A session's staging tables. `dead`: by the name of each that is there, rows deleted in it so far; `filled`: rows in those that hold
    some."""

    dead: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "StagingTables":
        return StagingTables(dict(self.dead), dict(self.filled))

    def fill(self, load: StagedLoad, iam_role: str) -> Iterator[str]:
        """The statements that leave this load's rows, and no others, in its staging table."""
        name = load.staging
        if name in self.filled:
            yield from self._clear(name)
        if name not in self.dead:
            yield staging_statement(load.target, name)
            self.dead[name] = 0
        self.filled[name] = load.rows
        yield copy_statement(load, iam_role)

    def clear(self, load: StagedLoad) -> Iterator[str]:
        """The statements for a load that is merged."""
        if load.staging in self.filled:
            yield from self._clear(load.staging)

    def _clear(self, name: str) -> Iterator[str]:
        self.dead[name] += self.filled.pop(name)
        if self.dead[name] > DEAD_ROWS_MAX:
            del self.dead[name]
            yield f"DROP TABLE {quote(name)}"
        else:
            yield f"DELETE FROM {quote(name)}"


def staging_statement(target: TargetTable, name: str) -> str:
    """The temp table COPY fills; what may be NULL in the target may be so there."""
    parts = [f"{quote(c.name)} {c.sql_type}{'' if c.nullable else ' NOT NULL'}" for c in staging_columns(target)]
    return f"CREATE TEMP TABLE {quote(name)} ({', '.join(parts)})"


def copy_statement(load: StagedLoad, iam_role: str) -> str:
    """COPY takes no bound values. The URL is of a batch key, the role of checked settings; a quote in either is doubled all the same."""
    role = "default" if iam_role == "default" else _literal(iam_role)
    return f"COPY {quote(load.staging)} FROM {_literal(load.manifest_url)} IAM_ROLE {role} FORMAT AS PARQUET MANIFEST"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
