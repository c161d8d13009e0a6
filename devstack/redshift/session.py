"""One client's session: its messages up to each Sync, translated, run in one PostgreSQL session, answered as Redshift would.

The write lock of a statement is taken before its Parse goes to PostgreSQL, because PostgreSQL takes the transaction's snapshot
already there. Outside a transaction block a statement that writes runs in a block of its own, for the same reason."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from devstack.redshift.dialect import translate
from devstack.redshift.errors import redshift_error, serialization_failure
from devstack.redshift.faults import Rule
from devstack.redshift.journal import Entry, stamp
from devstack.redshift.lexer import literal
from devstack.redshift.load import load
from devstack.redshift.loaderror import LoadError
from devstack.redshift.names import LongNames
from devstack.redshift.plan import Block, Copy, Forward, Lock, Plan, Script
from devstack.redshift.refusal import NOT_IMPLEMENTED, SqlError
from devstack.redshift.signin import Client
from devstack.redshift.upstream import Upstream
from devstack.redshift.wire import (
    Closed,
    Columns,
    Message,
    error,
    error_fields,
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
ABORTED = SqlError("current transaction is aborted, commands ignored until end of transaction block", "25P02")


class Dropped(Exception):
    """A fault rule closes this client's socket."""


@dataclass(slots=True)
class Prepared:
    """A prepared statement: what the client sent, what it became, and the columns of its rows once described."""

    sql: str
    plan: Plan
    columns: Columns | None = None


@dataclass(slots=True)
class Batch:
    """The state of one Sync batch. `own`: it runs in a block the stand-in opened. `failed`: the rest is skipped up to Sync."""

    own: bool
    out: bytearray = field(default_factory=bytearray)
    entries: list[Entry] = field(default_factory=list)
    completion: Message | None = None
    forwarded: bool = False
    failed: bool = False
    lose_answer: bool = False


