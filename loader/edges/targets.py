"""Target tables as they stand in the warehouse: made where they are not, widened where a text column has grown, refused where they do not
fit.

Source: Redshift guide, "SVV_COLUMNS".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from contracts.sql import qualified
from loader.core.evolve import StandingColumn, refuse_other_mode, widenings
from loader.core.plan import TargetTable
from loader.core.target import OWN_COLUMNS, TARGETS_OWN, create_statements
from loader.edges.session import Session

_STANDING = "column_name, data_type, character_maximum_length, numeric_precision, numeric_scale"

Known = tuple[dict[tuple[str, str], tuple[int, str]], dict[tuple[str, str], list[StandingColumn]]]
"""By topic and target the newest version and its fingerprint; by target the columns modes have added."""


@dataclass(frozen=True, slots=True)
class _Due:
    """What must happen before a table takes rows of a schema. `version`: the number of its newest one, 0 for none."""

    version: int
    creation: Sequence[str] = ()
    widenings: Sequence[str] = ()

    @property
    def statements(self) -> list[str]:
        return [*self.creation, *self.widenings]


class TargetTables:
    """What a session knows of the target tables, and how it came to."""

    def __init__(self, session: Session, schema: str, grant_select_to: Sequence[str]) -> None:
        """`schema`: of the ledger, which holds the table `schema_version`."""
        self._session = session
        self._schema = schema
        self._grant_select_to = grant_select_to
        self._ensured: dict[str, str] = {}
        self._known: Known | None = None
        self._log = structlog.get_logger()

    def forget(self) -> None:
        self._ensured.clear()
        self._known = None

    def ensure(self, target: TargetTable) -> None:
        fingerprint = target.source.fingerprint
        if self._ensured.get(target.topic) == fingerprint:
            return
        due = self._due(target)
        for statement in due.statements:
            self._session.run(statement)
        for statement in due.widenings:
            self._log.info("target.widened", topic=target.topic, table=f"{target.schema}.{target.name}", statement=statement)
        if due.statements:
            self._session.run(
                f"INSERT INTO {self._schema_versions} (topic, target_table, version, fingerprint, created_at) VALUES (%s, %s, %s, %s, %s)",
                (target.topic, _named(target), due.version + 1, fingerprint, datetime.now(UTC).replace(tzinfo=None)),
            )
            versions, _ = self._known_now()
            versions[target.topic, _named(target)] = (due.version + 1, fingerprint)
        self._ensured[target.topic] = fingerprint

    def creation(self, target: TargetTable) -> list[str]:
        """The statements `ensure` would send; none when the table was found fit for these rows before. Raises Invalid as it does."""
        return self._due(target).statements

    def _due(self, target: TargetTable) -> _Due:
        versions, own_columns = self._known_now()
        version, fingerprint = versions.get((target.topic, _named(target)), (0, ""))
        is_known = fingerprint == target.source.fingerprint
        standing = own_columns.get((target.schema, target.name), [])
        # Where a mode's columns are missing, so may be the table.
        if not is_known or (TARGETS_OWN[target.mode] and not standing):
            standing = self._standing(target)
        if standing:
            refuse_other_mode(target, standing)
        if is_known:
            return _Due(version)
        return _Due(version, create_statements(target, self._grant_select_to), widenings(target, standing) if standing else ())

    def _known_now(self) -> Known:
        if self._known is None:
            self._known = self._all_known()
        return self._known

    def _all_known(self) -> Known:
        """In two answers; a thousand tables would take two thousand."""
        rows = self._session.run(f"SELECT topic, target_table, version, fingerprint FROM {self._schema_versions} ORDER BY version")
        versions = {(topic, table): (version, fingerprint) for topic, table, version, fingerprint in rows}
        own: dict[tuple[str, str], list[StandingColumn]] = {}
        marks = ", ".join(["%s"] * len(OWN_COLUMNS))
        for schema, table, *column in self._session.run(
            f"SELECT table_schema, table_name, {_STANDING} FROM svv_columns WHERE column_name IN ({marks})", sorted(OWN_COLUMNS)
        ):
            own.setdefault((schema, table), []).append(StandingColumn(column[0], _sql_type(column, "")))
        return versions, own

    @property
    def _schema_versions(self) -> str:
        return qualified(self._schema, "schema_version")

    def _standing(self, target: TargetTable) -> list[StandingColumn]:
        rows = self._session.run(
            f"SELECT {_STANDING} FROM svv_columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (target.schema, target.name),
        )
        wanted = {column.name: column.sql_type for column in target.columns}
        return [StandingColumn(row[0], _sql_type(row, wanted.get(row[0], ""))) for row in rows]


def _named(target: TargetTable) -> str:
    return qualified(target.schema, target.name)


_TYPES = {
    "boolean": "BOOLEAN",
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "REAL",
    "double precision": "DOUBLE PRECISION",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
}


def _sql_type(row: Sequence[Any], wanted: str) -> str:
    """A catalog row's type as the loader writes it. A VARBYTE whose length the catalog doesn't tell is taken for the one wanted."""
    _, data_type, length, precision, scale = row
    kind = data_type.partition("(")[0].strip()
    if kind == "character varying":
        return f"VARCHAR({length})"
    if kind in ("binary varying", "varbyte"):
        return f"VARBYTE({length})" if length else wanted if wanted.startswith("VARBYTE") else "VARBYTE"
    if kind == "numeric":
        return f"DECIMAL({precision},{scale})"
    return _TYPES.get(kind, str(data_type))
