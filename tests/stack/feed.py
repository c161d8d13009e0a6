"""What a streamer would publish, made up: transactions of row changes that end in a barrier, from a transactional producer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic

from contracts.envelope import Envelope, Op, Source, encode_key
from contracts.position import Gtid, GtidSet
from contracts.progress import Barrier, Standing, shard_of
from contracts.table import Column, Kind, TableId, TableSchema
from contracts.topics import Topics
from devstack.stack import Stack

SERVER = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
BEGAN_US = 1_760_000_000_000_000


def table(database: str, name: str, *columns: Column, key: Sequence[str] = ("id",)) -> TableSchema:
    return TableSchema(TableId(database, name), (Column("id", Kind.INT, nullable=False), *columns), tuple(key))


@dataclass(frozen=True)
class Row:
    """One row change to publish. A key change is two of these."""

    schema: TableSchema
    op: Op
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    key_change: bool = False


def put(schema: TableSchema, **values: Any) -> Row:
    return Row(schema, Op.CREATE, None, values)


def read(schema: TableSchema, **values: Any) -> Row:
    return Row(schema, Op.READ, None, values)


def drop(schema: TableSchema, **values: Any) -> Row:
    return Row(schema, Op.DELETE, values, None)


def moved(schema: TableSchema, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Row, Row]:
    return Row(schema, Op.DELETE, before, None, key_change=True), Row(schema, Op.CREATE, None, after, key_change=True)


def truncated(schema: TableSchema) -> Row:
    return Row(schema, Op.TRUNCATE, None, None)


@dataclass
class Feed:
    """The streamer's side of the pipeline `name`."""

    stack: Stack
    name: str
    shards: int = 1
    n: int = 0
    gtids: GtidSet = field(default_factory=GtidSet)
    seqs: dict[str, int] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    told: dict[str, Standing] = field(default_factory=dict)  # with the barrier before
    schemas: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.topics = Topics(self.name)
        self._admin = self.stack.kafka.admin()
        self._create(NewTopic(self.topics.progress, self.shards, 1))
        self._create(NewTopic(self.topics.schemas, 1, 1, config={"cleanup.policy": "compact"}))
        self._producer: Producer | None = Producer(
            {
                "bootstrap.servers": self.stack.kafka.bootstrap_servers,
                "transactional.id": f"feed-{self.name}",
                "linger.ms": 0,
                "log_level": 0,
            }
        )
        self._producer.init_transactions()

    def close(self) -> None:
        self._producer = None

    def _create(self, topic: NewTopic) -> None:
        self._admin.create_topics([topic])[topic.topic].result()

    def transaction(self, *rows: Row, partial: bool = False, abort: bool = False) -> Barrier:
        """One source transaction (or, `partial`, the beginning of one) in one Kafka transaction, and its barriers."""
        self.n += 1
        gtid = Gtid(SERVER, self.n)
        gtids = self.gtids if partial else self.gtids.with_gtid(gtid)
        seqs, commit_ts_us = dict(self.seqs), BEGAN_US + self.n * 1_000_000
        touched: dict[str, int] = {}
        messages: list[tuple[str, int, bytes | None, bytes]] = []
        for ev, row in enumerate(rows):
            topic = self.topics.rows(row.schema.table)
            if row.schema.fingerprint not in self.schemas:
                self._register(topic, row.schema)
                messages.append((self.topics.schemas, 0, f"{topic}/{row.schema.fingerprint}".encode(), row.schema.encode()))
            seq = seqs.get(topic, 0)
            seqs[topic] = touched[topic] = seq + 1
            source = Source(
                name=self.name,
                table=row.schema.table,
                server_id=1,
                gtid=str(gtid),
                file="binlog.000001",
                pos=self.n,
                ts_ms=commit_ts_us // 1000,
                commit_ts_us=commit_ts_us,
                seq=seq,
                ev=ev,
                schema="" if row.op is Op.TRUNCATE else row.schema.fingerprint,
                key_change=row.key_change,
            )
            envelope = Envelope(row.op, row.before, row.after, source, commit_ts_us // 1000)
            image = row.after or row.before
            key = encode_key(row.schema.key, image) if image is not None else None
            messages.append((topic, 0, key, envelope.encode()))
        barriers: dict[int, Barrier] = {}
        for shard in range(self.shards):
            mine = {topic: seq for topic, seq in touched.items() if shard_of(topic, self.shards) == shard}
            renewing = frozenset(mine.keys() & {**self.told, **self.standings}.keys())
            barriers[shard] = Barrier(self.n, gtids, commit_ts_us, partial, mine, self.standings, renewing)
            messages.append((self.topics.progress, shard, None, barriers[shard].encode()))
        producer = self._producer
        assert producer is not None
        producer.begin_transaction()
        for topic, partition, key, value in messages:
            producer.produce(topic, value, key, partition)
        if abort:
            producer.flush()
            producer.abort_transaction()
            self.n -= 1
            return barriers[0]
        producer.commit_transaction()
        self.gtids, self.seqs, self.told = gtids, seqs, dict(self.standings)
        return barriers[0]

    def _register(self, topic: str, schema: TableSchema) -> None:
        if topic not in self.seqs:
            self._create(NewTopic(topic, 1, 1))
        self.schemas.add(schema.fingerprint)
