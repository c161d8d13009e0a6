"""One run of the stream: events in, Kafka transactions out, from a committed position to the first thing that goes wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from contracts.errors import Refused, Unavailable
from contracts.position import GtidSet
from contracts.progress import Position
from contracts.table import TableId
from streamer.core.ddl import DatabaseDropped, Verb
from streamer.core.heartbeats import Heartbeats
from streamer.core.progress import ClosePolicy, CloseReason, OpenTransaction, SplitTransaction, idle_time, must_split, reason_to_close
from streamer.core.route import Choices, Message, Route, route, schema_message
from streamer.core.rows import RowChange, RowDecoder
from streamer.core.schemas import TableMap
from streamer.core.stream import EventStream
from streamer.core.transactions import Began, Committed, Ddl, Rows, SourceTransactions
from streamer.core.translate import Origin, identity, key_changes, message, truncate_message
from streamer.ports import Ports, Tally

_MID_TRANSACTION = timedelta(milliseconds=100)  # the rest of a transaction is on its way; look at the clock in between
_TABLES_MAX = 4096  # decoders and routes kept; all forgotten together when more are seen

log = structlog.get_logger()


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

        self._beats = Heartbeats(choices.shards, tuning.heartbeat)
        self._looked: tuple[int, GtidSet] | None = None  # the server's clock and executed set at the last look
        self._looked_at = self._summarised_at = self._opened_at
        self._tally = Tally()
        self._summary = Tally()

    def establish(self) -> None:
        """Commits the position a new pipeline starts from, before any row: row topics without a position mean that it was lost."""
        now = self._ports.clock.now()
        self._commit(self._beats.due(now), now)

    def step(self) -> None:
        """Takes one event, or waits for one; commits what is due. Raises whatever ends this session."""
        pending = self._open.rows > 0
        now = self._ports.clock.now()
        if pending:
            wait = _MID_TRANSACTION if self._transactions.under_way else timedelta(0)
        else:
            wait = max(self._beats.next(now) - now, timedelta(0))
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
        elif now >= self._beats.next(now) or (self._beats.partial and at_commit and self._open.in_progress is None):
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
        topic, shard = self._choices.topic(table), self._choices.shard(table)
        if not self._open.begun(topic):
            return  # nobody holds a row of it, nor a schema that would tell where to look
        if self._open.rows:
            self._close(CloseReason.TRUNCATE, now)
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
        position = self._commit(self._beats.due(now), now)
        log.debug("transaction.committed", n=position.n, rows=rows, reason=reason.value, partial=position.in_progress is not None)

    def _heartbeat(self, now: datetime, *, idle: bool) -> None:
        if idle and now - self._looked_at >= self._tuning.heartbeat:
            before = self._looked
            clock_us, executed = self._look(now)
            if before is not None and (until := idle_time(*before, executed, self._open.gtid_set)) is not None:
                self._open.idle_until(until)
            self._looked = (clock_us, executed)
        self._commit(self._beats.due(now), now)

    def _look(self, now: datetime) -> tuple[int, GtidSet]:
        """The server's clock and what it has executed; notes how far behind we are."""
        status = self._ports.server.status()
        self._tally.behind = status.executed.minus(self._open.gtid_set).count()
        self._looked_at = now
        return status.now_us, status.executed

    def _commit(self, due: frozenset[int], now: datetime) -> Position:
        ending = self._open.end(due)
        for record in ending.messages:
            self._send(record)
        self._ports.sink.commit()
        self.begun = False
        self.committed = True
        rows = self._open.rows
        self._open = OpenTransaction(ending.position, self._choices.topics)
        self._beats.sent(ending.barriers, now, partial=ending.position.in_progress is not None)
        self._tally.rows += rows
        self._tally.kafka_transactions += 1
        self._tally.newest_commit_us = ending.position.newest_commit_us
        if self._ports.sink.unsettled():
            log.info("producer.recycled", n=ending.position.n)
            self._ports.sink.recycle()
            self._ports.sink.init()
            # `init` makes this the newest producer, also when another streamer took over after our commit: then what we remember is old.
            found = self._ports.positions.read()
            if found is None or found.n != ending.position.n:
                raise Unavailable("the position on Kafka is not the one committed here last: another streamer has run meanwhile")
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
        )
        self._tally = Tally(newest_commit_us=tally.newest_commit_us, behind=tally.behind)

    def _summarise(self, now: datetime) -> None:
        if now - self._summarised_at < self._tuning.summary_every:
            return
        self._summarised_at = now
        self._look(now)
        seen = self._summary
        log.info(
            "stream.advanced",
            rows=seen.rows,
            size_bytes=seen.size_bytes,
            transactions=seen.source_transactions,
            kafka_transactions=seen.kafka_transactions,
            binlog=str(self._stream.position),
            behind_transactions=self._tally.behind,
        )
        self._summary = Tally()
