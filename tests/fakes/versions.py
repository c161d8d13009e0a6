"""Rows with versions: transactions as Redshift runs them, on nothing but dictionaries.

SNAPSHOT: a transaction reads what was committed before its first statement; UPDATE and DELETE wait for the table's lock, and fail with 1023
when the row has changed since the snapshot; two transactions that each write what the other has read both commit (write skew). INSERT locks
nothing. SERIALIZABLE fails a writer of whose tables any changed since its snapshot. Nothing is unique. Never stricter than Redshift, or it
would hide faults. Source: Redshift guide, "Isolation levels in Amazon Redshift"; "Managing concurrent write operations".
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from contracts.errors import PipelineError


class Isolation(StrEnum):
    SNAPSHOT = "snapshot"
    SNAPSHOT_BEFORE_WAIT = "snapshot, taken before the wait for a lock"
    SERIALIZABLE = "serializable"


class Conflict(PipelineError):
    """Error 1023: rolled back for certain."""


class Ended(PipelineError):
    """The transaction is over: the session was ended, or its connection is gone."""


class State(StrEnum):
    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass
class Transaction:
    """Writes by row number; None is a deleted row."""

    snapshot: int | None = None
    writes: dict[int, tuple[str, Hashable, Any]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)
    state: State = State.OPEN

    @property
    def open(self) -> bool:
        return self.state is State.OPEN


@dataclass
class Store:
    """Tables of rows; a row has a number nobody sees, a key to find it by, and a value for each version that changed it."""

    isolation: Isolation = Isolation.SNAPSHOT
    on_commit: Callable[[frozenset[str]], None] = lambda tables: None
    """Told after each commit which tables it has written."""
    version: int = 0
    history: dict[int, list[tuple[int, Any]]] = field(default_factory=dict)
    rows: dict[str, dict[Hashable, list[int]]] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    locks: dict[str, Transaction] = field(default_factory=dict)
    _numbers: int = 0

    def begin(self) -> Transaction:
        return Transaction()

    def lockable(self, t: Transaction, table: str) -> bool:
        """Whether the table's lock is free or ours. A waiting transaction asks again."""
        if self.isolation is Isolation.SNAPSHOT_BEFORE_WAIT:
            self._look(t)
        return self.locks.get(table, t) is t or not t.open

    def lock(self, t: Transaction, table: str) -> None:
        """Takes the lock, which must be free, until the transaction's end. Raises Ended."""
        _check(t)
        if not self.lockable(t, table):
            raise Conflict(f"the lock on {table} is taken")
        self.locks[table] = t

    def find(self, t: Transaction, table: str, key: Hashable) -> list[tuple[int, Any]]:
        """Row numbers and values under a key, as the transaction sees them. Raises Ended."""
        self._look(t)
        t.tables.add(table)
        seen = ((number, self._seen(t, number)) for number in self.rows.get(table, {}).get(key, ()))
        return [(number, value) for number, value in seen if value is not None]

    def scan(self, t: Transaction, table: str) -> Iterator[tuple[int, Hashable, Any]]:
        """Row numbers, keys and values of a whole table, as the transaction sees them. Raises Ended."""
        for key in list(self.rows.get(table, {})):
            for number, value in self.find(t, table, key):
                yield number, key, value

    def insert(self, t: Transaction, table: str, key: Hashable, value: Any) -> None:
        self._look(t)
        self._numbers += 1
        self.rows.setdefault(table, {}).setdefault(key, []).append(self._numbers)
        self.history[self._numbers] = []
        t.tables.add(table)
        t.writes[self._numbers] = (table, key, value)

    def write(self, t: Transaction, table: str, number: int, key: Hashable, value: Any, *, blind: bool = False) -> None:
        """UPDATE, or DELETE with None, of a row the transaction sees; the table is locked. `blind`: without a look at lock and snapshot, as
        a design does that INSERTs what it should UPDATE and takes the newest for the truth. Raises Conflict, Ended."""
        self._look(t)
        if self.locks.get(table) is not t and not blind:
            raise AssertionError(f"{table} is not locked by who writes it")
        committed = self.history[number]
        assert t.snapshot is not None
        if committed and committed[-1][0] > t.snapshot and not blind:
            raise Conflict(f"1023: a row of {table} has changed since the snapshot")
        t.tables.add(table)
        t.writes[number] = (table, key, value)

    def commit(self, t: Transaction) -> None:
        """Raises Conflict, Ended."""
        _check(t)
        if t.writes:
            if self.isolation is Isolation.SERIALIZABLE and any(self.changed.get(table, 0) > (t.snapshot or 0) for table in t.tables):
                self.rollback(t)
                raise Conflict("1023: serializable isolation violation")
            self.version += 1
            for number, (table, _, value) in t.writes.items():
                self.history[number].append((self.version, value))
                self.changed[table] = self.version
        t.state = State.COMMITTED
        self._release(t)
        if t.writes:
            self.on_commit(frozenset(table for table, _, _ in t.writes.values()))

    def rollback(self, t: Transaction) -> None:
        if t.open:
            t.state = State.ABORTED
            self._release(t)

    def now(self, table: str) -> list[Any]:
        """The values of all committed rows."""
        history = self.history
        versions = [history[number] for found in self.rows.get(table, {}).values() for number in found]
        return [last for known in versions if known and (last := known[-1][1]) is not None]

    def _release(self, t: Transaction) -> None:
        if self.locks:
            self.locks = {table: holder for table, holder in self.locks.items() if holder is not t}

    def _look(self, t: Transaction) -> None:
        _check(t)
        if t.snapshot is None:
            t.snapshot = self.version

    def _seen(self, t: Transaction, number: int) -> Any:
        if number in t.writes:
            return t.writes[number][2]
        for version, value in reversed(self.history[number]):
            if version <= (t.snapshot or 0):
                return value
        return None


def _check(t: Transaction) -> None:
    if not t.open:
        raise Ended(f"transaction {t.state}")
