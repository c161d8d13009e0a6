"""The loop: take the turn, fence the predecessor, read where it stopped, check the server, stream.

    STANDBY → INIT → POSITION → PREFLIGHT → DUMP → (BEGIN → PRODUCE* → POS → END)*

Plain synchronous code over ports; `step` does one piece of it, so a simulator can drive it. Whatever is lost or unclear on the way
(a connection, an unanswered commit) leads back to the start with nothing kept in memory: Kafka's position topic says where to go on.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from contracts.errors import Fenced, Gone, Invalid, OutcomeUnknown, PipelineError, Refused, Unavailable
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Position
from contracts.table import TableId
from streamer.core.ddl import DatabaseDropped, Verb
from streamer.core.preflight import Fault, Grants, check_continuity, grant_faults, keyless_faults, literal_databases, server_faults
from streamer.core.progress import ClosePolicy, CloseReason, OpenTransaction, SplitTransaction, idle_time, must_split, reason_to_close
from streamer.core.route import Choices, Message, Route, route, schema_message
from streamer.core.rows import RowChange, RowDecoder
from streamer.core.schemas import TableMap
from streamer.core.stream import EventStream
from streamer.core.transactions import Began, Committed, Ddl, Rows, SourceTransactions
from streamer.core.translate import Origin, identity, key_changes, message, truncate_message
from streamer.ports import BinlogSource, Clock, EnvelopeSink, PositionStore, ServerStatus, SourceServer, Tally, TopicAdmin

LOCK_NAME_MAX = 64  # characters; MySQL manual, "Locking Functions"
_MID_TRANSACTION = timedelta(milliseconds=100)  # the rest of a transaction is on its way; look at the clock in between
_TABLES_MAX = 4096  # decoders and routes kept; all forgotten together when more are seen

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ports:
    clock: Clock
    server: SourceServer
    binlog: BinlogSource
    sink: EnvelopeSink
    positions: PositionStore
    topics: TopicAdmin


@dataclass(frozen=True, slots=True)
class Tuning:
    """`heartbeat`: the longest a shard goes without a barrier. `standby_pause`: between two tries for the turn."""

    close: ClosePolicy = field(default_factory=ClosePolicy)
    message_bytes_max: int = 8 << 20
    heartbeat: timedelta = timedelta(seconds=1)
    standby_pause: timedelta = timedelta(seconds=1)
    backoff_min: timedelta = timedelta(seconds=1)
    backoff_max: timedelta = timedelta(seconds=30)
    summary_every: timedelta = timedelta(seconds=10)


class Streamer:
    """One pipeline's streamer. Call `step` for ever; it raises only what must end the process: Fenced, Gone, Corrupt, Refused, Invalid."""

    def __init__(
        self,
        ports: Ports,
        choices: Choices,
        server_id: int,
        tuning: Tuning | None = None,
        observe: Callable[[Tally], None] | None = None,
    ) -> None:
        """`server_id`: ours, towards the source server. `observe`: told after each Kafka transaction what it and those not told yet
        hold."""
        self._ports = ports
        self._choices = choices
        self._server_id = server_id
        self._tuning = tuning or Tuning()
        self._observe = observe or (lambda _: None)
        self._lock = lock_name(choices.topics.prefix)
        self._leads = False
        self._waits = False
        self._session: Session | None = None
        self._failures = 0

    @property
    def streaming(self) -> bool:
        return self._session is not None

    def step(self) -> None:
        """Raises what cannot be mended by beginning again; an open Kafka transaction is then aborted."""
        try:
            if self._session is not None:
                self._session.step()
                if self._session.committed:
                    self._failures = 0
            elif self._leads or self._take_turn():
                self._session = self._begin()
        except (Unavailable, OutcomeUnknown) as error:
            self._fall_back(error)
        except Fenced:
            raise
        except PipelineError:
            if self._session is not None and self._session.begun:
                self._ports.sink.abort()
            raise

    def close(self) -> None:
        """Leaves nothing open: what is not committed is aborted."""
        if self._session is not None and self._session.begun:
            self._ports.sink.abort()
        self._session = None
        self._ports.binlog.close()
        self._ports.sink.close()
        self._ports.server.close()

    def _take_turn(self) -> bool:
        self._leads = self._ports.server.take_turn(self._lock)
        if self._leads:
            log.info("turn.taken", lock=self._lock)
        else:
            if not self._waits:
                log.info("turn.awaited", lock=self._lock)
            self._ports.clock.sleep(self._tuning.standby_pause)
        self._waits = not self._leads
        return self._leads

    def _begin(self) -> "Session":
        ports, topics = self._ports, self._choices.topics
        ports.sink.init()
        position = ports.positions.read()  # after init: what the predecessor had open is decided now
        status = ports.server.status()
        if faults := list(source_faults(self._choices, self._server_id, status, ports.server)):
            raise Invalid("the source server is not ready for capture:\n  " + "\n  ".join(str(fault) for fault in faults))
        position = self._first_position(status) if position is None else self._same_history(position, status)
        ports.topics.ensure(topics.progress, partitions=self._choices.shards, compacted=False)
        ports.topics.ensure(topics.position, partitions=1, compacted=True)
        ports.topics.ensure(topics.schemas, partitions=1, compacted=True)
        ports.binlog.start(position.gtid_set)
        log.info("stream.started", gtid_set=str(position.gtid_set), n=position.n, server_uuid=status.uuid)
        session = Session(ports, self._choices, self._tuning, position, self._observe)
        if position.n == 0:
            session.establish()
        return session

    def _first_position(self, status: ServerStatus) -> Position:
        if held := self._ports.topics.row_topics():
            raise Refused(
                f"topics of this pipeline hold rows ({', '.join(held[:3])}{', …' if len(held) > 3 else ''}), but topic "
                f"{self._choices.topics.position} holds no position: where to go on is lost, and starting anew would repeat rows. Choose "
                "another pipeline name, or restore the topic; only if nothing has loaded these rows, delete all topics of the pipeline"
            )
        if status.purged:
            raise Gone(
                f"the server has purged binlogs ({status.purged}), so a stream from its oldest one would not hold all rows, and this "
                "release cannot read existing rows by a snapshot. Stream a server whose binlogs are whole",
                purged=str(status.purged),
            )
        return Position(0, status.uuid, GtidSet(), 0, 0, 0, BinlogPosition("", 4))

    def _same_history(self, position: Position, status: ServerStatus) -> Position:
        ours = position.gtid_set
        begun = ours if position.in_progress is None else ours.with_gtid(position.in_progress.gtid)
        check_continuity(begun, status.executed, GtidSet())
        check_continuity(ours, status.executed, status.purged)
        if position.server_uuid != status.uuid:
            log.warning("server.changed", before=position.server_uuid, now=status.uuid, gtid_set=str(ours))
        return replace(position, server_uuid=status.uuid)

    def _fall_back(self, error: PipelineError) -> None:
        # An unanswered commit must not be followed by an abort from the same producer.
        if self._session is not None and self._session.begun and not isinstance(error, OutcomeUnknown):
            self._ports.sink.abort()
        self._session = None
        self._leads = False  # the lock lives and dies with the control connection, which may be the one that was lost
        self._ports.binlog.close()
        self._ports.sink.recycle()
        pause = min(self._tuning.backoff_min * 2**self._failures, self._tuning.backoff_max)
        self._failures = min(self._failures + 1, 16)
        log.warning("stream.interrupted", error=type(error).__name__, message=error.message, pause_seconds=pause.total_seconds())
        self._ports.clock.sleep(pause)


