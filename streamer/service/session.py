"""One run of the stream: events in, Kafka transactions out, from a committed position to the first thing that goes wrong."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from contracts.progress import Position, Reread, Standing, TableState
from contracts.table import TableId
from streamer.core.continuity import Watch
from streamer.core.ddl import DatabaseDropped, Verb
from streamer.core.decoder import Chunk, DecoderFactory, Shown, Step, Unrouted
from streamer.core.heartbeats import Heartbeats
from streamer.core.progress import ClosePolicy, CloseReason, SourceCommits, must_split, reason_to_close
from streamer.core.route import Choices
from streamer.core.schemas import TableMap
from streamer.core.selected import SelectedRowsFactory
from streamer.core.transactions import Began, Committed, Ddl, EventJudge, UnderWay
from streamer.ports import Ports, Tally
from streamer.service.asking import AskedRows
from streamer.service.emptying import Emptying
from streamer.service.hearing import Hearing
from streamer.service.looking import Looking
from streamer.service.placing import Placing
from streamer.service.reading import Reading
from streamer.service.readings import TableReadings
from streamer.service.repeating import Repeating
from streamer.service.rereading import Rereading
from streamer.service.routes import Routes
from streamer.service.sending import Sending
from streamer.service.tallies import Tallies
from streamer.service.transaction import KafkaTransaction, SourceTransaction

_MID_TRANSACTION = timedelta(milliseconds=100)  # the rest of a transaction is on its way; look at the clock in between
_WHILE_REREADING = timedelta(milliseconds=10)  # a chunk may be there any moment

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tuning:
    """`heartbeat`: the longest a shard goes without a barrier. `standby_pause`: between two tries for the turn. `hear_every`: between two
    looks for signals. `commit_patience`: for a server to commit what it has sent us before we began anew. `look_every`: between two looks
    at the server. `stall_patience`: for its dump to send what it has executed."""

    close: ClosePolicy = field(default_factory=ClosePolicy)
    message_bytes_max: int = 8 << 20
    heartbeat: timedelta = timedelta(seconds=1)
    standby_pause: timedelta = timedelta(seconds=1)
    backoff_min: timedelta = timedelta(seconds=1)
    backoff_max: timedelta = timedelta(seconds=30)
    summary_every: timedelta = timedelta(seconds=10)
    hear_every: timedelta = timedelta(milliseconds=500)
    commit_patience: timedelta = timedelta(seconds=5)
    look_every: timedelta = timedelta(seconds=2)
    stall_patience: timedelta = timedelta(seconds=30)


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
        selected: SelectedRowsFactory,
    ) -> None:
        self._ports = ports
        self._choices = choices
        self._tuning = tuning
        made = decoder(choices.topics.prefix, tuning.message_bytes_max, position.in_progress)
        self._reading = Reading(ports.binlog, ports.clock, made, tuning.close)
        self._judge = EventJudge(choices.captures)
        self._rereading = Rereading(ports.readers, min(tuning.close.rows_max, tuning.close.split_rows))
        self._beats = Heartbeats(choices.shards, tuning.heartbeat)
        self._tallies = Tallies(observe)
        self._transaction = KafkaTransaction(ports, choices, position, self._beats, self._rereading, self._tallies)
        self._asked = AskedRows(position)
        self._stream_until = self._heard_at = ports.clock.now()

        self._routes = Routes(ports, choices, self._transaction)
        self._emptying = Emptying(ports.clock, choices, self._reading, self._transaction, self._routes)
        transaction, rereading, asked = self._transaction, self._rereading, self._asked
        readings = self._readings = TableReadings(ports.clock, choices, transaction, rereading, asked)
        placing = Placing(choices, self._reading, transaction, self._routes, selected, tuning.close.rows_max, tuning.message_bytes_max)
        self._sending = Sending(ports.clock, self._reading, transaction, rereading, readings, placing)
        self._repeating = Repeating(ports.server, choices, self._reading, transaction, self._routes, asked, readings, placing)
        self._hearing = Hearing(ports.signals, choices, self._judge, transaction, rereading, asked, readings, self._emptying)
        watch = Watch(position.server_uuid, tuning.stall_patience)
        self._looking = Looking(ports.server, watch, self._transaction, self._tallies, tuning.heartbeat, self._heard_at)
        self._summarised_at = self._heard_at

    def establish(self, known: Collection[TableId], wanted: Collection[TableId]) -> None:
        """Commits the position a new pipeline starts from, before any row: row topics without a position mean that it was lost. `known`:
        tables nothing is to be read of but changes; `wanted`: those whose rows are to be read."""
        for table in known:
            self._transaction.open.meet(self._choices.topic(table))
        self._readings.snapshot(wanted)
        now = self._ports.clock.now()
        self._transaction.commit(now)

    def snapshot(self, tables: Collection[TableId]) -> None:
        """Reads the rows of those of these tables that the pipeline has not met, from now on."""
        self._readings.snapshot(tables)

    def adopt(self, tables: Collection[TableId]) -> None:
        """Commits, all at once, that these tables, all there are, are read anew, and that what was loaded of them goes first."""
        now = self._ports.clock.now()
        since_us = int(now.timestamp() * 1_000_000)
        here = {self._choices.topic(table): table for table in tables}
        for topic, table in here.items():
            state = TableState.REREADING if self._transaction.open.begun(topic) else TableState.SNAPSHOTTING
            if self._transaction.open.begun(topic):
                self._emptying.send(table, now)
            self._transaction.open.reread(topic, Reread(table, Standing(state, since_us)))
        for topic in sorted(self._transaction.position.next_seqs.keys() - here.keys()):
            self._transaction.open.reread(topic, None)
            self._transaction.open.drop(topic, gone=True)
        self._transaction.commit(now)

    def end(self) -> None:
        """Whatever was begun is left; what is on Kafka tells where to go on."""
        self._rereading.spoil_all()

    @property
    def begun(self) -> bool:
        """Whether a Kafka transaction is open."""
        return self._transaction.begun

    @property
    def committed(self) -> bool:
        """Whether at least one was committed."""
        return self._transaction.committed

    @property
    def rereads(self) -> int:
        """Tables whose reading is not finished, on Kafka."""
        return len(self._transaction.position.readings)

    def step(self) -> None:
        """Takes one step of the stream, or waits for one; commits what is due. Raises whatever ends this session."""
        now = self._ports.clock.now()
        if not self._transaction.source.under_way:
            self._between_transactions(now)
        policy, rows = self._tuning.close, self._transaction.rows
        late = rows > 0 and self._transaction.age(now) >= policy.age_max
        split = rows >= policy.split_rows  # what comes goes into the next Kafka transaction
        # Rows that were read, or are to be sent again, can go only between two transactions.
        soon = late or self._rereading.waiting or self._asked.emitting
        step = self._reading.next(0 if soon else policy.rows_max - rows, policy.split_rows - (0 if split else rows))
        idle = False
        if step is not None:
            self._take(step)
        elif rows:
            awaits = self._more_is_read and not self._more_is_due
            idle = not self._reading.receive(
                _MID_TRANSACTION if self._transaction.source.under_way else _WHILE_REREADING if awaits else timedelta(0)
            )
        else:
            patience = max(self._beats.next(now) - now, timedelta(0))
            idle = not self._reading.receive(min(patience, _WHILE_REREADING) if self._transaction.open.reading else patience)
        if idle:
            self._stream_until = now
        now = self._ports.clock.now()
        if self._transaction.rows and not self._transaction.source.under_way:
            # A commit at each moment at which nothing is left would cost more than what it commits.
            caught_up = idle and not self._more_is_read and not self._more_is_due
            if reason := reason_to_close(self._transaction.rows, self._transaction.age(now), caught_up=caught_up, policy=policy):
                # Nothing waits for us when we have caught up: then the answer is awaited in the shortest way.
                self._transaction.close(reason, now, None if idle else self._reading.ahead)
        elif self._transaction.rows:
            if idle and must_split(self._transaction.rows, self._transaction.age(now), policy):
                self._transaction.split(CloseReason.SPLIT, now)
        elif now >= self._beats.next(now) or (
            self._beats.partial and not self._transaction.source.under_way and self._transaction.open.in_progress is None
        ):
            if idle:
                self._looking.look_idle(now)
            self._transaction.commit(now)
        if now - self._looking.looked_at >= self._tuning.look_every:
            self._looking.look(now)
        if now - self._summarised_at >= self._tuning.summary_every:
            self._summarised_at = now
            self._tallies.summarise(self._reading.decoder.position)

    @property
    def _more_is_due(self) -> bool:
        """Whether a chunk, or events that are sent again, can go into the open Kafka transaction at once."""
        return self._sending.due or self._repeating.due

    @property
    def _more_is_read(self) -> bool:
        """Whether changes wait for the chunk that is being read. Chunks don't wait for each other: what isn't committed is read again after
        a crash."""
        return self._rereading.busy and not self._transaction.holds_chunks

    def _between_transactions(self, now: datetime) -> None:
        """Signals, and tables that are read again: nothing of them may fall inside a source transaction."""
        if now - self._heard_at >= self._tuning.hear_every and self._reading.drained:
            self._heard_at = now
            self._hearing.hear(now)
        if not self._transaction.open.reading:
            return
        self._rereading.collect(self._transaction.position.server_uuid, now)
        # The stream gets at least as much of the time as the reading, while it has anything to do.
        if now >= self._stream_until and (self._repeating.send_due(now) or self._sending.send_due(now)):
            took = self._ports.clock.now() - now
            self._stream_until = now + 2 * took
        self._readings.ask(now)

    def _take(self, step: Step) -> None:
        if isinstance(step, Chunk):
            self._chunk(step)
        elif isinstance(step, Unrouted):
            self._transaction.source.in_progress = step.in_progress
            self._table(step.table)
        else:
            self._shown(step)

    def _chunk(self, chunk: Chunk) -> None:
        now = self._ports.clock.now()
        if (
            chunk.records
            and self._transaction.source.under_way
            and must_split(self._transaction.rows, self._transaction.age(now), self._tuning.close)
        ):
            self._transaction.split(CloseReason.SPLIT, now, self._reading.ahead)
        for rows in chunk.records:
            self._transaction.send_rows(rows, self._routes.shard(rows.topic))
            if self._rereading.watches(rows.topic):
                self._rereading.took(rows.topic, [record["key"] for record in rows.records])
        if chunk.commits is not None:
            self._transaction.source_committed(chunk.commits)
        self._transaction.source.under_way, self._transaction.source.in_progress = chunk.under_way, chunk.in_progress

    def _shown(self, shown: Shown) -> None:
        decoder = self._reading.decoder
        for meaning in self._judge.judge(shown.at, shown.under_way):
            if isinstance(meaning, Began):
                if meaning.xid is not None and self._transaction.rows:
                    # So that nothing has to be committed while its outcome is open.
                    self._transaction.close(CloseReason.SPLIT, self._ports.clock.now())
                decoder.began()
                self._transaction.source.under_way, self._transaction.source.xid = True, meaning.xid
            elif isinstance(meaning, Ddl):
                assert shown.under_way is not None
                self._ddl(meaning, shown.under_way)
            else:
                self._ended(meaning)

    def _ended(self, committed: Committed) -> None:
        self._reading.decoder.ended()
        self._transaction.source_committed(SourceCommits.one(committed.gtid, committed.commit_us, committed.end))
        self._transaction.source = SourceTransaction()
        if self._transaction.alone:
            self._transaction.close_alone(self._ports.clock.now())

    def _table(self, table: TableMap) -> None:
        decoder = self._reading.decoder
        if not self._judge.captures(table.table):
            decoder.ignore(table)
            return
        if self._transaction.alone:
            # CREATE TABLE … SELECT, under the name of a table that was: its rows come in the transaction of the DDL.
            self._transaction.close_alone(self._ports.clock.now())
        way = self._routes.use(table.schema)
        decoder.use(table, way, self._transaction.open.next_seq(way.topic))

    def _ddl(self, ddl: Ddl, within: UnderWay) -> None:
        change = ddl.change
        if isinstance(change, DatabaseDropped):
            if self._routes.any_of(change.database):
                log.warning("database.dropped", database=change.database, advice="the rows of its tables stay in the warehouse")
            return
        captured = [table for table in change.tables if self._judge.captures(table)]
        for table in captured:
            self._readings.restart(table, emptied=change.verb is Verb.TRUNCATE)
        if change.verb is Verb.TRUNCATE:
            for table in captured:
                self._emptying.truncate(table, ddl, within)
        elif change.verb is Verb.CREATE:
            for table in captured:
                self._created(table, ddl, within, certain=not change.if_not_exists)
        elif change.verb is Verb.DROP:
            for table in captured:
                self._gone(table, within, "dropped")
        elif change.renames:
            for before, after in change.renames:
                if self._judge.captures(before):
                    self._gone(before, within, "renamed")
                if self._judge.captures(after):
                    self._read_anew(after, ddl, within, emptied=True)
        elif change.rows_unseen or change.rewrites:
            for table in captured:
                self._read_anew(table, ddl, within, emptied=change.rows_unseen)

    def _created(self, table: TableId, ddl: Ddl, within: UnderWay, *, certain: bool) -> None:
        """All its rows come by the stream. Those of a former table of this name go. `certain`: there was none at that moment."""
        topic = self._choices.topic(table)
        if topic in self._transaction.open.dropped or certain:
            self._emptying.truncate(table, ddl, within)
        self._transaction.open.drop(topic, gone=False)

    def _gone(self, table: TableId, within: UnderWay, how: str) -> None:
        topic = self._choices.topic(table)
        self._readings.give_up(topic, f"the table was {how}")
        self._transaction.open.drop(topic, gone=True)
        advice = "the rows loaded so far stay in the warehouse until there is a table of this name again"
        log.warning(f"table.{how}", table=str(table), gtid=str(within.gtid), advice=advice)

    def _read_anew(self, table: TableId, ddl: Ddl, within: UnderWay, *, emptied: bool) -> None:
        """Its rows are others than before, without row events. `emptied`: some may have gone."""
        topic = self._choices.topic(table)
        if emptied:
            self._emptying.truncate(table, ddl, within)
        self._transaction.open.drop(topic, gone=False)
        self._rereading.spoil(topic)
        self._transaction.open.reread(topic, Reread(table, Standing(TableState.REREADING, within.commit_us)))
        log.info("reread.begun", topic=topic, table=str(table), state=TableState.REREADING.value, gtid=str(within.gtid), emptied=emptied)
