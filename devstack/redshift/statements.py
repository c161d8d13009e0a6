"""A session's prepared statements and portals, and the messages of the extended protocol that make, describe and run them.

The write lock of a statement is taken before its Parse goes to PostgreSQL, because PostgreSQL takes the transaction's snapshot
already there."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from devstack.redshift.batch import Batch, Prepared
from devstack.redshift.dialect import translate
from devstack.redshift.execution import Dropped, Execution
from devstack.redshift.plan import Block, Copy, Forward, Script
from devstack.redshift.refusal import NOT_IMPLEMENTED, SqlError
from devstack.redshift.signin import Client
from devstack.redshift.upstream import Upstream
from devstack.redshift.wire import Message, notice_body, redshift_columns, redshift_row, split_text, tag, text

if TYPE_CHECKING:
    from devstack.redshift.server import Shared

FLUSH_BYTES = 1 << 17
FLUSH = Message(b"H")
PARSE_COMPLETE, BIND_COMPLETE, CLOSE_COMPLETE, NO_DATA = Message(b"1"), Message(b"2"), Message(b"3"), Message(b"n")
NO_PARAMETERS = Message(b"t", b"\0\0")


class Statements:
    """Those of one client, run in its PostgreSQL session `upstream`."""

    def __init__(self, client: Client, upstream: Upstream, pid: int, shared: "Shared") -> None:
        self._client = client.stream
        self._upstream = upstream
        self._shared = shared
        self._execution = Execution(upstream, client.user, pid, shared)
        self._statements: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, bytes] = {}
        self._case_sensitive = False

    def prepare(self, messages: Iterable[Message]) -> None:
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

    def parsed(self, message: Message) -> Prepared:
        """What a Parse message, prepared, has made."""
        return self._statements[split_text(message.body, 1)[0][0]]

    def _executed(self, message: Message) -> Prepared | None:
        if message.kind != b"E":
            return None
        (portal,), _ = split_text(message.body, 1)
        return self._statements.get(self._portals.get(portal, b""))

    def needs_block(self, message: Message) -> bool:
        """Whether it runs a statement that writes, which must not begin outside a transaction block."""
        prepared = self._executed(message)
        if prepared is None:
            return False
        plan = prepared.plan
        if isinstance(plan, Script):
            return plan.verb not in ("set", "reset", "vacuum") and plan.block is not Block.INSIDE
        return isinstance(plan, Copy) or bool(plan.locks)

    def handle(self, message: Message, batch: Batch) -> None:
        """Runs one message and adds its answers. Raises SqlError, Dropped when a fault rule says so."""
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
            batch.note(verb, sql, began, failure=SqlError("not run, connection dropped", "08006"), rule=rule)
            self._shared.journal.write(batch.entries[-1])
            raise
        except SqlError as e:
            batch.note(verb, sql, began, failure=e, rule=rule)
            raise
        batch.note(verb, sql, began, rows=rows, rule=rule)
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
