"""Target tables as they stand in the warehouse: made where they are not, altered where their schema has changed, refused where that is for
a person to do.

Source: Redshift guide, "SVV_COLUMNS", "ALTER TABLE" (adding, dropping and renaming a column may share a transaction).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from contracts.errors import Invalid, Unavailable
from contracts.ledger import Fence
from contracts.sql import qualified, quote, unqualified
from loader.core.evolve import Evolution, StandingColumn, evolution, refuse_other_mode
from loader.core.plan import Mode, TargetTable
from loader.core.refusal import elsewhere, gone, not_done, of_table
from loader.core.statements import CommitTables, hold_back
from loader.core.target import DELETED, OWN_COLUMNS, TARGETS_OWN, create_statements, schema_statements, table_statements
from loader.edges.session import Session
from runtime.crash import crash_point

_STANDING = "column_name, data_type, character_maximum_length, numeric_precision, numeric_scale"

Former = Callable[[str, str], TargetTable | None]
"""By topic and fingerprint: the target as a schema made it that was loaded before. None when nobody knows any more."""


def nothing_known(topic: str, fingerprint: str) -> None:
    """A Former, for whoever loads nothing."""


@dataclass(frozen=True, slots=True)
class _Version:
    """A schema that was loaded. `named`: into which table, as SQL."""

    number: int
    named: str
    fingerprint: str


Known = tuple[dict[str, list[_Version]], dict[tuple[str, str], list[StandingColumn]]]
"""By topic every version, the newest last; by target the columns modes have added."""


@dataclass(frozen=True, slots=True)
class _Due:
    """What must happen before a table takes rows of a schema for the first time. `version`: the number it gets. `schema`, `table`: what
    makes them, nothing where the loader has."""

    version: int
    schema: Sequence[str]
    table: Sequence[str]
    evolution: Evolution


class TargetTables:
    """What a session knows of the target tables, and how it came to."""

    def __init__(self, session: Session, schema: str, grant_select_to: Sequence[str], former: Former) -> None:
        """`schema`: of the ledger, which holds the table `schema_version`."""
        self._session = session
        self._schema = schema
        self._grant_select_to = grant_select_to
        self._former = former
        self._ensured: dict[str, str] = {}
        self._known: Known | None = None
        self._log = structlog.get_logger()

    def forget(self) -> None:
        self._ensured.clear()
        self._known = None

    def ensure(self, target: TargetTable, fence: Fence, *, renewing: bool, afresh: bool) -> None:
        fingerprint = target.source.fingerprint
        if self._ensured.get(target.topic) == fingerprint and not afresh:
            return
        if not target.columns:
            self._refuse_other_mode(target)
            return
        if due := self._due(target, renewing=renewing, afresh=afresh):
            for statement in (*due.schema, *due.evolution.widenings):
                with _refusing(target, statement):
                    self._session.run(statement)
                crash_point("loader.ensure_target.statement")
            self._tell("target.widened", target, due.evolution.widenings)
            self._adopt(target, due, fence, holds_back=renewing and bool(due.evolution.alterations))
            self._tell("target.altered", target, due.evolution.alterations)
            versions, _ = self._known_now()
            versions.setdefault(target.topic, []).append(_Version(due.version, _named(target), fingerprint))
        self._ensured[target.topic] = fingerprint

    def preparation(self, target: TargetTable, *, renewing: bool, afresh: bool) -> list[str]:
        """The statements `ensure` would send; none when the table was found fit for these rows before. Raises Invalid as it does."""
        if not target.columns:
            self._refuse_other_mode(target)
            return []
        due = self._due(target, renewing=renewing, afresh=afresh)
        return [*due.schema, *due.table, *due.evolution.widenings, *due.evolution.alterations] if due else []

    def _adopt(self, target: TargetTable, due: _Due, fence: Fence, *, holds_back: bool) -> None:
        """The table or its alterations, and the version, together or not at all, and only while the shard is ours: whoever wakes after his
        epoch is over would give his schema's form to a table that holds a newer one's rows. `holds_back`: the table isn't what the last
        barrier says any more, and its state says so."""
        tables = CommitTables(self._schema, fence.shard)
        with self._session.transaction() as transaction:
            transaction.hold(fence, tables)
            if holds_back:
                transaction.touch(hold_back(target.topic, tables))
            for statement in (*due.table, *due.evolution.alterations):
                with _refusing(target, statement):
                    transaction.run(statement)
                crash_point("loader.ensure_target.statement")
            transaction.run(
                f"INSERT INTO {self._schema_versions} (topic, target_table, version, fingerprint, created_at) VALUES (%s, %s, %s, %s, %s)",
                (target.topic, _named(target), due.version, target.source.fingerprint, datetime.now(UTC).replace(tzinfo=None)),
            )
            transaction.commit(f"version {due.version} of {_named(target)}")

    def _tell(self, event: str, target: TargetTable, statements: Sequence[str]) -> None:
        for statement in statements:
            self._log.info(event, topic=target.topic, table=f"{target.schema}.{target.name}", statement=statement)

    def _due(self, target: TargetTable, *, renewing: bool, afresh: bool) -> _Due | None:
        versions, own_columns = self._known_now()
        held = versions.get(target.topic, [])
        newest = held[-1] if held else _Version(0, _named(target), "")
        there_before = bool(held) and newest.named == _named(target)
        if there_before and newest.fingerprint == target.source.fingerprint and not afresh:
            # Where a mode's columns are missing, so may be the table.
            own = own_columns.get((target.schema, target.name), [])
            standing = own or (self._standing(target, ()) if TARGETS_OWN[target.mode] else [])
            if standing:
                refuse_other_mode(target, standing)
            return None
        former = self._formers(target, held)
        standing = self._standing(target, former)
        if standing and not there_before:
            self._refuse_others(target)
        # What the former target holds goes first, and comes again; while rows are only read anew, it may hold those read before.
        if held and not there_before and not (afresh and target.mode.keyed):
            self._refuse_unmoved(target, newest.named, stands=bool(standing))
        if there_before and not standing and not (renewing and target.mode.keyed):
            raise gone(target, self._grant_select_to)
        change = Evolution()
        if standing:
            change = evolution(target, standing, former, renewing=renewing or self._holds_nothing(target, standing))
        if change.made_again:
            change = replace(change, alterations=(*change.alterations, *create_statements(target, self._grant_select_to)))
        if standing and there_before:
            return _Due(newest.number + 1, (), (), change)
        granted = self._grant_select_to
        return _Due(newest.number + 1, schema_statements(target, granted), table_statements(target, granted), change)

    def _refuse_other_mode(self, target: TargetTable) -> None:
        """Raises Unfit or Invalid when the table there, if one is, was not loaded in the target's mode, or by another pipeline."""
        versions, _ = self._known_now()
        held = versions.get(target.topic, [])
        if standing := self._standing(target, ()):
            if not held or held[-1].named != _named(target):
                self._refuse_others(target)
            former = self._formers(target, held[-1:])
            refuse_other_mode(target, standing, former[-1] if former else None)

    def _refuse_unmoved(self, target: TargetTable, former: str, *, stands: bool) -> None:
        """Raises Invalid unless the table that was loaded under the name `former` is the one that `stands` under the target's: what a
        person moves is gone from where it was, though a view of it may be left there."""
        there = unqualified(former)
        left = "SELECT 1 FROM svv_tables WHERE table_schema = %s AND table_name = %s AND table_type = 'BASE TABLE'"
        if not stands or self._session.run(left, there):
            raise elsewhere(target, there, both=stands)

    def _refuse_others(self, target: TargetTable) -> None:
        """Raises Invalid when another pipeline of this warehouse loads the table: each would take the other's rows for its own."""
        ledgers = self._session.run(
            "SELECT table_schema FROM svv_tables WHERE table_name = 'schema_version' AND table_schema <> %s ORDER BY 1", (self._schema,)
        )
        for (schema,) in ledgers:
            versions = qualified(schema, "schema_version")
            try:
                found = self._session.run(f"SELECT 1 FROM {versions} WHERE target_table = %s LIMIT 1", (_named(target),))
            except Invalid:
                continue  # something else of that name, or none of our business
            if found:
                raise Invalid(
                    f"table {_named(target)} is loaded by another pipeline, whose ledger is in schema {schema}; give one of them another"
                    ' target.schema, as "eu_{db}"',
                    table=_named(target),
                    schema=schema,
                )

    def _holds_nothing(self, target: TargetTable, standing: Sequence[StandingColumn]) -> bool:
        """Whether the table holds no row that MySQL has: then it lacks nothing that could come again."""
        where = ""
        if target.mode is Mode.SOFT_DELETE:
            if all(column.name != DELETED for column in standing):
                return False
            where = f" WHERE NOT {quote(DELETED)}"
        statement = f"SELECT 1 FROM {_named(target)}{where} LIMIT 1"
        with _refusing(target, statement):
            return not self._session.run(statement)

    def _formers(self, target: TargetTable, held: Sequence[_Version]) -> list[TargetTable]:
        """Each once, where it was the last time; of a table that was moved also those from before."""
        last = dict.fromkeys(version.fingerprint for version in reversed(held))
        return [found for fingerprint in reversed(last) if (found := self._former(target.topic, fingerprint)) is not None]

    def _known_now(self) -> Known:
        if self._known is None:
            self._known = self._all_known()
        return self._known

    def _all_known(self) -> Known:
        """In two answers; a thousand tables would take two thousand."""
        versions: dict[str, list[_Version]] = {}
        for topic, named, number, fingerprint in self._session.run(
            f"SELECT topic, target_table, version, fingerprint FROM {self._schema_versions} ORDER BY version, created_at"
        ):
            versions.setdefault(topic, []).append(_Version(number, named, fingerprint))
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

    def _standing(self, target: TargetTable, former: Sequence[TargetTable]) -> list[StandingColumn]:
        rows = self._session.run(
            f"SELECT {_STANDING} FROM svv_columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (target.schema, target.name),
        )
        made = {column.name: column.sql_type for table in (target, *former) for column in table.columns}
        return [StandingColumn(row[0], _sql_type(row, made.get(row[0], ""))) for row in rows]


@contextmanager
def _refusing(target: TargetTable, statement: str) -> Iterator[None]:
    """What the warehouse refuses of a table concerns that table alone, but for rights and grants."""
    try:
        yield
    except Invalid as error:
        raise not_done(target, statement, str(error.fields.get("code", "")), error.message) from error
    except Unavailable as error:
        raise of_table(error, target, statement) from error


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


def _sql_type(row: Sequence[Any], made: str) -> str:
    """A catalog row's type as the loader writes it. A VARBYTE whose length the catalog doesn't tell is taken for what the loader made."""
    _, data_type, length, precision, scale = row
    kind = data_type.partition("(")[0].strip()
    if kind == "character varying":
        return f"VARCHAR({length})"
    if kind in ("binary varying", "varbyte"):
        return f"VARBYTE({length})" if length else made if made.startswith("VARBYTE") else "VARBYTE"
    if kind == "numeric":
        return f"DECIMAL({precision},{scale})"
    return _TYPES.get(kind, str(data_type))
