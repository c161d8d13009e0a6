"""One run of the stream: events in, Kafka transactions out, from a committed position to the first thing that goes wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from contracts.errors import Refused, Unavailable
from contracts.position import GtidSet
from contracts.progress import InProgress, Position
from contracts.table import TableId
from streamer.core.ddl import DatabaseDropped, Verb
from streamer.core.decoder import Chunk, DecoderFactory, Shown, Step, Unrouted
from streamer.core.heartbeats import Heartbeats
from streamer.core.progress import ClosePolicy, CloseReason, OpenTransaction, SourceCommits, idle_time, must_split, reason_to_close
from streamer.core.route import Choices, Message, Route, route, schema_message
from streamer.core.schemas import TableMap
from streamer.core.transactions import Began, Committed, Ddl, EventJudge, UnderWay
from streamer.core.translate import Origin, truncate_message
from streamer.ports import Ports, Tally
from streamer.service.reading import Reading

_MID_TRANSACTION = timedelta(milliseconds=100)  # the rest of a transaction is on its way; look at the clock in between

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

    def __init__(
        self,
        ports: Ports,
        choices: Choices,
        tuning: Tuning,
        position: Position,
        observe: Callable[[Tally], None],
        decoder: DecoderFactory,
    ) -> None:
        self._ports = ports
        self._choices = choices
        self._tuning = tuning
        self._observe = observe
        made = decoder(choices.topics.prefix, tuning.message_bytes_max, position.in_progress)
        self._reading = Reading(ports.binlog, ports.clock, made, tuning.close)
        self._judge = EventJudge(choices.captures)
        self._open = OpenTransaction(position, choices.topics)
        self._opened_at = ports.clock.now()
        self.begun = False  # a Kafka transaction is open
        self.committed = False  # at least one was committed

        self._under_way = False  # what was taken last is inside a source transaction
        self._in_progress: InProgress | None = None  # its rows that were taken
        self._xid: str | None = None  # it is an XA transaction
        self._alone = False  # a TRUNCATE: its Kafka transaction ends with it

        self._ways: dict[str, Route] = {}  # by fingerprint of the schema under its primary key
        self._shards: dict[str, int] = {}  # by topic
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
        """Takes one step of the stream, or waits for one; commits what is due. Raises whatever ends this session."""
        now = self._ports.clock.now()
        policy, rows = self._tuning.close, self._open.rows
        late = rows > 0 and now - self._opened_at >= policy.age_max
        split = rows >= policy.split_rows  # what comes goes into the next Kafka transaction
        step = self._reading.next(0 if late else policy.rows_max - rows, policy.split_rows - (0 if split else rows))
        idle = False
        if step is not None:
            self._take(step)
        elif rows:
            idle = not self._reading.receive(_MID_TRANSACTION if self._under_way else timedelta(0))
        else:
            idle = not self._reading.receive(max(self._beats.next(now) - now, timedelta(0)))
        now = self._ports.clock.now()
        if self._open.rows and not self._under_way:
            if reason := reason_to_close(self._open.rows, now - self._opened_at, caught_up=idle, policy=policy):
                # Nothing waits for us when we have caught up: then the answer is awaited in the shortest way.
                self._close(reason, now, None if idle else self._reading.ahead)
        elif self._open.rows:
            if idle and must_split(self._open.rows, now - self._opened_at, policy):
                self._split(CloseReason.SPLIT, now)
        elif now >= self._beats.next(now) or (self._beats.partial and not self._under_way and self._open.in_progress is None):
            self._heartbeat(now, idle=idle)
        self._summarise(now)

    def _take(self, step: Step) -> None:
        if isinstance(step, Chunk):
            self._chunk(step)
        elif isinstance(step, Unrouted):
            self._in_progress = step.in_progress
            self._table(step.table)
        else:
            self._shown(step)

    def _chunk(self, chunk: Chunk) -> None:
        now = self._ports.clock.now()
        if chunk.records and self._under_way and must_split(self._open.rows, now - self._opened_at, self._tuning.close):
            self._split(CloseReason.SPLIT, now, self._reading.ahead)
        for rows in chunk.records:
            self._begin()
            self._ports.sink.send_rows(rows)
            self._open.took(rows.topic, self._shards[rows.topic], len(rows.records))
            self._tally.size_bytes += rows.size_bytes
        if chunk.commits is not None:
            self._source_committed(chunk.commits)
        self._under_way, self._in_progress = chunk.under_way, chunk.in_progress

    def _source_committed(self, commits: SourceCommits) -> None:
        self._open.source_committed(commits)
        self._tally.source_transactions += commits.count

    def _shown(self, shown: Shown) -> None:
        decoder = self._reading.decoder
        for meaning in self._judge.judge(shown.at, shown.under_way):
            if isinstance(meaning, Began):
                if meaning.xid is not None and self._open.rows:
                    # So that nothing has to be committed while its outcome is open.
                    self._close(CloseReason.SPLIT, self._ports.clock.now())
                decoder.began()
                self._under_way, self._xid = True, meaning.xid
            elif isinstance(meaning, Ddl):
                assert shown.under_way is not None
                self._ddl(meaning, shown.under_way)
            else:
                self._ended(meaning)

    def _ended(self, committed: Committed) -> None:
        self._reading.decoder.ended()
        self._source_committed(SourceCommits.one(committed.gtid, committed.commit_us, committed.end))
        self._under_way, self._in_progress, self._xid = False, None, None
        if self._alone:
            self._close(CloseReason.TRUNCATE, self._ports.clock.now())
            self._alone = False

    def _table(self, table: TableMap) -> None:
        decoder = self._reading.decoder
        if not self._judge.captures(table.table):
            decoder.ignore(table)
            return
        way = self._route(table)
        self._shards[way.topic] = way.shard
        if self._announced.get(way.topic) != way.schema.fingerprint:
            self._announce(way, self._ports.clock.now())
        decoder.use(table, way, self._open.next_seq(way.topic))

    def _announce(self, way: Route, now: datetime) -> None:
        """The schema's record goes with the first row that uses it, in a Kafka transaction without rows of the table's former schema."""
        if self._open.touched(way.topic):
            self._split(CloseReason.SCHEMA, now)
        self._ensure(way.topic)
        self._send(schema_message(self._choices.topics, way))
        self._announced[way.topic] = way.schema.fingerprint
        log.info("schema.announced", topic=way.topic, schema=way.schema.fingerprint, columns=len(way.schema.columns))

    def _ddl(self, ddl: Ddl, within: UnderWay) -> None:
        change = ddl.change
        if isinstance(change, DatabaseDropped):
            if any(way.schema.table.database == change.database for way in self._ways.values()):
                log.warning("database.dropped", database=change.database, advice="the rows of its tables stay in the warehouse")
            return
        captured = [table for table in change.tables if self._judge.captures(table)]
        if change.verb is Verb.TRUNCATE:
            for table in captured:
                self._truncate(table, ddl, within)
        elif change.verb in (Verb.DROP, Verb.RENAME) or change.renames:
            for table in captured:
                log.warning(
                    f"table.{'dropped' if change.verb is Verb.DROP else 'renamed'}",
                    table=str(table),
                    gtid=str(within.gtid),
                    advice="this release does not follow it: the rows loaded so far stay in the warehouse under the old name",
                )
        elif change.rows_unseen:
            for table in captured:
                log.warning(
                    "table.diverged",
                    table=str(table),
                    gtid=str(within.gtid),
                    advice="a partition was truncated, dropped or exchanged, which no row event tells: the warehouse keeps those rows",
                )

    def _truncate(self, table: TableId, ddl: Ddl, within: UnderWay) -> None:
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
            str(within.gtid),
            ddl.start.file,
            ddl.start.offset,
            ddl.ts_ms,
            within.commit_us,
        )
        seq = self._open.took(topic, shard)
        self._reading.decoder.forget(topic)
        self._send(truncate_message(table, topic, origin, seq=seq, now_ms=int(now.timestamp() * 1000)))
        self._alone = True

    def _route(self, table_map: TableMap) -> Route:
        schema = table_map.schema
        known = self._ways.get(schema.fingerprint)
        if known is not None:
            return known
        way = route(schema, self._choices, self._ports.server.unique_keys)
        if not way.schema.key:
            if self._choices.of(schema.table).needs_key:
                raise Refused(
                    f"table {schema.table} has no key, and a mode that loads its rows by key: ALTER TABLE … ADD PRIMARY KEY, or "
                    "name its key columns in tables.override, or set mode: append"
                )
            log.warning("table.keyless", table=str(schema.table), advice="its changes are appended, not merged")
        self._ways[schema.fingerprint] = way
        return way

    def _ensure(self, topic: str) -> None:
        if topic not in self._ensured:
            self._ports.topics.ensure(topic, partitions=1, compacted=False)
            self._ensured.add(topic)

    def _begin(self) -> None:
        if not self.begun:
            self._ports.sink.begin()
            self.begun = True
            self._opened_at = self._ports.clock.now()

    def _send(self, record: Message) -> None:
        self._begin()
        self._ports.sink.send(record)
        self._tally.size_bytes += len(record.value)

    def _split(self, reason: CloseReason, now: datetime, meanwhile: Callable[[], bool] | None = None) -> None:
        """Closes, also inside a source transaction: the position then says how many of its rows are out."""
        if self._in_progress is not None:
            if self._xid is not None:
                raise Refused(
                    f"XA transaction {self._xid} does not fit one Kafka transaction, and its outcome is open until its end; raise "
                    "batch.rows, or exclude the tables it changes",
                    xid=self._xid,
                )
            self._open.source_split(self._in_progress)
        self._close(reason, now, meanwhile)

    def _close(self, reason: CloseReason, now: datetime, meanwhile: Callable[[], bool] | None = None) -> None:
        """`meanwhile`: as of EnvelopeSink.commit. To read ahead it must be none while a step is not answered for yet."""
        rows = self._open.rows
        position = self._commit(self._beats.due(now), now, meanwhile)
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

    def _commit(self, due: frozenset[int], now: datetime, meanwhile: Callable[[], bool] | None = None) -> Position:
        ending = self._open.end(due)
        for record in ending.messages:
            self._send(record)
        self._ports.sink.commit(meanwhile)
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
            binlog=str(self._reading.decoder.position),
            behind_transactions=self._tally.behind,
        )
        self._summary = Tally()
