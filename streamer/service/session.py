"""One run of the stream: events in, Kafka transactions out, from a committed position to the first thing that goes wrong."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.progress import Position, Reread, Standing, TableState
from contracts.table import TableId
from streamer.core.closing import ClosePolicy, CloseReason, reason_to_close
from streamer.core.continuity import Watch
from streamer.core.decoder import DecoderFactory
from streamer.core.heartbeats import Heartbeats
from streamer.core.names import Spelling, as_typed
from streamer.core.route import Choices
from streamer.core.selected import SelectedRowsFactory
from streamer.core.transactions import EventJudge
from streamer.ports import Ports, Tally
from streamer.service.asking import AskedRows
from streamer.service.cascades import Cascades
from streamer.service.ddl import DdlFollower
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
from streamer.service.taking import Taking
from streamer.service.tallies import Tallies
from streamer.service.transaction import KafkaTransaction

_MID_TRANSACTION = timedelta(milliseconds=100)  # the rest of a transaction is on its way; look at the clock in between
_SEEMS_BUSY = timedelta(seconds=15)
_WHILE_REREADING = timedelta(milliseconds=10)  # a chunk may be there any moment


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
        spell: Spelling = as_typed,
    ) -> None:
        """`spell`: how the server spells names."""
        self._clock = clock = ports.clock
        self._choices = choices
        self._tuning = tuning
        close, message_bytes_max = tuning.close, tuning.message_bytes_max
        judge = EventJudge(choices.captures, spell)
        made = decoder(choices.topics.prefix, message_bytes_max, position.in_progress)
        stream = self._stream = Reading(ports.binlog, clock, made, close)
        rereading = self._rereading = Rereading(ports.readers, min(close.rows_max, close.split_rows))
        asked = self._asked = AskedRows(position)

        beats = self._beats = Heartbeats(choices.shards, tuning.heartbeat)
        tallies = self._tallies = Tallies(observe)
        transaction = self._transaction = KafkaTransaction(ports, choices, position, beats, rereading, tallies)
        readings = self._readings = TableReadings(clock, choices, transaction, rereading, asked)
        routes = Routes(ports, choices, transaction, readings)
        emptying = self._emptying = Emptying(clock, choices, stream, transaction, routes)

        placing = Placing(choices, stream, transaction, routes, selected, close.rows_max, message_bytes_max)
        self._sending = Sending(clock, stream, transaction, rereading, readings, placing, emptying)
        self._repeating = Repeating(ports.server, choices, stream, transaction, routes, asked, readings, placing)
        self._hearing = Hearing(ports.signals, choices, judge, transaction, rereading, asked, readings, emptying)

        cascades = Cascades(choices, ports.server, position.streamed)
        ddl = DdlFollower(choices, judge, transaction, routes, rereading, readings, emptying, cascades)
        self._taking = Taking(clock, judge, close, stream, transaction, routes, rereading, ddl)

        now = clock.now()
        watch = Watch(position.server_uuid, tuning.stall_patience)
        self._looking = Looking(ports.server, watch, cascades, transaction, tallies, tuning.heartbeat, now)
        self._stream_until = self._heard_at = self._summarised_at = now

    def establish(self, known: Collection[TableId], wanted: Collection[TableId]) -> None:
        """Commits the position a new pipeline starts from, before any row: row topics without a position mean that it was lost. `known`:
        tables nothing is to be read of but changes; `wanted`: those whose rows are to be read."""
        for table in known:
            self._transaction.open.meet(self._choices.topic(table))
        self._readings.snapshot(wanted)
        self._transaction.commit(self._clock.now())

    def snapshot(self, tables: Collection[TableId]) -> None:
        """Reads the rows of those of these tables that the pipeline has not met, from now on."""
        self._readings.snapshot(tables)

    def give_up_excluded(self) -> None:
        """Reads no more of tables that the settings capture no more."""
        self._readings.give_up_excluded()

    def adopt(self, tables: Collection[TableId]) -> None:
        """Commits, all at once, that these tables, all there are, are read anew, and that what was loaded of them goes first."""
        now = self._clock.now()
        since_us = int(now.timestamp() * 1_000_000)
        here = {self._choices.topic(table): table for table in tables}
        for topic, table in here.items():
            state = TableState.REREADING if self._transaction.open.begun(topic) else TableState.SNAPSHOTTING
            if self._transaction.open.begun(topic):
                self._emptying.send(table, now)
            self._transaction.open.reread(topic, Reread(table, Standing(state, since_us)))
            self._transaction.open.drop(topic, gone=False)
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
        now, transaction = self._clock.now(), self._transaction
        if not transaction.source.under_way:
            self._between_transactions(now)
        policy, rows = self._tuning.close, transaction.rows
        late = rows > 0 and transaction.age(now) >= policy.age_max
        split = rows >= policy.split_rows  # what comes goes into the next Kafka transaction
        # Rows that were read, or are to be sent again, can go only between two transactions.
        soon = late or self._rereading.waiting or self._asked.emitting
        step = self._stream.next(0 if soon else policy.rows_max - rows, policy.split_rows - (0 if split else rows))
        idle = False
        if step is not None:
            self._taking.take(step)
        else:
            idle = not self._stream.receive(self._patience(now))
        if idle:
            self._stream_until = now
        now = self._clock.now()
        self._commit_due(now, idle=idle)
        if now - self._looking.looked_at >= self._tuning.look_every:
            self._looking.look(now)
        if now - self._summarised_at >= self._tuning.summary_every:
            self._summarised_at = now
            self._tallies.summarise(self._stream.decoder.position)

    def _patience(self, now: datetime) -> timedelta:
        """How long to wait for the server to send more."""
        if self._transaction.rows:
            if self._transaction.source.under_way:
                return _MID_TRANSACTION
            return _WHILE_REREADING if self._more_is_read and not self._more_is_due else timedelta(0)
        patience = max(self._beats.next(now) - now, timedelta(0))
        return min(patience, _WHILE_REREADING) if self._transaction.open.reading else patience

    def _commit_due(self, now: datetime, *, idle: bool) -> None:
        """Ends the open Kafka transaction if it is time to. `idle`: the server had nothing to send."""
        transaction, policy = self._transaction, self._tuning.close
        if transaction.rows and not transaction.source.under_way:
            # A commit at each moment at which nothing is left would cost more than what it commits.
            caught_up = idle and not self._more_is_read and not self._more_is_due
            if reason := reason_to_close(transaction.rows, transaction.age(now), caught_up=caught_up, policy=policy):
                # Nothing waits for us when we have caught up: then the answer is awaited in the shortest way.
                transaction.close(reason, now, None if idle else self._stream.ahead)
        elif transaction.rows:
            # Rows of other tables may come without a pause for longer than Kafka lets a transaction be open.
            pressing = transaction.age(now) >= policy.split_age and transaction.source.xid is None
            if transaction.must_split(policy, now) and (idle or pressing):
                transaction.split(CloseReason.SPLIT, now)
        elif now >= self._beats.next(now) or (
            self._beats.partial and not transaction.source.under_way and transaction.open.in_progress is None
        ):
            # The server's own heartbeats may fall together with ours, again and again: then it only seems to have something to send.
            if idle or now - self._looking.idle_at >= _SEEMS_BUSY:
                self._looking.look_idle(now)
            transaction.commit(now)

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
        if now - self._heard_at >= self._tuning.hear_every and self._stream.drained:
            self._heard_at = now
            self._hearing.hear(now)
        if not self._transaction.open.reading:
            return
        self._rereading.collect(self._transaction.position.server_uuid, now)
        # The stream gets at least as much of the time as the reading, while it has anything to do.
        if now >= self._stream_until and (self._repeating.send_due(now) or self._sending.send_due(now)):
            took = self._clock.now() - now
            self._stream_until = now + 2 * took
        self._readings.ask(now)
