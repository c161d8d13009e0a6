"""A stand-in for the streamer: History to Kafka, one transaction after another, with the streamer's own barriers, positions and split
transactions, and its order of effects. Where the schedule is about the loader it saves the time of decoding a binlog."""

from collections.abc import Iterator
from random import Random

from contracts.envelope import Envelope, Op, Source, encode_key
from contracts.errors import OutcomeUnknown, Unavailable
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Position
from contracts.topics import Topics
from streamer.core.commit_times import SourceCommits
from streamer.core.progress import OpenTransaction
from streamer.core.split import SplitTransaction
from streamer.ports import EnvelopeSink, Message, PositionStore
from tests.simulation.source import SERVER, History, RowChange, SourceTransaction

ROWS_SPLIT = 3
"""Source transactions of more rows end a Kafka transaction inside."""


class Feeder:
    """One life of it, from `init` on. Whoever runs it may drop it anywhere and make another one."""

    def __init__(self, history: History, topics: Topics, sink: EnvelopeSink, store: PositionStore, rng: Random) -> None:
        self.history = history
        self.topics = topics
        self.sink = sink
        self.store = store
        self.rng = rng
        self.announced: set[str] = set()

    def run(self) -> None:
        """Publishes all there is, and a barrier for every shard behind it. Raises Fenced when another one has taken over."""
        position = self._restart(recycle=False)
        while True:
            last = position.gtid_set.count() == len(self.history.transactions)
            try:
                position = self._transaction(position, every_shard=last)
                if not self.sink.unsettled():
                    if last:
                        return
                    continue
            except (OutcomeUnknown, Unavailable):
                self.sink.abort()
            position = self._restart()

    def _restart(self, *, recycle: bool = True) -> Position:
        self.announced.clear()  # what was announced in a transaction that was aborted is not there
        while True:
            try:
                if recycle:
                    self.sink.recycle()
                self.sink.init()
                return self.store.read() or Position(0, SERVER, GtidSet(), 0, 0, 0, BinlogPosition("binlog.000001", 4))
            except Unavailable:
                continue

    def _transaction(self, position: Position, *, every_shard: bool) -> Position:
        """One Kafka transaction: some source transactions, or a part of one, or nothing but the time."""
        open_ = OpenTransaction(position, self.topics)
        self.sink.begin()
        for source in self._next(position):
            split = SplitTransaction(source.gtid, open_.in_progress)
            for number, change in enumerate(source.changes):
                out_already = split.next_is_out
                split.take(f"{change.after}{change.before}".encode())
                if out_already:
                    continue
                self._send(open_, source, number, change)
                if number + 1 < len(source.changes) and open_.rows >= ROWS_SPLIT and not source.changes[number + 1].key_change:
                    done = split.so_far()
                    assert done is not None
                    open_.source_split(done)
                    return self._commit(open_, every_shard)
            split.finish()
            open_.source_committed(SourceCommits.one(source.gtid, source.commit_us, BinlogPosition("binlog.000001", 4)))
        return self._commit(open_, every_shard)

    def _next(self, position: Position) -> Iterator[SourceTransaction]:
        """TRUNCATE stands alone, and so does what comes before an ALTER TABLE."""
        at = position.gtid_set.count()
        for number in range(self.rng.choice((0, 1, 1, 2, 3))):
            if at >= len(self.history.transactions):
                return
            source = self.history.transactions[at]
            alone = not source.changes or any(change.op == "t" for change in source.changes)
            if alone and number:
                return
            yield source
            at += 1
            if alone:
                return

    def _send(self, open_: OpenTransaction, source: SourceTransaction, number: int, change: RowChange) -> None:
        table = change.table
        topic = self.topics.rows(table.table)
        truncate = change.op is Op.TRUNCATE
        if truncate and not open_.begun(topic):
            return
        if change.schema.fingerprint not in self.announced and not truncate:
            key = f"{topic}/{change.schema.fingerprint}".encode()
            self.sink.send(Message(self.topics.schemas, key, change.schema.encode()))
            self.announced.add(change.schema.fingerprint)
        seq = open_.took(topic, table.shard)
        at = Source(
            name=self.topics.prefix,
            table=table.table,
            server_id=1,
            gtid=str(source.gtid),
            file="binlog.000001",
            pos=4,
            ts_ms=source.commit_us // 1000,
            commit_ts_us=source.commit_us,
            seq=seq,
            ev=number,
            schema="" if truncate else change.schema.fingerprint,
            key_change=change.key_change,
        )
        envelope = Envelope(change.op, change.before, change.after, at, source.commit_us // 1000)
        row = change.before if change.after is None else change.after
        self.sink.send(Message(topic, encode_key(change.schema.key, row) if row else None, envelope.encode()))

    def _commit(self, open_: OpenTransaction, every_shard: bool) -> Position:
        shards = sorted({table.shard for table in self.history.tables})
        ending = open_.end([shard for shard in shards if every_shard or self.rng.random() < 0.4])
        for message in ending.messages:
            self.sink.send(message)
        self.sink.commit()
        return ending.position
