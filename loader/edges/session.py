"""A session with the warehouse: one connection, its transactions, and what the driver's errors mean.

Source: redshift_connector: an error of the server is an exception whose first argument is the dict of the wire's fields, a broken
connection is any other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from redshift_connector.core import Connection
from redshift_connector.cursor import Cursor

from contracts.errors import Fenced, Invalid, OutcomeUnknown, PipelineError, Unavailable
from contracts.ledger import Fence
from loader.core.statements import Bound, CommitTables, Statement, hold_fence
from runtime.connect.redshift import BROKEN

STATEMENTS_MAX = 20_000
"""Of one connection. The driver keeps the text of each statement for as long as its connection lives, and every COPY has a text of its
own: 600 bytes each were measured."""

_ENDED = frozenset(["FATAL", "PANIC"])
_HOPELESS = ("42", "3F", "0A", "28", "2B", "54")
"""Classes of SQLSTATE that stay the same until a person acts: no such table, no right to it, no such feature, something that depends on
it, a limit reached."""


class Transaction:
    """One transaction of a session."""

    def __init__(self, session: "Session", cursor: Cursor) -> None:
        self._session = session
        self._cursor = cursor

    def run(self, sql: str, values: Sequence[Bound] = ()) -> list[Any]:
        """The statement's rows, if it has any. Raises Unavailable, Invalid."""
        return self._session.execute(self._cursor, sql, values)

    def hold(self, fence: Fence, tables: CommitTables) -> None:
        """Keeps the shard from being taken over until this transaction ends. Raises Fenced when it was taken before, Unavailable."""
        if self.touch(hold_fence(fence, tables)) != 1:
            raise Fenced(f"shard {fence.shard} is no longer at epoch {fence.epoch}", shard=fence.shard, epoch=fence.epoch)

    def touch(self, statement: Statement) -> int:
        """How many rows the statement touched."""
        self.run(statement.sql, statement.values)
        return int(self._cursor.rowcount)

    def commit(self, what: str) -> None:
        """Raises Unavailable when the server refused, OutcomeUnknown when its answer was lost."""
        self._session.commit(what)


class Session:
    """A connection, opened when first needed and again after it broke."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._executed = 0
        self.number = 0
        """Of the connection: what lives with one is gone when it is another."""

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def run(self, sql: str, values: Sequence[Bound] = ()) -> list[Any]:
        """One statement in a transaction of its own, and its rows. Raises Unavailable, Invalid."""
        connection = self._open()
        connection.autocommit = True
        return self.execute(connection.cursor(), sql, values)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Rolled back at the end, unless it was committed."""
        connection = self._open()
        connection.autocommit = False
        try:
            yield Transaction(self, connection.cursor())
        finally:
            if self._connection is connection:
                try:
                    connection.rollback()
                    connection.autocommit = True
                except BROKEN:
                    self.forget()

    def execute(self, cursor: Cursor, sql: str, values: Sequence[Bound]) -> list[Any]:
        self._executed += 1
        try:
            # Without values the driver leaves the text alone.
            cursor.execute(sql, tuple(values) or None)
            return list(cursor.fetchall()) if cursor.description else []
        except BROKEN as error:
            raise self._translated(error) from error

    def commit(self, what: str) -> None:
        assert self._connection is not None
        try:
            self._connection.commit()
        except BROKEN as error:
            said = wire_fields(error)
            if said is not None and said.get("S") not in _ENDED:
                raise Unavailable(f"{what} was refused: {_message(error)}", code=said.get("C", "")) from error
            self.forget()
            raise OutcomeUnknown(f"{what} was sent, and its answer lost: {_message(error)}") from error

    def forget(self) -> None:
        """Whatever this connection had open, the server rolls back; its temp tables go with it."""
        connection, self._connection, self._executed = self._connection, None, 0
        if connection is not None:
            with suppress(*BROKEN):
                connection.close()

    def _open(self) -> Connection:
        """Outside a transaction."""
        if self._executed >= STATEMENTS_MAX:
            self.forget()
        if self._connection is None:
            self._connection = self._connect()
            self.number += 1
        return self._connection

    def _translated(self, error: Exception) -> PipelineError:
        said = wire_fields(error)
        if said is None or said.get("S") in _ENDED:
            self.forget()
            return Unavailable(f"the warehouse's session ended: {_message(error)}")
        code = said.get("C", "")
        if code.startswith(_HOPELESS):
            return Invalid(f"the warehouse refuses: {_message(error)}", code=code)
        return Unavailable(f"the warehouse: {_message(error)}", code=code)


def wire_fields(error: Exception) -> dict[str, str] | None:
    """The server's own words, if it is the server that speaks."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, dict) and "C" in first else None


def _message(error: Exception) -> str:
    said = wire_fields(error)
    if said is None:
        return f"{type(error).__name__} {error}".strip()
    return " ".join(filter(None, [said.get("M"), said.get("D")]))
