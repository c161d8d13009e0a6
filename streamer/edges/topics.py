"""The pipeline's topics, and the position that the one called `position` holds."""

import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from contracts.errors import Corrupt, Refused, Unavailable
from contracts.progress import Position
from contracts.topics import Topics
from runtime.connect.kafka import Admin, client_config
from runtime.sections import Kafka
from streamer.edges.kafkaerrors import translated
from streamer.edges.retention import HOUR_MS, Retention

Answer = TypeVar("Answer")

RECORD_OVERHEAD_BYTES = 1 << 20  # of a batch around one row, generously
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # its library's omission
_REQUEST_TIMEOUT = timedelta(seconds=20)


class KafkaPositions:
    """A PositionStore."""

    def __init__(self, settings: Kafka, topics: Topics) -> None:
        self._settings = settings
        self._topic = topics.position
        self._group = f"tidemark-{topics.prefix}-position"
        self._cluster = _Asking(settings)

    def read(self) -> Position | None:
        # Uncommitted: the end must not hide behind a transaction that is still open.
        return self._read(IsolationLevel.READ_UNCOMMITTED)

    def peek(self) -> Position | None:
        """What is committed at this moment, without waiting for what a running streamer has open. Raises as `read`."""
        return self._read(IsolationLevel.READ_COMMITTED)

    def _read(self, isolation: IsolationLevel) -> Position | None:
        if self._cluster.partitions(self._topic) is None:
            return None
        partition = TopicPartition(self._topic, 0)
        records = self._records(self._cluster.ends([partition], isolation)[partition])
        try:
            return Position.decode(records)
        except ValueError as error:
            raise Corrupt(f"{self._topic}: {error}") from error

    def _records(self, end: int) -> dict[bytes, bytes]:
        """The last committed value of each key below offset `end`."""
        found: dict[bytes, bytes] = {}
        if end == 0:
            return found
        consumer = Consumer(
            {
                **client_config(self._settings),
                "group.id": self._group,  # librdkafka wants one; nothing is committed to it
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,  # the end is what we wait for
                "log_level": 3,
            }
        )
        deadline = time.monotonic() + _REQUEST_TIMEOUT.total_seconds()
        try:
            first, _ = consumer.get_watermark_offsets(TopicPartition(self._topic, 0), _REQUEST_TIMEOUT.total_seconds())
            consumer.assign([TopicPartition(self._topic, 0, first)])
            while True:
                message = consumer.poll(0.5)
                if time.monotonic() > deadline:
                    raise Unavailable(f"{self._topic} could not be read to its end ({end}) within {_REQUEST_TIMEOUT.total_seconds():.0f} s")
                if message is None:
                    continue
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    if (message.offset() or 0) >= end:
                        return found
                    continue
                if error is not None:
                    raise Unavailable(f"{self._topic} could not be read: {error.str()}")
                key, value = message.key(), message.value()
                if key is None or value is None:
                    raise Corrupt(f"{self._topic} at offset {message.offset()}: a record without key or value is not ours")
                found[key] = value
                deadline = time.monotonic() + _REQUEST_TIMEOUT.total_seconds()
        except KafkaException as exception:
            raise translated(exception, f"{self._topic} could not be read") from exception
        finally:
            consumer.close()


_COMPACTED = {"segment.ms": "600000", "segment.bytes": str(32 << 20), "min.cleanable.dirty.ratio": "0.1"}
"""The segment that is written to is never compacted, and whoever begins reads all of it: by Kafka's defaults up to a week, or 1 GiB.
Source: Kafka's documentation, "Topic Configs"."""


class KafkaPositionFollower:
    """A PositionFollower."""

    def __init__(self, settings: Kafka, topics: Topics) -> None:
        self._partition = TopicPartition(topics.position, 0)
        self._records: dict[bytes, bytes] = {}
        self._found: Position | None = None
        self._consumer = Consumer(
            {
                **client_config(settings),
                "group.id": f"tidemark-{topics.prefix}-position",  # librdkafka wants one; nothing is committed to it
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": 3,
            }
        )
        try:
            _, end = self._consumer.get_watermark_offsets(self._partition, _REQUEST_TIMEOUT.total_seconds())
        except KafkaException as exception:
            raise translated(exception, f"the end of {topics.position} could not be read") from exception
        self._consumer.assign([TopicPartition(topics.position, 0, end)])

    def latest(self) -> Position | None:
        while found := self._consumer.consume(1000, 0):
            for record in found:
                if (error := record.error()) is not None:
                    raise Unavailable(f"{self._partition.topic} could not be read: {error.str()}")
                self._records[record.key() or b""] = record.value() or b""
            # A topic's record comes before the head it belongs to.
            if Position.KEY in self._records:
                self._found = Position.decode(self._records)
        return self._found

    def close(self) -> None:
        self._consumer.close()