class Session:
    """Serves one signed-in client until it leaves. `upstream` ends with it, and with that its open transaction."""

    def __init__(self, client: Client, upstream: Upstream, pid: int, shared: "Shared") -> None:
        self._client = client.stream
        self._user = client.user
        self._upstream = upstream
        self._pid = pid
        self._shared = shared
        self._statements: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, bytes] = {}
        self._case_sensitive = False
        self._last_copy = (0, -1)

    def serve(self) -> None:
        pending: list[Message] = []
        while True:
            if first_ready(self._client, self._upstream.stream) is self._upstream.stream:
                self._farewell()
                return
            message = self._client.get()
            if message.kind == b"X":
                return
            if message.kind == b"H":
                continue  # the driver sends Flush before each Sync; answers go out at Sync
            if message.kind == b"Q":
                self._simple(message)
                continue
            pending.append(message)
            if message.kind == b"S":
                self._batch(pending)
                pending = []

    def _farewell(self) -> None:
        """PostgreSQL spoke while nobody asked: a notice, or the end of the session (pg_terminate_backend)."""
        message = self._upstream.stream.get()
        if message.kind == b"E":
            self._client.put(error(redshift_error(error_fields(message.body))))
            raise Closed
        if message.kind in (b"N", b"S"):
            self.serve()

    def _simple(self, query: Message) -> None:
        """The simple protocol, for psql: one statement, run as the extended protocol's messages."""
        sql = query.body
        parts = [Message(b"P", b"\0" + sql + b"\0\0"), Message(b"B", b"\0\0\0\0\0\0\0\0"), Message(b"D", b"P\0"),
                 Message(b"E", b"\0\0\0\0\0"), SYNC]  # fmt: skip
        self._batch(parts, hidden=(b"1", b"2", b"n", b"t"))

    # a batch ---------------------------------------------------------------------------------------------------------------

    def _batch(self, messages: list[Message], hidden: tuple[bytes, ...] = ()) -> None:
        batch = Batch(own=False)
        self._hidden = hidden
        try:
            self._prepare_all(messages)
        except SqlError as e:
            # Refused before anything of the batch ran; a batch of the driver holds one statement.
            self._refuse(batch, e, messages)
            self._client.send(batch.out)
            return
        batch.own = self._upstream.status == b"I" and any(self._writes(m) for m in messages)
        if batch.own:
            self._upstream.query("BEGIN")
        for message in messages[:-1]:
            if batch.failed:
                break
            try:
                self._handle(message, batch)
            except SqlError as e:
                self._fail(batch, e)
        self._finish(batch)

    def _prepare_all(self, messages: list[Message]) -> None:
        """Translates every Parse and follows every Bind, so that the batch's Executes are known before it starts."""
        for message in messages:
            if message.kind == b"P":
                (name, sql), _ = split_text(message.body, 2)
                self._statements.pop(name, None)
                decoded = sql.decode()
                plan = translate(decoded, self._shared.long_names, case_sensitive=self._case_sensitive)
                self._statements[name] = Prepared(decoded, plan or Forward("empty", ""))
            elif message.kind == b"B":
                (portal, statement), _ = split_text(message.body, 2)
                if statement not in self._statements:
                    raise SqlError(f'prepared statement "{statement.decode()}" does not exist', "26000")
                self._portals[portal] = statement

    def _refuse(self, batch: Batch, refusal: SqlError, messages: list[Message]) -> None:
        sql = next((split_text(m.body, 2)[0][1].decode(errors="replace") for m in messages if m.kind == b"P"), "")
        self._upstream.abort()
        self._entry(batch, "refused", sql, time.monotonic(), 0, refusal)
        for entry in batch.entries:
            self._shared.journal.write(entry)
        self._add(batch, error(refusal.fields))
        self._add(batch, ready(self._upstream.status))

    def _executed(self, message: Message) -> Prepared | None:
        if message.kind != b"E":
            return None
        (portal,), _ = split_text(message.body, 1)
        statement = self._portals.get(portal)
        return None if statement is None else self._statements.get(statement)

    def _writes(self, message: Message) -> bool:
        """Whether this Execute needs a transaction block around it."""
        prepared = self._executed(message)
        if prepared is None:
            return False
        plan = prepared.plan
        if isinstance(plan, Forward):
            return bool(plan.locks)
        return not (isinstance(plan, Script) and (plan.verb == "vacuum" or plan.block is Block.INSIDE or plan.verb in ("set", "reset")))

    def _finish(self, batch: Batch) -> None:
        """Sync: ends the stand-in's own block, sends the answers, writes the journal."""
        if batch.forwarded:
            self._upstream.stream.put(SYNC)
            self._until_ready(batch)
        if batch.own and self._upstream.status != b"I":
            try:
                self._upstream.query("ROLLBACK" if batch.failed or self._upstream.status == b"E" else "COMMIT")
            except SqlError as e:
                batch.completion = None
                mapped = SqlError.of(redshift_error(e.fields))
                self._add(batch, error(mapped.fields))
                last = batch.entries.pop()
                batch.entries.append(
                    Entry(last.ts, last.session, last.verb, last.sql, mapped.code, 0, last.elapsed_ms, describe(mapped), last.fault)
                )
        if batch.completion is not None:
            self._add(batch, batch.completion)
        for entry in batch.entries:
            self._shared.journal.write(entry)
        if batch.lose_answer:
            raise Dropped
        self._add(batch, ready(self._upstream.status))
        self._client.send(batch.out)

    def _until_ready(self, batch: Batch) -> None:
        while True:
            message = self._upstream.stream.get()
            if message.kind == b"Z":
                self._upstream.status = message.body
                return
            if message.kind == b"E":
                # Constraint triggers and serialization failures of an implicit transaction show up only here.
                batch.completion = None
                mapped = SqlError.of(redshift_error(error_fields(message.body)))
                self._add(batch, error(mapped.fields))
                batch.failed = True

    def _fail(self, batch: Batch, failure: SqlError) -> None:
        batch.failed = True
        if not batch.forwarded:
            self._upstream.abort()
        elif self._upstream.status == b"T" and not getattr(failure, "from_postgres", False):
            self._upstream.abort()
        self._add(batch, error(failure.fields))

    def _add(self, batch: Batch, message: Message) -> None:
        if message.kind in self._hidden:
            return
        batch.out += message.raw
        if len(batch.out) > FLUSH_BYTES and not batch.own and not batch.lose_answer:
            self._client.send(batch.out)
            batch.out.clear()

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

    def _forward(self, message: Message, batch: Batch, last: bytes) -> list[Message]:
        """Sends one message to PostgreSQL and reads its answers up to a message of one of the kinds `last`."""
        self._upstream.stream.put(message, FLUSH)
        batch.forwarded = True
        answers: list[Message] = []
        while True:
            answer = self._upstream.stream.get()
            if answer.kind == b"E":
                failure = FromPostgres.of_body(answer.body)
                if failure.fields["S"] == "FATAL":
                    self._client.put(error(failure.fields))
                    raise Closed
                raise failure
            answers.append(answer)
            if answer.kind in (last[i : i + 1] for i in range(len(last))):
                return answers

    def _parse(self, message: Message, batch: Batch) -> None:
        (name, _), rest = split_text(message.body, 2)
        prepared = self._statements[name]
        if not isinstance(prepared.plan, Forward):
            self._add(batch, Message(b"1"))
            return
        self._lock(prepared.plan.locks)
        for answer in self._forward(Message(b"P", name + b"\0" + text(prepared.plan.sql) + rest), batch, b"1"):
            self._add(batch, answer)

    def _bind(self, message: Message, batch: Batch) -> None:
        (portal, name), _ = split_text(message.body, 2)
        plan = self._statements[name].plan
        if not isinstance(plan, Forward):
            self._add(batch, Message(b"2"))
            return
        self._lock(plan.locks)
        if plan.reads_copy_history:
            count, query_id = self._last_copy
            self._query_between(batch, f"SET standin.last_copy_count = '{count}'; SET standin.last_copy_id = '{query_id}'")
        for answer in self._forward(message, batch, b"2"):
            self._add(batch, answer)

    def _query_between(self, batch: Batch, sql: str) -> None:
        """A simple query in the middle of a batch; PostgreSQL forgets the unnamed portal by it, so it comes before Bind."""
        self._upstream.query(sql)

    def _describe(self, message: Message, batch: Batch) -> None:
        kind, name = message.body[:1], message.body[1:-1]
        statement = self._portals.get(name, b"") if kind == b"P" else name
        prepared = self._statements.get(statement)
        if prepared is None:
            raise SqlError(f'prepared statement "{statement.decode()}" does not exist', "26000")
        if not isinstance(prepared.plan, Forward):
            if kind == b"S":
                self._add(batch, Message(b"t", b"\0\0"))
            self._add(batch, Message(b"n"))
            return
        for answer in self._forward(message, batch, b"Tn"):
            if answer.kind == b"T":
                prepared.columns = redshift_columns(answer.body, self._shared.long_names.all())
                answer = Message(b"T", prepared.columns.body)
            self._add(batch, answer)

    def _close(self, message: Message, batch: Batch) -> None:
        kind, name = message.body[:1], message.body[1:-1]
        prepared = self._statements.pop(name, None) if kind == b"S" else None
        if kind == b"S" and (prepared is None or not isinstance(prepared.plan, Forward)):
            self._add(batch, Message(b"3"))
            return
        for answer in self._forward(message, batch, b"3"):
            self._add(batch, answer)

    def _lock(self, locks: tuple[Lock, ...]) -> None:
        if self._upstream.status != b"T":
            return
        for lock in locks:
            try:
                self._upstream.query(lock.sql(snapshot=self._shared.snapshot))
            except SqlError as e:
                raise FromPostgres.of(redshift_error(e.fields)) from e

    # execution -------------------------------------------------------------------------------------------------------------

    def _execute(self, message: Message, batch: Batch) -> None:
        prepared = self._executed(message)
        if prepared is None:
            raise SqlError("portal does not exist", "34000")
        began = time.monotonic()
        plan = prepared.plan
        rule = self._shared.faults.strike(plan.verb, prepared.sql)
        try:
            self._before(rule, plan, batch)
            rows, completion = self._run(plan, message, prepared, batch)
        except Dropped:
            self._entry(batch, plan.verb, prepared.sql, began, 0, SqlError("not run: connection dropped", "08006"), rule)
            self._shared.journal.write(batch.entries[-1])
            raise
        except SqlError as e:
            self._entry(batch, plan.verb, prepared.sql, began, 0, e, rule)
            raise
        self._entry(batch, plan.verb, prepared.sql, began, rows, None, rule)
        batch.lose_answer = batch.lose_answer or (rule is not None and rule.action == "drop_after")
        if batch.own:
            batch.completion = completion
        else:
            self._add(batch, completion)

    def _before(self, rule: Rule | None, plan: Plan, batch: Batch) -> None:
        """What a fault rule does in place of, or ahead of, the statement."""
        if rule is None or rule.action == "drop_after":
            return
        if rule.action in ("hang", "delay"):
            time.sleep(rule.seconds)
        if rule.action in ("drop_before", "hang"):
            raise Dropped
        if rule.action in ("error_1023", "error_15001"):
            if plan.verb == "commit" and not batch.own and self._upstream.status != b"I":
                self._upstream.query("ROLLBACK")
            if rule.action == "error_1023":
                raise SqlError.of(serialization_failure(self._pid))
            raise LoadError("injected by a fault rule", 15001)

    def _run(self, plan: Plan, message: Message, prepared: Prepared, batch: Batch) -> tuple[int, Message]:
        """Runs one statement; its row count and its CommandComplete."""
        if isinstance(plan, Forward):
            return self._run_forward(message, prepared, batch)
        if self._upstream.status == b"E":
            raise ABORTED
        if isinstance(plan, Copy):
            return self._run_copy(plan, batch)
        return self._run_script(plan, batch)

    def _run_forward(self, message: Message, prepared: Prepared, batch: Batch) -> tuple[int, Message]:
        self._upstream.stream.put(message, FLUSH)
        batch.forwarded = True
        columns = prepared.columns
        while True:
            answer = self._upstream.stream.get()
            if answer.kind in (b"C", b"I", b"s"):
                last = answer.body[:-1].rsplit(b" ", 1)[-1]
                return int(last) if last.isdigit() else 0, answer
            if answer.kind == b"E":
                failure = FromPostgres.of_body(answer.body)
                if failure.fields["S"] == "FATAL":
                    self._client.put(error(failure.fields))
                    raise Closed
                raise failure
            if answer.kind == b"D" and columns is not None and columns.recoded:
                answer = Message(b"D", redshift_row(answer.body, columns))
            self._add(batch, answer)

    def _run_script(self, plan: Script, batch: Batch) -> tuple[int, Message]:
        inside = self._upstream.status == b"T" and not batch.own
        if plan.block is Block.OUTSIDE and inside:
            raise SqlError(f"{plan.verb.upper()} cannot run inside a transaction block", "25001")
        if plan.block is Block.INSIDE and not inside:
            raise SqlError(f"{plan.tag} can only be used in transaction blocks", "25P01")
        self._lock(plan.locks)
        count = 0
        try:
            if not (plan.unless_exists and self._exists(plan)):
                for number, step in enumerate(plan.steps):
                    result = self._upstream.query(step)
                    if number == plan.count_of_step:
                        count = result.count
                self._shared.catalog.keep_long_names()
            if plan.commits:
                self._upstream.query("COMMIT")
        except SqlError as e:
            raise FromPostgres.of(redshift_error(e.fields)) from e
        if plan.case_sensitive is not None:
            self._case_sensitive = plan.case_sensitive
        return count, tag(plan.tag)

    def _exists(self, plan: Script) -> bool:
        assert plan.unless_exists is not None
        return self._upstream.query(f"SELECT to_regclass({literal(plan.unless_exists.sql)})").rows[0][0] is not None

    def _run_copy(self, plan: Copy, batch: Batch) -> tuple[int, Message]:
        catalog = self._shared.catalog
        query_id = catalog.next_query_id()
        began = time.monotonic()
        table_id = 0
        self._lock((Lock(plan.table, shared=True),))
        try:
            found = self._upstream.query(f"SELECT {literal(plan.table.sql)}::regclass::oid").rows[0][0]
            table_id = int(found or 0)
            loaded = load(plan, self._upstream, self._shared.store)
        except LoadError as e:
            catalog.failed(query_id, self._pid, self._user, plan, e, table_id)
            raise
        except SqlError as e:
            raise FromPostgres.of(redshift_error(e.fields)) from e
        catalog.loaded(query_id, self._pid, self._user, plan, loaded, table_id, time.monotonic() - began)
        self._last_copy = (loaded.rows, query_id)
        info = f"Load into table '{plan.table.name}' completed, {loaded.rows} record(s) loaded successfully."
        self._add(batch, Message(b"N", notice_body({"S": "INFO", "C": "00000", "M": info})))
        # The tag carries no count: a loader has to ask pg_last_copy_count().
        return loaded.rows, tag("COPY 0")

    def _entry(
        self, batch: Batch, verb: str, sql: str, began: float, rows: int, failure: SqlError | None, rule: Rule | None = None
    ) -> None:
        elapsed_ms = round((time.monotonic() - began) * 1000, 3)
        outcome, message = ("ok", "") if failure is None else (failure.code, describe(failure))
        batch.entries.append(Entry(stamp(), self._pid, verb, sql, outcome, rows, elapsed_ms, message, rule.action if rule else ""))


class FromPostgres(SqlError):
    """An error PostgreSQL reported itself: its transaction knows already."""

    from_postgres = True

    @classmethod
    def of_body(cls, body: bytes) -> "FromPostgres":
        found = cls("")
        found.fields = redshift_error(error_fields(body))
        return found


def describe(failure: SqlError) -> str:
    detail = failure.fields.get("D", "")
    return f"{failure.fields['M']}: {detail.strip()}" if detail else failure.fields["M"]


__all__ = ["Closed", "Dropped", "LongNames", "Session"]
