"""What Redshift remembers of a column or table and PostgreSQL does not: dist, sort, encoding, declared key.

Kept as JSON in PostgreSQL's comments, which live and die with their column, follow a rename, and are outside of its
serializable conflict detection, as Redshift's own catalog is."""

import json
from dataclasses import dataclass, field

from devstack.redshift.lexer import literal
from devstack.redshift.names import Relation, quoted
from devstack.redshift.refusal import SqlError

ENCODINGS = frozenset(
    [
        "RAW", "AZ64", "BYTEDICT", "DELTA", "DELTA32K", "LZO", "MOSTLY8", "MOSTLY16", "MOSTLY32", "RUNLENGTH", "TEXT255", "TEXT32K",
        "ZSTD", "AUTO",
    ]
)  # fmt: skip


@dataclass(slots=True)
class Attributes:
    """The attributes of one CREATE TABLE while it is read. `sort_keys` and `primary_key` are in their declared order."""

    dist_style: str | None = None
    dist_key: str | None = None
    sort_style: str = "COMPOUND"
    sort_keys: list[str] = field(default_factory=list)
    primary_key: list[str] = field(default_factory=list)
    encodings: dict[str, str] = field(default_factory=dict)

    def check(self, columns: list[str]) -> None:
        named = [*self.sort_keys, *self.primary_key, *([self.dist_key] if self.dist_key else [])]
        for name in named:
            if name not in columns:
                raise SqlError(f'column "{name}" named in key does not exist', "42703")
        if self.dist_key and self.dist_style not in (None, "KEY"):
            raise SqlError(f"DISTKEY cannot be specified with DISTSTYLE {self.dist_style}", "42601")
        if self.dist_style == "KEY" and not self.dist_key:
            raise SqlError("must specify a DISTKEY for DISTSTYLE KEY", "42601")
        if len(self.sort_keys) > 400:
            raise SqlError("too many columns in sort key", "54011")

    @property
    def described_style(self) -> str:
        """As svv_table_info spells it."""
        if self.dist_key:
            return f"KEY({self.dist_key})"
        return {None: "AUTO(ALL)", "AUTO": "AUTO(ALL)"}.get(self.dist_style, self.dist_style or "AUTO(ALL)")

    def comments(self, table: Relation, columns: list[str]) -> list[str]:
        """The statements that keep these attributes."""
        about = {"diststyle": self.described_style, "sortstyle": self.sort_style if self.sort_keys else "AUTO(SORTKEY)"}
        written = [f"COMMENT ON TABLE {table.sql} IS {literal(json.dumps(about))}"]
        for name in columns:
            detail: dict[str, object] = {}
            if name in self.encodings:
                detail["encoding"] = self.encodings[name].lower()
            if name == self.dist_key:
                detail["distkey"] = True
            if name in self.sort_keys:
                detail["sortkey"] = self.sort_keys.index(name) + 1
            if name in self.primary_key:
                detail["primary_key"] = self.primary_key.index(name) + 1
            if detail:
                written.append(f"COMMENT ON COLUMN {table.sql}.{quoted(name)} IS {literal(json.dumps(detail))}")
        return written