class KafkaTopics:
    """A TopicAdmin. Topics are made with everything the pipeline depends on; no broker default is trusted but the timestamp type."""

    def __init__(self, settings: Kafka, topics: Topics) -> None:
        self._settings = settings
        self._topics = topics
        self._cluster = _Asking(settings)
        self._retention = Retention(self._cluster.admin, settings.bootstrap_servers, settings.retention_hours)

    def ensure(self, topic: str, *, partitions: int, compacted: bool) -> None:
        found = self.partitions(topic)
        if found is None:
            self._create(topic, partitions, compacted)
        elif found != partitions:
            raise Refused(
                f"topic {topic} has {found} partitions and must have {partitions}: what it holds can no longer be read in order. "
                "A pipeline's topics are never repartitioned; start a new pipeline under another name",
                topic=topic,
            )

    def keep(self, topics: Collection[str]) -> None:
        self._retention.extend(topics)

    def row_topics(self) -> Sequence[str]:
        own = {self._topics.progress, self._topics.position, self._topics.schemas, self._topics.signals}
        prefix = f"{self._topics.prefix}."
        partitions = [
            TopicPartition(name, number)
            for name, topic in self._cluster.told("Kafka's topics could not be listed").topics.items()
            if name.startswith(prefix) and name not in own
            for number in topic.partitions
        ]
        return sorted({at.topic for at, end in self._cluster.ends(partitions).items() if end > 0})

    def brokers(self) -> int:
        """How many brokers answer for this cluster. Raises Unavailable, Invalid."""
        return len(self._cluster.told("Kafka does not answer").brokers)

    def partitions(self, topic: str) -> int | None:
        """None when there is no such topic. Raises Unavailable, Invalid."""
        return self._cluster.partitions(topic)

    def _create(self, topic: str, partitions: int, compacted: bool) -> None:
        settings = self._settings
        config = {
            "cleanup.policy": "compact" if compacted else "delete",
            "max.message.bytes": str(settings.message_bytes_max + RECORD_OVERHEAD_BYTES),
            "min.insync.replicas": "2" if settings.replication_factor > 2 else "1",
            "compression.type": "producer",
            "message.timestamp.type": "CreateTime",
        }
        if compacted:
            config |= _COMPACTED
        else:
            config["retention.ms"] = str(settings.retention_hours * HOUR_MS)
            config["retention.bytes"] = "-1"
        new = NewTopic(topic, num_partitions=partitions, replication_factor=settings.replication_factor, config=config)
        self._cluster.create(new)
        # Its leader is known to the broker we asked a moment later.
        deadline = time.monotonic() + _REQUEST_TIMEOUT.total_seconds()
        while self.partitions(topic) != partitions:
            if time.monotonic() > deadline:
                raise Unavailable(f"topic {topic} was created but does not appear")
            time.sleep(0.05)


class _Asking:
    """What an admin client is asked. All raise Unavailable, Invalid."""

    def __init__(self, settings: Kafka) -> None:
        self.admin = Admin(lambda: AdminClient({**client_config(settings), "log_level": 3}))

    def partitions(self, topic: str) -> int | None:
        """How many it has; None only when the cluster says that there is no such topic."""
        # describe_topics asks by name; a metadata request could make the broker create the topic by its defaults.
        try:
            with self.admin.client() as client:
                described = client.describe_topics(TopicCollection([topic]), request_timeout=_REQUEST_TIMEOUT.total_seconds())
                return len(_answer(described[topic], f"topic {topic} could not be described").partitions)
        except _NoSuchTopic:
            return None

    def ends(self, partitions: Sequence[TopicPartition], isolation: Any = None) -> dict[TopicPartition, int]:
        """The offset behind the last record of each."""
        if not partitions:
            return {}
        options = {} if isolation is None else {"isolation_level": isolation}
        with self.admin.client() as client:
            asked = client.list_offsets(dict.fromkeys(partitions, _LATEST), request_timeout=_REQUEST_TIMEOUT.total_seconds(), **options)
            return {at: _answer(future, f"the end of {at.topic} could not be read").offset for at, future in asked.items()}

    def told(self, what: str) -> Any:
        """Topics and brokers. `what`: says in an error that there was no answer."""
        with self.admin.client() as client:
            try:
                return client.list_topics(timeout=_REQUEST_TIMEOUT.total_seconds())
            except KafkaException as exception:
                raise translated(exception, what) from exception

    def create(self, topic: NewTopic) -> None:
        with self.admin.client() as client:
            asked = client.create_topics([topic], request_timeout=_REQUEST_TIMEOUT.total_seconds())
            _answer(asked[topic.topic], f"topic {topic.topic} could not be created")


class _NoSuchTopic(Exception):
    pass


def _answer(future: "Future[Answer]", what: str) -> Answer:
    try:
        return future.result(_REQUEST_TIMEOUT.total_seconds())
    except KafkaException as exception:
        if exception.args[0].code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            raise _NoSuchTopic(what) from exception
        raise translated(exception, what) from exception
    except TimeoutError as error:
        raise Unavailable(f"{what}: no answer") from error
