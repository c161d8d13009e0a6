"""The Kafka transaction that is open: what goes into it, when it is begun and committed, and the position that brings us to."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from contracts.errors import Refused, Unavailable
from contracts.progress import InProgress, Position
from streamer.core.closing import ClosePolicy, CloseReason, must_split
from streamer.core.commit_times import SourceCommits
from streamer.core.decoder import Records
from streamer.core.heartbeats import Heartbeats
from streamer.core.progress import OpenTransaction
from streamer.core.route import Choices, Message
from streamer.ports import Ports
from streamer.service.rereading import Rereading, Sent
from streamer.service.tallies import Tallies

log = structlog.get_logger()


@dataclass(slots=True)
class SourceTransaction:
    """The source transaction that the stream is inside of, as far as it was taken."""

    under_way: bool = False  # what was taken last is inside one
    in_progress: InProgress | None = None  # its rows that were taken
    xid: str | None = None  # it is an XA transaction


class KafkaTransaction:
    """One Kafka transaction at a time, on top of the position that was committed last. It is begun with the first record; once it is
    committed the next one takes its place. Raises whatever ends the session.

    `source`: what is being taken into it. `alone`: a TRUNCATE is in it, which ends with its source transaction."""

    def __init__(
        self, ports: Ports, choices: Choices, position: Position, beats: Heartbeats, rereading: Rereading, tallies: Tallies
    ) -> None:
        """`rereading`: told of its chunks once they are on Kafka."""
        self._clock = ports.clock
        self._sink = ports.sink
        self._positions = ports.positions
        self._choices = choices
        self._beats = beats
        self._rereading = rereading
        self._tallies = tallies
        self._chunks: list[Sent] = []
        self._size_bytes = 0  # of the rows in it
        self._opened_at = ports.clock.now()
        self.open = OpenTransaction(position, choices.topics, choices.shard, choices.shards)
        self.position = position  # committed last
        self.source = SourceTransaction()
        self.begun = False  # a Kafka transaction is open
        self.committed = False  # at least one was committed
        self.alone = False

    @property
    def rows(self) -> int:
        """In it by now, those that were read included."""
        return self.open.rows

    def must_split(self, policy: ClosePolicy, now: datetime) -> bool:
        """Whether it is to be closed inside the source transaction under way. An XA transaction can't be, so its size is no reason."""
        return must_split(self.rows, self._size_bytes if self.source.xid is None else 0, self.age(now), policy)

    @property
    def holds_chunks(self) -> bool:
        """Whether chunks of rows that were read are in it."""
        return bool(self._chunks)

    def age(self, now: datetime) -> timedelta:
        """How long ago it was begun, or the one before it while it is not."""
        return now - self._opened_at

    def send(self, record: Message) -> None:
        self._begin()
        self._sink.send(record)
        self._tallies.sent(len(record.value))

    def send_rows(self, rows: Records, shard: int) -> None:
        """They take their topic's next seqs."""
        self._begin()
        self._sink.send_rows(rows)
        self._size_bytes += rows.size_bytes
        self.open.took(rows.topic, shard, len(rows.records))
        self._tallies.sent(rows.size_bytes)

    def send_read(self, rows: Records, shard: int) -> None:
        """Rows that the stream does not bring: they were read, or come once more."""
        self.send_rows(rows, shard)
        self._tallies.read(len(rows.records))

    def sent_chunk(self, chunk: Sent) -> None:
        """The rows sent last were a chunk."""
        self._chunks.append(chunk)

    def source_committed(self, commits: SourceCommits) -> None:
        self.open.source_committed(commits)
        self._tallies.source_committed(commits.count)

    def split(self, reason: CloseReason, now: datetime, meanwhile: Callable[[], bool] | None = None) -> None:
        """Closes, also inside a source transaction: the position then says how many of its rows are out."""
        source = self.source
        if source.in_progress is not None:
            if source.xid is not None:
                raise Refused(
                    f"XA transaction {source.xid} does not fit one Kafka transaction, and its outcome is open until its end; raise "
                    "batch.rows, or exclude the tables it changes",
                    xid=source.xid,
                )
            self.open.source_split(source.in_progress)
        self.close(reason, now, meanwhile)

    def close(self, reason: CloseReason, now: datetime, meanwhile: Callable[[], bool] | None = None) -> None:
        """`meanwhile`: as of EnvelopeSink.commit. To read ahead it must be none while a step is not answered for yet."""
        rows = self.open.rows
        position = self.commit(now, meanwhile)
        log.debug("transaction.committed", n=position.n, rows=rows, reason=reason.value, partial=position.in_progress is not None)

    def close_alone(self, now: datetime) -> None:
        """Closes behind a TRUNCATE."""
        self.close(CloseReason.TRUNCATE, now)
        self.alone = False

    def commit(self, now: datetime, meanwhile: Callable[[], bool] | None = None) -> Position:
        """Whatever is in it, with the barriers that are due; with nothing in it, a heartbeat."""
        ending = self.open.end(self._beats.due(now))
        for record in ending.messages:
            self.send(record)
        asked = self._clock.now()
        self._sink.commit(meanwhile)
        self.begun = False
        self.committed = True
        rows = self.open.rows
        for chunk in self._chunks:
            self._rereading.committed(chunk, rows, self._clock.now() - asked)
        self._chunks.clear()
        self._size_bytes = 0
        self.position = ending.position
        self.open = OpenTransaction(ending.position, self._choices.topics, self._choices.shard, self._choices.shards)
        self._beats.sent(ending.barriers, now, partial=ending.position.in_progress is not None)
        if self._sink.unsettled():
            log.info("producer.recycled", n=ending.position.n)
            self._recycle(ending.position)
        self._tallies.committed(ending.position, rows, now)
        return ending.position

    def _recycle(self, position: Position) -> None:
        self._sink.recycle()
        self._sink.init()
        # `init` makes this the newest producer, also when another streamer took over after our commit: then what we remember is old.
        found = self._positions.read()
        if found is None or found.n != position.n:
            raise Unavailable("the position on Kafka is not the one committed here last: another streamer has run meanwhile")

    def _begin(self) -> None:
        if not self.begun:
            self._sink.begin()
            self.begun = True
            self._opened_at = self._clock.now()
