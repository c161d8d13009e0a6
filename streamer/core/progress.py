"""Rows handed to the producer → the barriers and position records that end a Kafka transaction.

Seqs, GTID set, commit times and the transaction in progress move here and nowhere else; what isn't committed is thrown away with the
object, and the next one starts from the position Kafka holds.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from contracts.errors import Refused
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Asked, Barrier, InProgress, Position, Reread
from contracts.table import TableId
from contracts.topics import Topics
from streamer.core.commit_times import CommitTimes, SourceCommits
from streamer.core.route import Message


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends a Kafka transaction, and the position it brings the pipeline to."""

    messages: tuple[Message, ...]
    position: Position
    barriers: frozenset[int]


class OpenTransaction:
    """A Kafka transaction being filled on top of a committed position. `end` gives its last records; the next one is made from the position
    in them once Kafka has committed."""

    def __init__(self, position: Position, topics: Topics, shard: Callable[[TableId], int] = lambda _: 0, shards: int = 1) -> None:
        """`shard`: the one that owns a table, of so many `shards`."""
        self._start = position
        self._topics = topics
        self._shard = shard
        self._gtids = position.gtid_set
        self._times = CommitTimes(position.commit_ts_us, position.newest_commit_us, position.backstep_us)
        self._binlog = position.binlog
        self._in_progress = position.in_progress
        self._next_seqs: dict[str, int] = {}  # of topics touched
        self._shards: dict[str, int] = {}
        self._several = shards > 1
        self._known: set[str] = set()
        self._rereads: dict[str, Reread | None] = {}  # those that changed
        self._renewing = {topic for topic, reread in position.rereads.items() if reread.whole}  # now, or earlier in this transaction
        self._asked: dict[str, Asked | None] = {}  # those that changed
        self._dropped: dict[str, bool] = {}  # those that changed
        self._next_signal = position.next_signal
        self.rows = 0

    @property
    def gtid_set(self) -> GtidSet:
        """Wholly on Kafka once this is committed."""
        return self._gtids

    @property
    def in_progress(self) -> InProgress | None:
        return self._in_progress

    @property
    def streamed(self) -> GtidSet:
        """Every transaction of which a row was taken."""
        return self._gtids if self._in_progress is None else self._gtids.with_gtid(self._in_progress.gtid)

    def touched(self, topic: str) -> bool:
        return topic in self._next_seqs

    def begun(self, topic: str) -> bool:
        """Whether the topic has a record, here or on Kafka."""
        return self.next_seq(topic) > 0

    def known(self, topic: str) -> bool:
        """Whether the pipeline has met the topic's table: what it held then was read, or was not wanted."""
        return topic in self._start.next_seqs or topic in self._next_seqs or topic in self._known

    @property
    def topics(self) -> Collection[str]:
        """Those that the pipeline knows."""
        return self._start.next_seqs.keys() | self._next_seqs.keys() | self._known

    def meet(self, topic: str) -> None:
        """From now on the topic's table is known."""
        self._known.add(topic)

    @property
    def rereads(self) -> Mapping[str, Reread]:
        """By topic the readings that are not finished."""
        changed = {**self._start.rereads, **self._rereads}
        return {topic: reread for topic, reread in changed.items() if reread is not None}

    def reread(self, topic: str, reread: Reread | None) -> None:
        """How far the reading of the topic's table is, with the rows taken here; None: it is finished, or given up."""
        self._rereads[topic] = reread
        if reread is not None and reread.whole:
            self._renewing.add(topic)
        elif not self.touched(topic):
            self._renewing.discard(topic)
        self.meet(topic)

    @property
    def asked(self) -> Mapping[str, Asked]:
        """By topic the keys whose rows are to be read again."""
        changed = {**self._start.asked, **self._asked}
        return {topic: asked for topic, asked in changed.items() if asked is not None}

    def ask(self, topic: str, asked: Asked | None) -> None:
        """What keys of the topic's table are left to be read, with the rows taken here; None: no more."""
        self._asked[topic] = asked
        self.meet(topic)

    @property
    def reading(self) -> bool:
        """Whether any table is, or rows of it."""
        return bool(self.rereads or self.asked)

    @property
    def dropped(self) -> frozenset[str]:
        """Topics whose tables are gone."""
        changed = {**dict.fromkeys(self._start.dropped, True), **self._dropped}
        return frozenset(topic for topic, gone in changed.items() if gone)

    def drop(self, topic: str, *, gone: bool) -> None:
        """The topic's table is gone; or there is one of its name again."""
        if gone != (topic in self.dropped):
            self._dropped[topic] = gone
        self.meet(topic)

    @property
    def next_signal(self) -> int:
        return self._next_signal

    def acted(self, next_signal: int) -> None:
        """The signals before this offset are acted on, here or earlier."""
        self._next_signal = next_signal

    def next_seq(self, topic: str) -> int:
        """The seq of the topic's next envelope."""
        return self._next_seqs.get(topic, self._start.next_seqs.get(topic, 0))

    def took(self, topic: str, shard: int, count: int = 1) -> int:
        """The topic's next `count` envelopes are in this transaction. Returns the seq of the first."""
        seq = self.next_seq(topic)
        self._shards[topic] = shard
        self._next_seqs[topic] = seq + count
        self.rows += count
        return seq

    def source_committed(self, commits: SourceCommits) -> None:
        """Every captured row of these transactions has been handed on."""
        self._gtids = self._gtids.union(commits.gtids)
        self._times = self._times.after(commits.lowest_us, commits.newest_us, commits.backstep_us)
        self._binlog = commits.end
        if self._in_progress is not None and self._in_progress.gtid in commits.gtids:
            self._in_progress = None

    def source_split(self, done: InProgress) -> None:
        """This Kafka transaction ends inside a source transaction. Raises Refused when another one is split already: a position holds
        one."""
        if self._in_progress is not None and self._in_progress.gtid != done.gtid:
            raise Refused(
                f"transaction {done.gtid} is to be split while {self._in_progress.gtid} is not finished: the server reorders transactions; "
                "set replica_preserve_commit_order = ON there, or raise batch.rows"
            )
        self._in_progress = done

    def stands_at(self, place: BinlogPosition) -> None:
        """Everything that the server had executed when its binlog ended here is on Kafka."""
        self._binlog = place

    def idle_until(self, clock_us: int) -> None:
        """Nothing was committed at the source up to `clock_us` that isn't here."""
        self._times = self._times.seen(clock_us)

    def end(self, due: Collection[int] = ()) -> Ending:
        """Barriers for the shards touched and those `due`, then the position. Partial while a source transaction is split."""
        next_seqs = {**dict.fromkeys(self._known, 0), **self._start.next_seqs, **self._next_seqs}
        position = replace(
            self._start,
            n=self._start.n + 1,
            gtid_set=self._gtids,
            commit_ts_us=self._times.promised_us,
            newest_commit_us=self._times.newest_us,
            backstep_us=self._times.backstep_us,
            binlog=self._binlog,
            in_progress=self._in_progress,
            next_seqs=next_seqs,
            rereads=self.rereads,
            dropped=self.dropped,
            next_signal=self._next_signal,
            asked=self.asked,
            shards={**self._start.shards, **self._shards} if self._several else {},
        )
        changed = (position.readings.get(topic) or self._start.readings.get(topic) for topic in (*self._rereads, *self._asked))
        shards = frozenset({*self._shards.values(), *due, *(self._shard(reading.table) for reading in changed if reading)})
        return Ending((*self._barriers(position, shards), *self._position(position)), position, shards)

    def _barriers(self, position: Position, shards: Collection[int]) -> Iterator[Message]:
        for shard in sorted(shards):
            next_seqs = {topic: seq for topic, seq in self._next_seqs.items() if self._shards[topic] == shard}
            barrier = Barrier(
                n=position.n,
                gtid_set=position.gtid_set,
                commit_ts_us=position.commit_ts_us,
                partial=position.in_progress is not None,
                next_seqs=next_seqs,
                standings={topic: held.standing for topic, held in position.readings.items() if self._shard(held.table) == shard},
                renewing=frozenset(self._renewing & next_seqs.keys()),
            )
            yield Message(self._topics.progress, None, barrier.encode(), partition=shard)

    def _position(self, position: Position) -> Iterator[Message]:
        for topic in sorted(
            {*self._next_seqs, *self._rereads, *self._asked, *self._dropped, *(self._known - self._start.next_seqs.keys())}
        ):
            yield Message(self._topics.position, topic.encode(), position.encode_topic(topic))
        yield Message(self._topics.position, Position.KEY, position.encode())
