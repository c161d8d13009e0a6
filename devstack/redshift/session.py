"""One client's session: its messages up to each Sync, translated, run in one PostgreSQL session, answered as Redshift would.

Outside a transaction block a statement that writes runs in a block of its own, so that its lock is taken before its snapshot."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from devstack.redshift.batch import Batch
from devstack.redshift.errors import described, redshift_error
from devstack.redshift.execution import Dropped
from devstack.redshift.refusal import SqlError
from devstack.redshift.signin import Client
from devstack.redshift.statements import Statements
from devstack.redshift.upstream import FromPostgres, Upstream
from devstack.redshift.wire import Message, error, first_ready, ready, split_text

if TYPE_CHECKING:
    from devstack.redshift.server import Shared

SYNC = Message(b"S")


class Session:
    """Serves one signed-in client until it leaves. `upstream` ends with it, and with that its open transaction."""

    def __init__(self, client: Client, upstream: Upstream, pid: int, shared: "Shared") -> None:
        self._client = client.stream
        self._upstream = upstream
        self._pid = pid
        self._shared = shared
        self._statements = Statements(client, upstream, pid, shared)

    def serve(self) -> None:
        """Raises Closed when either side is gone, Dropped when a fault rule says so."""
        try:
            self._serve()
        finally:
            if self._upstream.last_words:
                self._client.put(error(redshift_error(self._upstream.last_words)))

    def _serve(self) -> None:
        pending: list[Message] = []
        while True:
            if first_ready(self._client, self._upstream.stream) is self._upstream.stream:
                self._upstream.answer()  # notices nobody asked for; the end of the session raises Closed
                continue
            message = self._client.get()
            if message.kind == b"X":
                return
            if message.kind == b"Q":
                self._simple(message.body)
            elif message.kind != b"H":  # the driver sends Flush before each Sync; answers go out at Sync
                pending.append(message)
            if message.kind == b"S":
                self._batch(pending, Batch(self._pid))
                pending = []

    def _simple(self, sql: bytes) -> None:
        """The simple protocol, for psql: one statement, run as the extended protocol's messages."""
        parts = [
            Message(b"P", b"\0" + sql + b"\0\0"),
            Message(b"B", b"\0\0" + b"\0\0" * 3),
            Message(b"D", b"P\0"),
            Message(b"E", b"\0" + b"\0" * 4),
            SYNC,
        ]
        self._batch(parts, Batch(self._pid, hidden=(b"1", b"2", b"n", b"t")))

    def _batch(self, messages: list[Message], batch: Batch) -> None:
        try:
            self._statements.prepare(messages)
        except SqlError as e:
            # Nothing of the batch has run; one of the driver's holds a single statement.
            sql = next((split_text(m.body, 2)[0][1].decode(errors="replace") for m in messages if m.kind == b"P"), "")
            batch.note("refused", sql, time.monotonic(), failure=e)
            self._fail(batch, e)
            self._finish(batch)
            return
        batch.own = self._upstream.status == b"I" and any(self._statements.needs_block(m) for m in messages)
        if batch.own:
            self._upstream.query("BEGIN")
        for message in messages[:-1]:
            try:
                self._statements.handle(message, batch)
            except SqlError as e:
                if message.kind == b"P":
                    prepared = self._statements.parsed(message)
                    batch.note(prepared.plan.verb, prepared.sql, time.monotonic(), failure=e)
                self._fail(batch, e)
                break
        self._finish(batch)

    def _fail(self, batch: Batch, failure: SqlError) -> None:
        batch.failed = True
        batch.completion = None
        if not isinstance(failure, FromPostgres):
            self._upstream.abort()
        batch.add(error(redshift_error(failure.fields)))

    def _finish(self, batch: Batch) -> None:
        """Sync: ends the stand-in's own block, writes the journal, sends the answers."""
        try:
            if batch.forwarded:
                self._upstream.stream.put(SYNC)
                self._until_ready()
            if batch.own and self._upstream.status != b"I":
                self._upstream.query("ROLLBACK" if batch.failed else "COMMIT")
        except FromPostgres as e:
            # A conflict may show itself as late as at the commit.
            self._fail(batch, e)
            if batch.entries:
                outcome = redshift_error(e.fields)["C"]
                batch.entries[-1] = replace(batch.entries[-1], outcome=outcome, rows=0, error=described(e))
        if batch.completion is not None:
            batch.add(batch.completion)
        for entry in batch.entries:
            self._shared.journal.write(entry)
        if batch.lose_answer:
            raise Dropped
        batch.add(ready(self._upstream.status))
        self._client.send(batch.out)

    def _until_ready(self) -> None:
        failure: FromPostgres | None = None
        while True:
            try:
                message = self._upstream.answer()
            except FromPostgres as e:
                failure = e
                continue
            if message.kind == b"Z":
                self._upstream.status = message.body
                if failure is not None:
                    raise failure
                return
