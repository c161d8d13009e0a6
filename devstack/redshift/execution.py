"""Running what the stand-in runs itself: scripts, COPY, locks, and the faults that come before a statement."""

import time
from typing import TYPE_CHECKING

from devstack.redshift.errors import serialization_failure
from devstack.redshift.faults import Rule
from devstack.redshift.lexer import literal
from devstack.redshift.load import load
from devstack.redshift.loaderror import LoadError
from devstack.redshift.plan import Block, Copy, Lock, Script
from devstack.redshift.refusal import SqlError
from devstack.redshift.upstream import FromPostgres, Upstream

if TYPE_CHECKING:
    from devstack.redshift.server import Shared


ALREADY_THERE = frozenset(["23505", "42P06", "42P07"])


class Dropped(Exception):
    """A fault rule closes this client's socket."""


class Execution:
    """Statements in the transaction of one PostgreSQL session. `last_copy` is the row count and query id of its last COPY."""

    def __init__(self, upstream: Upstream, user: str, pid: int, shared: "Shared") -> None:
        self._upstream = upstream
        self._user = user
        self._pid = pid
        self._shared = shared
        self.last_copy = (0, -1)

    def strike(self, rule: Rule | None, verb: str) -> None:
        """What a fault rule does in place of the statement, or ahead of it. Raises Dropped, or the SqlError injected."""
        if rule is None or rule.action == "drop_after":
            return
        if rule.action in ("hang", "delay"):
            time.sleep(rule.seconds)
        if rule.action in ("drop_before", "hang"):
            raise Dropped
        if rule.action in ("error_1023", "error_15001"):
            if verb == "commit" and self._upstream.status != b"I":
                self._upstream.query("ROLLBACK")  # a COMMIT that fails has ended its transaction
            if rule.action == "error_1023":
                raise SqlError.of(serialization_failure(self._pid))
            raise LoadError("injected by a fault rule", 15001)

    def lock(self, locks: tuple[Lock, ...]) -> None:
        """Takes a statement's write locks in the open transaction. A bare LOCK takes no snapshot, unlike any query."""
        if self._upstream.status == b"T":
            for lock in locks:
                self._upstream.query(lock.sql(snapshot=self._shared.snapshot))

    def script(self, plan: Script, *, in_block: bool) -> int:
        """Runs the steps; the row count of the step that has one. `in_block`: inside a transaction block of the client's."""
        self._check_usable()
        if plan.block is Block.OUTSIDE and in_block:
            raise SqlError(f"{plan.verb.upper()} cannot run inside a transaction block", "25001")
        if plan.block is Block.INSIDE and not in_block:
            raise SqlError(f"{plan.tag} can only be used in transaction blocks", "25P01")
        self._shared.catalog.keep_long_names()  # ahead of this transaction's snapshot, if it has none yet
        self.lock(plan.locks)
        count = 0
        if plan.only_if_new:
            self._create_if_new(plan)
        else:
            for number, step in enumerate(plan.steps):
                result = self._upstream.query(step)
                if number == plan.count_of_step:
                    count = result.count
        if plan.commits:
            self._upstream.query("COMMIT")
        return count

    def _create_if_new(self, plan: Script) -> None:
        """PostgreSQL's IF NOT EXISTS fails when it waited for another session that made the same; Redshift's does not."""
        if plan.unless_exists and self._exists(plan.unless_exists.sql):
            return
        self._upstream.query("SAVEPOINT standin")
        try:
            for step in plan.steps:
                self._upstream.query(step)
        except FromPostgres as e:
            if e.code not in ALREADY_THERE:
                raise
            self._upstream.query("ROLLBACK TO SAVEPOINT standin")
        self._upstream.query("RELEASE SAVEPOINT standin")

    def _exists(self, relation: str) -> bool:
        return self._upstream.query(f"SELECT to_regclass({literal(relation)})").rows[0][0] is not None

    def copy(self, plan: Copy) -> int:
        """Loads the files; the number of rows. The load history is written apart, so it survives a rollback."""
        self._check_usable()
        catalog = self._shared.catalog
        query_id = catalog.next_query_id()
        began = time.monotonic()
        self.lock((Lock(plan.table, shared=True),))
        table_id = int(self._upstream.query(f"SELECT {literal(plan.table.sql)}::regclass::oid").rows[0][0] or 0)
        try:
            loaded = load(plan, self._upstream, self._shared.store)
        except LoadError as e:
            catalog.failed(query_id, self._pid, self._user, plan, e, table_id)
            raise
        catalog.loaded(query_id, self._pid, self._user, plan, loaded, table_id, time.monotonic() - began)
        self.last_copy = (loaded.rows, query_id)
        return loaded.rows

    def _check_usable(self) -> None:
        if self._upstream.status == b"E":
            raise SqlError("current transaction is aborted, commands ignored until end of transaction block", "25P02")
