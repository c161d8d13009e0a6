"""Identifiers: folded to lower case even in quotes, cut at 127 bytes, and hashed where PostgreSQL keeps only 63.

Source: Redshift guide, "Names and identifiers"."""

import hashlib
import threading
from dataclasses import dataclass

from devstack.redshift.refusal import SqlError, not_implemented

BYTES_MAX = 127
POSTGRES_BYTES_MAX = 63
STAND_IN_SCHEMA = "standin"


def folded(text: str, *, quoted: bool, case_sensitive: bool) -> str:
    """The name Redshift keeps for what was written."""
    if not (quoted and case_sensitive):
        text = "".join(c.lower() if c.isascii() else c for c in text)
    return text.encode()[:BYTES_MAX].decode(errors="ignore")


def stored(name: str) -> str:
    """The name PostgreSQL keeps: the same up to 63 bytes, else its first bytes and a hash, always the same for one name."""
    raw = name.encode()
    if len(raw) <= POSTGRES_BYTES_MAX:
        return name
    digest = hashlib.sha256(raw).hexdigest()[:16]
    return raw[: POSTGRES_BYTES_MAX - 17].decode(errors="ignore") + "~" + digest


def quoted(name: str) -> str:
    """The name as PostgreSQL SQL."""
    kept = stored(name)
    return '"' + kept.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view as written: schema (None: by search path) and name, both folded."""

    schema: str | None
    name: str

    def __post_init__(self) -> None:
        if self.schema == STAND_IN_SCHEMA:
            raise SqlError(f'schema "{STAND_IN_SCHEMA}" does not exist', "3F000")

    @property
    def sql(self) -> str:
        return quoted(self.name) if self.schema is None else f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def temporary(self) -> bool:
        """A leading # makes a table temporary, whatever CREATE says."""
        return self.name.startswith("#")

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"


SYSTEM_VIEWS = frozenset(
    [
        "pg_group", "pg_table_def", "pg_user", "stl_load_commits", "stl_load_errors", "stv_sessions", "svv_columns",
        "svv_redshift_columns", "svv_table_info", "svv_tables", "svv_transactions", "sys_load_error_detail", "sys_load_history",
    ]
)  # fmt: skip
CATALOG_TABLES = frozenset(["pg_class", "pg_namespace", "pg_attribute"])
SCHEMA_VIEWS = frozenset(["columns", "tables", "schemata"])
SYSTEM_PREFIXES = ("pg_", "stl_", "stv_", "svv_", "svl_", "svcs_", "sys_")


def system_relation(relation: Relation) -> str | None:
    """PostgreSQL's SQL for a system view or table Redshift has, None for a relation of users; refused when it isn't here."""
    if relation.schema == "information_schema":
        if relation.name in SCHEMA_VIEWS:
            return f"{STAND_IN_SCHEMA}.information_schema_{relation.name}"
        raise not_implemented(f"system view {relation}")
    if relation.schema not in (None, "pg_catalog"):
        return None
    if relation.name in SYSTEM_VIEWS:
        return f"{STAND_IN_SCHEMA}.{relation.name}"
    if relation.name in CATALOG_TABLES:
        return f"pg_catalog.{relation.name}"
    if relation.schema == "pg_catalog" or relation.name.startswith(SYSTEM_PREFIXES):
        raise not_implemented(f"system view {relation}")
    return None


class LongNames:
    """The names of more than 63 bytes seen so far, by what PostgreSQL keeps: result columns are labelled with the real ones."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._guard = threading.Lock()

    def note(self, name: str) -> None:
        if len(name.encode()) > POSTGRES_BYTES_MAX:
            with self._guard:
                self._names[stored(name)] = name

    def real(self, kept: str) -> str:
        return self._names.get(kept, kept)

    def all(self) -> dict[str, str]:
        with self._guard:
            return dict(self._names)
