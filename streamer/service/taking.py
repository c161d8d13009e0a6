"""The steps of the stream, taken: rows into the open Kafka transaction, and what the events mean that the decoder shows."""

from streamer.core.closing import ClosePolicy, CloseReason
from streamer.core.commit_times import SourceCommits
from streamer.core.decoder import Chunk, Shown, Step, Unrouted
from streamer.core.schemas import TableMap
from streamer.core.transactions import Began, Committed, Ddl, EventJudge
from streamer.ports import Clock
from streamer.service.ddl import DdlFollower
from streamer.service.reading import Reading
from streamer.service.rereading import Rereading
from streamer.service.routes import Routes
from streamer.service.transaction import KafkaTransaction, SourceTransaction


class Taking:
    """Takes one step at a time, and tells the decoder what it asks."""

    def __init__(
        self,
        clock: Clock,
        judge: EventJudge,
        policy: ClosePolicy,
        stream: Reading,
        transaction: KafkaTransaction,
        routes: Routes,
        rereading: Rereading,
        ddl: DdlFollower,
    ) -> None:
        """`rereading`: told of the keys that are taken while chunks are read."""
        self._clock = clock
        self._judge = judge
        self._policy = policy
        self._stream = stream
        self._transaction = transaction
        self._routes = routes
        self._rereading = rereading
        self._ddl = ddl

    def take(self, step: Step) -> None:
        if isinstance(step, Chunk):
            self._chunk(step)
        elif isinstance(step, Unrouted):
            # Its rows follow, though a compressed transaction's place in the binlog is behind all of them by now.
            self._transaction.source.under_way, self._transaction.source.in_progress = True, step.in_progress
            self._table(step.table)
        else:
            self._shown(step)

    def _chunk(self, chunk: Chunk) -> None:
        now, transaction = self._clock.now(), self._transaction
        if transaction.alone:
            # A CREATE TABLE … SELECT that selected nothing, under the name of a table that was: whatever comes has its own transaction.
            transaction.close_alone(now)
        if chunk.records and transaction.source.under_way and transaction.must_split(self._policy, now):
            transaction.split(CloseReason.SPLIT, now, self._stream.ahead)
        for rows in chunk.records:
            transaction.send_rows(rows, self._routes.shard(rows.topic))
            if self._rereading.watches(rows.topic):
                self._rereading.took(rows.topic, [record["key"] for record in rows.records], now)
        if chunk.commits is not None:
            transaction.source_committed(chunk.commits)
        transaction.source.under_way, transaction.source.in_progress = chunk.under_way, chunk.in_progress

    def _shown(self, shown: Shown) -> None:
        decoder, transaction = self._stream.decoder, self._transaction
        if shown.under_way is not None:
            transaction.source.under_way = True  # as at an unrouted table
        for meaning in self._judge.judge(shown.at, shown.under_way):
            if isinstance(meaning, Began):
                if meaning.xid is not None and transaction.rows:
                    # So that nothing has to be committed while its outcome is open.
                    transaction.close(CloseReason.SPLIT, self._clock.now())
                decoder.began()
                transaction.source.under_way, transaction.source.xid = True, meaning.xid
            elif isinstance(meaning, Ddl):
                assert shown.under_way is not None
                self._ddl.follow(meaning, shown.under_way)
            else:
                self._ended(meaning)

    def _ended(self, committed: Committed) -> None:
        self._stream.decoder.ended()
        self._transaction.source_committed(SourceCommits.one(committed.gtid, committed.commit_us, committed.end))
        self._transaction.source = SourceTransaction()
        if self._transaction.alone:
            self._transaction.close_alone(self._clock.now())

    def _table(self, table: TableMap) -> None:
        decoder = self._stream.decoder
        if not self._judge.captures(table.table):
            decoder.ignore(table)
            return
        if self._transaction.alone:
            # CREATE TABLE … SELECT, under the name of a table that was: its rows come in the transaction of the DDL.
            self._transaction.close_alone(self._clock.now())
        way = self._routes.use(table.schema)
        decoder.use(table, way, self._transaction.open.next_seq(way.topic))
