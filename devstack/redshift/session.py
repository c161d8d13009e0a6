"""One client's session: its messages up to each Sync, translated, run in one PostgreSQL session, answered as Redshift would.

The write lock of a statement is taken before its Parse goes to PostgreSQL, because PostgreSQL takes the transaction's snapshot
already there. Outside a transaction block a statement that writes runs in a block of its own, for the same reason."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from devstack.redshift.batch import Batch, Prepared
from devstack.redshift.dialect import translate
from devstack.redshift.errors import described, redshift_error
from devstack.redshift.execution import Dropped, Execution
from devstack.redshift.faults import Rule
from devstack.redshift.journal import Entry, stamp
from devstack.redshift.plan import Block, Copy, Forward, Script
from devstack.redshift.refusal import NOT_IMPLEMENTED, SqlError
from devstack.redshift.signin import Client
from devstack.redshift.upstream import FromPostgres, Upstream
from devstack.redshift.wire import (
    Message,
    error,
    first_ready,
    notice_body,
    ready,
    redshift_columns,
    redshift_row,
    split_text,
    tag,
    text,
)

if TYPE_CHECKING:
    from devstack.redshift.server import Shared

FLUSH_BYTES = 1 << 17
SYNC, FLUSH = Message(b"S"), Message(b"H")
PARSE_COMPLETE, BIND_COMPLETE, CLOSE_COMPLETE, NO_DATA = Message(b"1"), Message(b"2"), Message(b"3"), Message(b"n")
NO_PARAMETERS = Message(b"t", b"\0\0")


class Session:
    """Serves one signed-in client until it leaves. `upstream` ends with it, and with that its open transaction."""

    def __init__(self, client: Client, upstream: Upstream, pid: int, shared: "Shared") -> None:
        self._client = client.stream
        self._upstream = upstream
        self._pid = pid
        self._shared = shared
        self._execution = Execution(upstream, client.user, pid, shared)
        self._statements: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, bytes] = {}
        self._case_sensitive = False

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
                self._batch(pending, Batch())
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
        self._batch(parts, Batch(hidden=(b"1", b"2", b"n", b"t")))

    # a batch ---------------------------------------------------------------------------------------------------------------

    def _batch(self, messages: list[Message], batch: Batch) -> None:
        try:
            self._prepare(messages)
        except SqlError as e:
            # Nothing of the batch has run; one of the driver's holds a single statement.
            sql = next((split_text(m.body, 2)[0][1].decode(errors="replace") for m in messages if m.kind == b"P"), "")
            self._note(batch, "refused", sql, time.monotonic(), failure=e)
            self._fail(batch, e)
            self._finish(batch)
            return
        batch.own = self._upstream.status == b"I" and any(self._needs_block(m) for m in messages)
        if batch.own:
            self._upstream.query("BEGIN")
        for message in messages[:-1]:
            try:
                self._handle(message, batch)
            except SqlError as e:
                if message.kind == b"P":
                    prepared = self._statements[split_text(message.body, 1)[0][0]]
                    self._note(batch, prepared.plan.verb, prepared.sql, time.monotonic(), failure=e)
                self._fail(batch, e)
                break
        self._finish(batch)

    def _prepare(self, messages: list[Message]) -> None:
        """Translates every Parse and follows every Bind, so that the batch's Executes are known before it starts."""
        for message in messages:
            if message.kind == b"P":
                (name, raw), _ = split_text(message.body, 2)
                self._statements.pop(name, None)
                sql = raw.decode()
                plan = translate(sql, self._shared.long_names, case_sensitive=self._case_sensitive)
                self._statements[name] = Prepared(sql, plan or Forward("empty", ""))
            elif message.kind == b"B":
                (portal, name), _ = split_text(message.body, 2)
                if name not in self._statements:
                    raise SqlError(f'prepared statement "{name.decode()}" does not exist', "26000")
                self._portals[portal] = name

    def _executed(self, message: Message) -> Prepared | None:
        if message.kind != b"E":
            return None
        (portal,), _ = split_text(message.body, 1)
        return self._statements.get(self._portals.get(portal, b""))

    def _needs_block(self, message: Message) -> bool:
        prepared = self._executed(message)
        if prepared is None:
            return False
        plan = prepared.plan
        if isinstance(plan, Script):
            return plan.verb not in ("set", "reset", "vacuum") and plan.block is not Block.INSIDE
        return isinstance(plan, Copy) or bool(plan.locks)

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

    # one message -----------------------------------------------------------------------------------------------------------

    def _handle(self, message: Message, batch: Batch) -> None:
        match message.kind:
            case b"P":
                self._parse(message, batch)
            case b"B":
                self._bind(message, batch)
            case b"D":
                self._describe(message, batch)
            case b"E":
                self._execute(message, batch)
            case b"C":
                self._close(message, batch)
            case _:
                raise SqlError(f"stand-in: message {message.kind!r} is not implemented", NOT_IMPLEMENTED)

    def _forward(self, message: Message, batch: Batch, *last: bytes) -> None:
        """Sends one message to PostgreSQL and passes its answers on, up to one of the kinds `last`."""
        self._upstream.stream.put(message, FLUSH)
        batch.forwarded = True
        while True:
            answer = self._upstream.answer()
            batch.add(answer)
            if answer.kind in last:
                return

    def _parse(self, message: Message, batch: Batch) -> None:
        (name, _), rest = split_text(message.body, 2)
        plan = self._statements[name].plan
        if isinstance(plan, Forward):
            self._execution.lock(plan.locks)
            self._forward(Message(b"P", name + b"\0" + text(plan.sql) + rest), batch, b"1")
        else:
            batch.add(PARSE_COMPLETE)

    def _bind(self, message: Message, batch: Batch) -> None:
        (_, name), _ = split_text(message.body, 2)
        plan = self._statements[name].plan
        if not isinstance(plan, Forward):
            batch.add(BIND_COMPLETE)
            return
        self._execution.lock(plan.locks)
        if plan.reads_copy_history:
            # Before Bind, for PostgreSQL forgets the unnamed portal over a simple query.
            count, query_id = self._execution.last_copy
            self._upstream.query(f"SET standin.last_copy_count = '{count}'; SET standin.last_copy_id = '{query_id}'")
        self._forward(message, batch, b"2")

    def _describe(self, message: Message, batch: Batch) -> None:
        kind, name = message.body[:1], message.body[1:-1]
        statement = self._portals.get(name, b"") if kind == b"P" else name
        prepared = self._statements.get(statement)
        if prepared is None:
            raise SqlError(f'prepared statement "{statement.decode()}" does not exist', "26000")
        if not isinstance(prepared.plan, Forward):
            if kind == b"S":
                batch.add(NO_PARAMETERS)
            batch.add(NO_DATA)
            return
        self._upstream.stream.put(message, FLUSH)
        batch.forwarded = True
        while True:
            answer = self._upstream.answer()
            if answer.kind == b"T":
                prepared.columns = redshift_columns(answer.body, self._shared.long_names.all())
                answer = Message(b"T", prepared.columns.body)
            batch.add(answer)
            if answer.kind in (b"T", b"n"):
                return

    def _close(self, message: Message, batch: Batch) -> None:
        kind, name = message.body[:1], message.body[1:-1]
        prepared = self._statements.pop(name, None) if kind == b"S" else None
        if kind == b"P" or (prepared is not None and isinstance(prepared.plan, Forward)):
            self._forward(message, batch, b"3")
        else:
            batch.add(CLOSE_COMPLETE)

    # execution -------------------------------------------------------------------------------------------------------------

    def _execute(self, message: Message, batch: Batch) -> None:
        prepared = self._executed(message)
        if prepared is None:
            raise SqlError("portal does not exist", "34000")
        verb, sql, began = prepared.plan.verb, prepared.sql, time.monotonic()
        rule = self._shared.faults.strike(verb, sql)
        try:
            self._execution.strike(rule, verb)
            rows, completion = self._run(message, prepared, batch)
        except Dropped:
            self._note(batch, verb, sql, began, failure=SqlError("not run, connection dropped", "08006"), rule=rule)
            self._shared.journal.write(batch.entries[-1])
            raise
        except SqlError as e:
            self._note(batch, verb, sql, began, failure=e, rule=rule)
            raise
        self._note(batch, verb, sql, began, rows=rows, rule=rule)
        batch.lose_answer = batch.lose_answer or (rule is not None and rule.action == "drop_after")
        if batch.own:
            batch.completion = completion
        else:
            batch.add(completion)

    def _run(self, message: Message, prepared: Prepared, batch: Batch) -> tuple[int, Message]:
        """Runs one statement; its row count and its CommandComplete."""
        plan = prepared.plan
        if isinstance(plan, Forward):
            return self._rows(message, prepared, batch)
        if isinstance(plan, Script):
            count = self._execution.script(plan, in_block=self._upstream.status != b"I" and not batch.own)
            if plan.case_sensitive is not None:
                self._case_sensitive = plan.case_sensitive
            return count, tag(plan.tag)
        rows = self._execution.copy(plan)
        info = f"Load into table '{plan.table.name}' completed, {rows} record(s) loaded successfully."
        batch.add(Message(b"N", notice_body({"S": "INFO", "C": "00000", "M": info})))
        # The tag carries no count: a loader has to ask pg_last_copy_count().
        return rows, tag("COPY 0")

    def _rows(self, message: Message, prepared: Prepared, batch: Batch) -> tuple[int, Message]:
        self._upstream.stream.put(message, FLUSH)
        batch.forwarded = True
        columns = prepared.columns
        while True:
            answer = self._upstream.answer()
            if answer.kind in (b"C", b"I", b"s"):
                last = answer.body[:-1].rsplit(b" ", 1)[-1]
                return int(last) if last.isdigit() else 0, answer
            if answer.kind == b"D" and columns is not None and columns.recoded:
                answer = Message(b"D", redshift_row(answer.body, columns))
            batch.add(answer)
            if len(batch.out) > FLUSH_BYTES:
                self._client.send(batch.out)
                batch.out.clear()

    def _note(
        self, batch: Batch, verb: str, sql: str, began: float, *, rows: int = 0, failure: SqlError | None = None, rule: Rule | None = None
    ) -> None:
        """Enters the statement for the journal, which is written once the batch's outcome is known."""
        elapsed_ms = round((time.monotonic() - began) * 1000, 3)
        outcome = "ok" if failure is None else redshift_error(failure.fields)["C"]
        action = rule.action if rule else ""
        batch.entries.append(Entry(stamp(), self._pid, verb, sql, outcome, rows, elapsed_ms, described(failure) if failure else "", action))
