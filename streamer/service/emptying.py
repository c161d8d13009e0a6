"""The TRUNCATE by which a target loses all its rows: when the source's table was, and when its rows are read anew from the first on. Of an
append table it is the event behind which its rows begin anew."""

from datetime import datetime

from contracts.table import TableId, TableSchema
from streamer.core.closing import CloseReason
from streamer.core.route import Choices
from streamer.core.transactions import Ddl, UnderWay
from streamer.core.translate import Origin, truncate_message
from streamer.ports import Clock
from streamer.service.reading import Reading
from streamer.service.routes import Routes
from streamer.service.transaction import KafkaTransaction


class Emptying:
    """Sends TRUNCATEs. Barriers stand before and behind each, so that no rows are in a Kafka transaction with it."""

    def __init__(self, clock: Clock, choices: Choices, stream: Reading, transaction: KafkaTransaction, routes: Routes) -> None:
        self._clock = clock
        self._choices = choices
        self._stream = stream
        self._transaction = transaction
        self._routes = routes
        self._ends: dict[str, int] = {}  # by topic the seq behind its last TRUNCATE

    def truncate(self, table: TableId, ddl: Ddl, within: UnderWay) -> None:
        """By a statement of the source. Several of them may be in one Kafka transaction."""
        now = self._clock.now()
        if not self._transaction.open.begun(self._choices.topic(table)):
            return  # nobody holds a row of it, nor a schema that would tell where to look
        if self._transaction.rows and not self._transaction.alone:
            self._transaction.close(CloseReason.TRUNCATE, now)
        origin = Origin(
            self._choices.topics.prefix,
            ddl.server_id,
            str(within.gtid),
            ddl.start.file,
            ddl.start.offset,
            ddl.ts_ms,
            within.commit_us,
        )
        self._send(table, origin, now)
        self._transaction.alone = True

    def empty(self, table: TableId, now: datetime, schema: str = "") -> None:
        """The target loses all its rows, and those the table has follow. `schema`: theirs, where it is known."""
        if self._transaction.rows:
            self._transaction.close(CloseReason.TRUNCATE, now)
        self.send(table, now, schema)
        self._transaction.alone = True

    def renew(self, schema: TableSchema, now: datetime) -> None:
        """Before all rows that an append table holds are sent: without a key, nothing tells which of them were sent before. It names their
        schema: of a table that has just lost its key, the target may hold a row for each."""
        way, opened = self._routes.of(schema), self._transaction.open
        if way.schema.key or not self._choices.appends(way.schema):
            return
        if opened.begun(way.topic) and opened.next_seq(way.topic) != self._ends.get(way.topic):
            self._routes.use(schema)
            self.empty(schema.table, now, way.schema.fingerprint)
            self._transaction.close_alone(now)

    def send(self, table: TableId, now: datetime, schema: str = "") -> None:
        """Only the record, for a Kafka transaction that holds no rows and is committed next."""
        binlog, now_us = self._stream.decoder.position, int(now.timestamp() * 1_000_000)
        self._send(table, Origin(self._choices.topics.prefix, 0, "", binlog.file, binlog.offset, now_us // 1000, now_us), now, schema)

    def _send(self, table: TableId, origin: Origin, now: datetime, schema: str = "") -> None:
        self._choices.refuse_moved((table,), self._transaction.position.shards)
        topic = self._choices.topic(table)
        self._routes.ensure(topic)
        seq = self._transaction.open.took(topic, self._choices.shard(table))
        self._ends[topic] = seq + 1
        self._stream.decoder.forget(topic)
        self._transaction.send(truncate_message(table, topic, origin, seq=seq, now_ms=int(now.timestamp() * 1000), schema=schema))
