"""A Kafka for the suites: the fake broker, or the real one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from contracts.topics import Topics
from devstack.stack import Stack
from loader.edges.kafka import GroupMembership, PartitionReader
from loader.ports import Membership, ShardLog
from runtime.connect.kafka import client_config
from runtime.sections import Kafka
from streamer.edges.kafka import KafkaSink
from streamer.edges.topics import KafkaPositions
from streamer.ports import EnvelopeSink, PositionStore
from tests.fakes.broker import Broker, Group
from tests.fakes.faults import Gate
from tests.fakes.kafka_clients import FakeMembership, FakePositionStore, FakeShardLog, FakeSink

PATIENCE = timedelta(seconds=30)

Client = TypeVar("Client")


class KafkaScene(Protocol):
    topics: Topics

    def create(self, topic: str, partitions: int = 1) -> None: ...

    def delete(self, topic: str) -> None: ...

    def publish(self, topic: str, *values: bytes, commit: bool = True, partition: int = 0) -> None:
        """A transaction of these records, committed or aborted."""

    def leave_open(self, topic: str, value: bytes) -> None:
        """A transaction that does not end."""

    def expire(self, topic: str, before: int) -> None: ...

    def committed(self, topic: str, partition: int = 0) -> Sequence[bytes]:
        """What a read_committed reader gets, asked past the ports."""

    def mirrored(self, topic: str) -> tuple[int, str]: ...

    def log(self, shard: int = 0) -> ShardLog: ...

    def member(self, name: str) -> Membership: ...

    def sink(self, queue_bytes_max: int = 1 << 20) -> EnvelopeSink:
        """The fake's queue has no bound."""

    def positions(self) -> PositionStore: ...

    def close(self) -> None: ...


@dataclass
class FakeKafka:
    name: str

    def __post_init__(self) -> None:
        self.topics = Topics(self.name)
        self.broker = Broker()
        self.gate = Gate()
        self.group = Group(1, timedelta(seconds=10))
        self.numbers = 0

    def create(self, topic: str, partitions: int = 1) -> None:
        self.broker.create(topic, partitions)
        if topic == self.topics.progress:
            self.group.partitions = partitions

    def delete(self, topic: str) -> None:
        self.broker.delete(topic)

    def publish(self, topic: str, *values: bytes, commit: bool = True, partition: int = 0) -> None:
        epoch = self.broker.init("suite")
        for value in values:
            self.broker.send("suite", epoch, topic, partition, None, value)
        self.broker.end("suite", epoch, commit=commit)

    def leave_open(self, topic: str, value: bytes) -> None:
        self.broker.send("open", self.broker.init("open"), topic, 0, None, value)

    def expire(self, topic: str, before: int) -> None:
        self.broker.expire(topic, 0, before)

    def committed(self, topic: str, partition: int = 0) -> Sequence[bytes]:
        return [entry.value or b"" for _, entry in self.broker.partition(topic, partition).committed()]

    def mirrored(self, topic: str) -> tuple[int, str]:
        return self.group.offsets[topic, 0]

    def log(self, shard: int = 0) -> ShardLog:
        return FakeShardLog(self.broker, self.gate, self.topics.progress, shard)

    def member(self, name: str) -> Membership:
        self.numbers += 1
        return FakeMembership(self.broker, self.group, self.gate, name, self.numbers)

    def sink(self, queue_bytes_max: int = 1 << 20) -> EnvelopeSink:
        return FakeSink(self.broker, self.gate, f"tidemark-{self.name}")

    def positions(self) -> PositionStore:
        return FakePositionStore(self.broker, self.gate, self.topics.position)

    def close(self) -> None:
        """Nothing outlives the test."""


@dataclass
class RealKafka:
    stack: Stack
    name: str
    opened: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.topics = Topics(self.name)
        servers = self.stack.kafka.bootstrap_servers
        self.settings = Kafka.model_validate({"bootstrap_servers": servers, "allow_plaintext": True, "replication_factor": 1})
        self.config: dict[str, Any] = dict(client_config(self.settings))
        self.admin = AdminClient(self.config)

    def create(self, topic: str, partitions: int = 1) -> None:
        self.admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])[topic].result()
        self._until(lambda: topic in self.admin.list_topics(timeout=10).topics)

    def delete(self, topic: str) -> None:
        self.admin.delete_topics([topic])[topic].result()
        self._until(lambda: topic not in self.admin.list_topics(timeout=10).topics)

    def publish(self, topic: str, *values: bytes, commit: bool = True, partition: int = 0) -> None:
        producer = self._producer("suite")
        for value in values:
            producer.produce(topic, value=value, partition=partition)
        producer.flush(30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)

    def leave_open(self, topic: str, value: bytes) -> None:
        producer = self._producer("open")
        producer.produce(topic, value=value, partition=0)
        producer.flush(30)
        self.opened.append(producer)

    def expire(self, topic: str, before: int) -> None:
        place = TopicPartition(topic, 0, before)
        self.admin.delete_records([place])[place].result()

    def committed(self, topic: str, partition: int = 0) -> Sequence[bytes]:
        consumer = Consumer(
            {
                **self.config,
                "group.id": "suite",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(topic, partition, 0)])
        values: list[bytes] = []
        try:
            while True:
                message = consumer.poll(30)
                assert message is not None, f"{topic} could not be read to its end"
                if message.error() is not None:
                    return values
                value = message.value()
                values.append(value.encode() if isinstance(value, str) else value or b"")
        finally:
            consumer.close()

    def mirrored(self, topic: str) -> tuple[int, str]:
        consumer = Consumer({**self.config, "group.id": f"{self.name}-loader"})
        try:
            deadline = datetime.now(UTC) + PATIENCE
            while datetime.now(UTC) < deadline:
                (place,) = consumer.committed([TopicPartition(topic, 0)], timeout=30)
                if place.offset >= 0:
                    return place.offset, place.metadata or ""
                time.sleep(0.1)
            raise AssertionError(f"nothing was committed for {topic}")
        finally:
            consumer.close()

    def log(self, shard: int = 0) -> ShardLog:
        size = self.settings.message_bytes_max
        return self._kept(
            PartitionReader(self.config, group=f"{self.name}-loader", progress=self.topics.progress, shard=shard, message_bytes_max=size)
        )

    def member(self, name: str) -> Membership:
        return self._kept(GroupMembership(self.config, group=f"{self.name}-loader", progress=self.topics.progress, instance=name))

    def sink(self, queue_bytes_max: int = 1 << 20) -> EnvelopeSink:
        return self._kept(KafkaSink(self.settings, self.topics, queue_bytes_max))

    def positions(self) -> PositionStore:
        return KafkaPositions(self.settings, self.topics)

    def close(self) -> None:
        for client in self.opened:
            if hasattr(client, "close"):
                client.close()

    def _producer(self, name: str) -> Producer:
        producer = Producer({**self.config, "transactional.id": f"{self.name}-{name}", "transaction.timeout.ms": 60_000})
        producer.init_transactions(30)
        producer.begin_transaction()
        return producer

    def _kept(self, client: Client) -> Client:
        self.opened.append(client)
        return client

    def _until(self, there: Any) -> None:
        deadline = datetime.now(UTC) + PATIENCE
        while not there():
            assert datetime.now(UTC) < deadline
            time.sleep(0.05)