class Session:
    """One run of the stream from one committed position to the first thing that goes wrong."""

    def __init__(self, ports: Ports, choices: Choices, tuning: Tuning, position: Position, observe: Callable[[Tally], None]) -> None:
        self._ports = ports
        self._choices = choices
        self._tuning = tuning
        self._observe = observe
        self._stream = EventStream()
        self._transactions = SourceTransactions(choices.captures)
        self._open = OpenTransaction(position, choices.topics)
        self._opened_at = ports.clock.now()
        self.begun = False  # a Kafka transaction is open
        self.committed = False  # at least one was committed

        self._source: SplitTransaction | None = None
        self._began: Began | None = None
        self._ev = 0
        self._alone = False  # a TRUNCATE: its Kafka transaction ends with it

        self._known: dict[TableMap, tuple[Route, RowDecoder]] = {}
        self._routes: dict[str, Route] = {}  # by fingerprint of the schema under its primary key
        self._ensured: set[str] = set()
        self._announced: dict[str, str] = {}  # topic → fingerprint of its last row

        self._barrier_at: dict[int, datetime] = {}
        self._partial: frozenset[int] = frozenset()  # shards whose last barrier was partial
        self._looked: tuple[int, GtidSet] | None = None  # the server's clock and executed set at the last look
        self._looked_at = self._summarised_at = self._opened_at
        self._tally = Tally()
        self._summary = Tally()

    def establish(self) -> None:
        """Commits the position a new pipeline starts from, before any row: row topics without a position mean that it was lost."""
        now = self._ports.clock.now()
        self._commit(self._due(now), now)

    def step(self) -> None:
        """Takes one event, or waits for one; commits what is due. Raises whatever ends this session."""
        pending = self._open.rows > 0
        now = self._ports.clock.now()
        if pending:
            wait = _MID_TRANSACTION if self._transactions.under_way else timedelta(0)
        else:
            wait = max(self._next_barrier() - now, timedelta(0))
        raw = self._ports.binlog.next(wait)
        if raw is not None:
            for located in self._stream.feed(raw.data):
                for taken in self._transactions.feed(located):
                    self._take(taken)
        now = self._ports.clock.now()
        at_commit = self._transactions.under_way is None
        if self._open.rows and at_commit:
            if reason := reason_to_close(self._open.rows, now - self._opened_at, caught_up=raw is None, policy=self._tuning.close):
                self._close(reason, now)
        elif self._open.rows:
            if raw is None and must_split(self._open.rows, now - self._opened_at, self._tuning.close):
                self._split(CloseReason.SPLIT, now)
        elif now >= self._next_barrier() or (self._partial and at_commit and self._open.in_progress is None):
            self._heartbeat(now, idle=raw is None)
        self._summarise(now)

    def _take(self, taken: Began | Rows | Ddl | Committed) -> None:
        if isinstance(taken, Rows):
            self._rows(taken)
        elif isinstance(taken, Began):
            if taken.xid is not None and self._open.rows:
                self._close(CloseReason.SPLIT, self._ports.clock.now())  # so that nothing has to be committed while its outcome is open
            held = self._open.in_progress
            self._began = taken
            self._source = SplitTransaction(taken.gtid, held if held is not None and held.gtid == taken.gtid else None)
            self._ev = 0
        elif isinstance(taken, Ddl):
            self._ddl(taken)
        else:
            assert self._source is not None
            self._source.finish()
            self._open.source_committed(taken.gtid, taken.commit_us, taken.end)
            self._source = None
            self._tally.source_transactions += 1
            if self._alone:
                self._close(CloseReason.TRUNCATE, self._ports.clock.now())
                self._alone = False

    def _rows(self, rows: Rows) -> None:
        assert self._began is not None
        way, decoder = self._way(rows.table)
        now = self._ports.clock.now()
        origin = Origin(
            self._choices.topics.prefix,
            rows.server_id,
            str(self._began.gtid),
            rows.start.file,
            rows.start.offset,
            rows.ts_ms,
            self._began.commit_us,
        )
        for row in decoder.rows(rows.event):
            self._row(row, way, origin, now)

    def _row(self, row: RowChange, way: Route, origin: Origin, now: datetime) -> None:
        assert self._source is not None
        changes = key_changes(row, way)
        out_already = self._source.next_is_out
        if not out_already:
            if must_split(self._open.rows, now - self._opened_at, self._tuning.close):
                self._split(CloseReason.SPLIT, now)
            if self._announced.get(way.topic) != way.schema.fingerprint:
                self._announce(way, now)
        self._source.take(identity(changes, way.topic))
        if out_already:
            self._ev += len(changes)
            return
        for change in changes:
            seq = self._open.next_seq(way.topic, way.shard)
            self._send(
                message(
                    change, way, origin, seq=seq, ev=self._ev, now_ms=int(now.timestamp() * 1000), bytes_max=self._tuning.message_bytes_max
                )
            )
            self._ev += 1

    def _announce(self, way: Route, now: datetime) -> None:
        """The schema's record goes with the first row that uses it, in a Kafka transaction without rows of the table's former schema."""
        if self._open.touched(way.topic):
            self._split(CloseReason.SCHEMA, now)
        self._ensure(way.topic)
        self._send(schema_message(self._choices.topics, way))
        self._announced[way.topic] = way.schema.fingerprint
        log.info("schema.announced", topic=way.topic, schema=way.schema.fingerprint, columns=len(way.schema.columns))

    def _ddl(self, ddl: Ddl) -> None:
        change = ddl.change
        if isinstance(change, DatabaseDropped):
            if any(way.schema.table.database == change.database for way in self._routes.values()):
                log.warning("database.dropped", database=change.database, advice="the rows of its tables stay in the warehouse")
            return
        captured = [table for table in change.tables if self._transactions.captures(table)]
        if change.verb is Verb.TRUNCATE:
            for table in captured:
                self._truncate(table, ddl)
        elif change.verb in (Verb.DROP, Verb.RENAME) or change.renames:
            for table in captured:
                log.warning(
                    f"table.{'dropped' if change.verb is Verb.DROP else 'renamed'}",
                    table=str(table),
                    gtid=str(self._transactions.under_way),
                    advice="this release does not follow it: the rows loaded so far stay in the warehouse under the old name",
                )
        elif change.rows_unseen:
            for table in captured:
                log.warning(
                    "table.diverged",
                    table=str(table),
                    gtid=str(self._transactions.under_way),
                    advice="a partition was truncated, dropped or exchanged, which no row event tells: the warehouse keeps those rows",
                )

    def _truncate(self, table: TableId, ddl: Ddl) -> None:
        assert self._began is not None
        assert self._source is not None
        now = self._ports.clock.now()
        if self._open.rows:
            self._close(CloseReason.TRUNCATE, now)
        topic, shard = self._choices.topic(table), self._choices.shard(table)
        self._ensure(topic)
        origin = Origin(
            self._choices.topics.prefix,
            ddl.server_id,
            str(self._began.gtid),
            ddl.start.file,
            ddl.start.offset,
            ddl.ts_ms,
            self._began.commit_us,
        )
        seq = self._open.next_seq(topic, shard)
        self._send(truncate_message(table, topic, origin, seq=seq, now_ms=int(now.timestamp() * 1000)))
        self._alone = True

    def _way(self, table_map: TableMap) -> tuple[Route, RowDecoder]:
        known = self._known.get(table_map)
        if known is None:
            if len(self._known) >= _TABLES_MAX:
                self._known.clear()
            known = self._known[table_map] = (self._route(table_map), RowDecoder(table_map))
        return known

    def _route(self, table_map: TableMap) -> Route:
        schema = table_map.schema
        known = self._routes.get(schema.fingerprint)
        if known is not None:
            return known
        way = route(schema, self._choices, self._ports.server.unique_keys)
        if not way.schema.key:
            if self._choices.of(schema.table).must_merge:
                raise Refused(
                    f"table {schema.table} has mode merge and no key by which rows could be merged: ALTER TABLE … ADD PRIMARY KEY, or "
                    "name its key columns in tables.override, or set mode: append"
                )
            log.warning("table.keyless", table=str(schema.table), advice="its changes are appended, not merged")
        self._routes[schema.fingerprint] = way
        return way

    def _ensure(self, topic: str) -> None:
        if topic not in self._ensured:
            self._ports.topics.ensure(topic, partitions=1, compacted=False)
            self._ensured.add(topic)

    def _send(self, record: Message) -> None:
        if not self.begun:
            self._ports.sink.begin()
            self.begun = True
            self._opened_at = self._ports.clock.now()
        self._ports.sink.send(record)
        self._tally.size_bytes += len(record.value)

    def _split(self, reason: CloseReason, now: datetime) -> None:
        """Closes, also inside a source transaction: the position then says how many of its rows are out."""
        if self._source is not None and self._source.rows:
            assert self._began is not None
            if self._began.xid is not None:
                raise Refused(
                    f"XA transaction {self._began.xid} does not fit one Kafka transaction, and its outcome is open until its end; raise "
                    "batch.rows, or exclude the tables it changes",
                    xid=self._began.xid,
                )
            self._open.source_split(self._source.so_far())
        self._close(reason, now)

    def _close(self, reason: CloseReason, now: datetime) -> None:
        rows = self._open.rows
        position = self._commit(self._due(now), now)
        log.debug("transaction.committed", n=position.n, rows=rows, reason=reason.value, partial=position.in_progress is not None)

    def _heartbeat(self, now: datetime, *, idle: bool) -> None:
        if idle and now - self._looked_at >= self._tuning.heartbeat:
            status = self._ports.server.status()
            self._tally.behind = status.executed.minus(self._open.gtid_set).count()
            if self._looked is not None:
                clock_us, executed = self._looked
                until = idle_time(clock_us, executed, status.executed, self._open.gtid_set)
                if until is not None:
                    self._open.idle_until(until)
            self._looked = (status.now_us, status.executed)
            self._looked_at = now
        self._commit(self._due(now), now)

    def _commit(self, due: frozenset[int], now: datetime) -> Position:
        ending = self._open.end(due)
        for record in ending.messages:
            self._send(record)
        self._ports.sink.commit()
        self.begun = False
        self.committed = True
        rows = self._open.rows
        self._open = OpenTransaction(ending.position, self._choices.topics)
        partial = ending.position.in_progress is not None
        self._partial = self._partial | ending.barriers if partial else self._partial - ending.barriers
        for shard in ending.barriers:
            self._barrier_at[shard] = now
        self._tally.rows += rows
        self._tally.kafka_transactions += 1
        self._tally.newest_commit_us = ending.position.newest_commit_us
        if self._ports.sink.unsettled():
            log.info("producer.recycled", n=ending.position.n)
            self._ports.sink.recycle()
            self._ports.sink.init()
        self._observed()
        return ending.position

    def _observed(self) -> None:
        tally, summary = self._tally, self._summary
        self._observe(tally)
        self._summary = Tally(
            summary.rows + tally.rows,
            summary.size_bytes + tally.size_bytes,
            summary.source_transactions + tally.source_transactions,
            summary.kafka_transactions + tally.kafka_transactions,
            tally.newest_commit_us,
            tally.behind,
        )
        self._tally = Tally(newest_commit_us=tally.newest_commit_us, behind=tally.behind)

    def _summarise(self, now: datetime) -> None:
        if now - self._summarised_at < self._tuning.summary_every:
            return
        self._summarised_at = now
        seen = self._summary
        log.info(
            "stream.advanced",
            rows=seen.rows,
            size_bytes=seen.size_bytes,
            transactions=seen.source_transactions,
            kafka_transactions=seen.kafka_transactions,
            binlog=str(self._stream.position),
            behind_transactions=seen.behind,
        )
        self._summary = Tally(newest_commit_us=seen.newest_commit_us, behind=seen.behind)

    def _due(self, now: datetime) -> frozenset[int]:
        return self._partial | {
            shard
            for shard in range(self._choices.shards)
            if shard not in self._barrier_at or now - self._barrier_at[shard] >= self._tuning.heartbeat
        }

    def _next_barrier(self) -> datetime:
        if len(self._barrier_at) < self._choices.shards:
            return self._opened_at
        return min(self._barrier_at.values()) + self._tuning.heartbeat


def source_faults(choices: Choices, server_id: int, status: ServerStatus, server: SourceServer) -> Iterator[Fault]:
    """What keeps this server from being captured, each with its fix. Raises Unavailable."""
    yield from server_faults(status.variables, server_id)
    visible = server.tables()
    captured = [table for table in visible if choices.captures(table)]
    yield from grant_faults(Grants.parse(server.grants()), captured, literal_databases(choices.patterns))
    merging = [table for table in captured if choices.of(table).must_merge and choices.of(table).key is None]
    yield from keyless_faults([table for table in merging if not server.unique_keys(table)])


def lock_name(prefix: str) -> str:
    """The name of the lock that the leading streamer of a pipeline holds on the source server."""
    name = f"tidemark:{prefix}"
    return name if len(name) <= LOCK_NAME_MAX else f"tidemark:{hashlib.sha256(prefix.encode()).hexdigest()[:40]}"
