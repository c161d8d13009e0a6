"""Kafka: the transactional producer, the position it left, and the pipeline's topics.

librdkafka speaks the transaction protocol without KIP-890, in which an EndTxn that arrives late can end the *next* transaction. So whatever
makes one doubtful (an error without a clear answer, a retry, a timeout, a new connection to the coordinator) ends in a new producer.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, TypeVar

import orjson
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from contracts.errors import Corrupt, Fenced, Invalid, OutcomeUnknown, PipelineError, Refused, Unavailable
from contracts.progress import Position, decode_next_seq
from contracts.topics import Topics
from runtime.connect.kafka import client_config
from runtime.sections import Kafka
from streamer.ports import Message

Answer = TypeVar("Answer")

RECORD_OVERHEAD_BYTES = 1 << 20  # of a batch around one row, generously
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # its library's omission
_REQUEST_TIMEOUT = timedelta(seconds=20)
_STATS_INTERVAL_MS = 500
_POLL_EVERY = 500  # messages
_QUEUE_KBYTES_MAX = 2_097_151  # librdkafka's own limit

_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
_REFUSED = {
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "grant WRITE and DESCRIBE on this transactional id",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant WRITE and DESCRIBE on the pipeline's topics",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "grant CREATE on the pipeline's topics",
    KafkaError.INVALID_TRANSACTION_TIMEOUT: "lower kafka.transaction_timeout_seconds to the broker's transaction.max.timeout.ms",
    KafkaError._AUTHENTICATION: "correct kafka.sasl_username and kafka.sasl_password",
    KafkaError.SASL_AUTHENTICATION_FAILED: "correct kafka.sasl_username and kafka.sasl_password",
    KafkaError.INVALID_REPLICATION_FACTOR: "set kafka.replication_factor to at most the number of brokers",
    KafkaError.POLICY_VIOLATION: "the cluster's topic policy forbids what the pipeline's topics need",
}


def transactional_id(topics: Topics) -> str:
    return f"tidemark-{topics.prefix}"


class KafkaSink:
    """An EnvelopeSink. Its queue holds at most `queue_bytes_max`."""

    def __init__(self, settings: Kafka, topics: Topics, queue_bytes_max: int) -> None:
        self._id = transactional_id(topics)
        self._timeout = timedelta(seconds=settings.transaction_timeout_seconds)
        self._config = {
            **client_config(settings),
            "transactional.id": self._id,
            "transaction.timeout.ms": int(settings.transaction_timeout_seconds * 1000),
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 5,  # a commit flushes at once; this fills batches in between
            "batch.size": 1 << 20,
            "message.max.bytes": settings.message_bytes_max + RECORD_OVERHEAD_BYTES,
            "queue.buffering.max.kbytes": min(max(queue_bytes_max // 1024, 1024), _QUEUE_KBYTES_MAX),
            "queue.buffering.max.messages": 2_000_000,
            "statistics.interval.ms": _STATS_INTERVAL_MS,
            "delivery.report.only.error": True,
            "log_level": 3,
        }
        self._producer: Any = None
        self._sent = 0
        self._forget()

    def _forget(self) -> None:
        self._failed: KafkaError | None = None  # the first failed delivery
        self._doubt = False
        self._initialised = False
        self._counters: tuple[int, ...] | None = None

    def init(self) -> None:
        if self._producer is None or self._initialised:
            self.recycle()
        try:
            self._producer.init_transactions(self._timeout.total_seconds())
        except KafkaException as exception:
            raise _translated(exception, f"the transactional producer {self._id} could not start") from exception
        self._producer.poll(0)
        # What happened while the coordinator was being found is no sign of doubt.
        self._doubt = False
        self._counters = None
        self._initialised = True

    def begin(self) -> None:
        try:
            self._producer.begin_transaction()
        except KafkaException as exception:
            raise _translated(exception, "a Kafka transaction could not begin") from exception

    def send(self, message: Message) -> None:
        deadline = time.monotonic() + self._timeout.total_seconds()
        while True:
            try:
                self._producer.produce(message.topic, message.value, message.key, message.partition)
                break
            except BufferError:
                self._producer.poll(0.05)
                if time.monotonic() > deadline:
                    raise Unavailable(f"Kafka took nothing for {self._timeout.total_seconds():.0f} s while the queue was full") from None
            except KafkaException as exception:
                if exception.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise self._too_large(message.topic) from exception
                raise self._failure(exception, f"a record of {message.topic} could not be queued") from exception
        self._sent += 1
        if self._sent % _POLL_EVERY == 0:
            self._producer.poll(0)

    def commit(self) -> None:
        deadline = time.monotonic() + self._timeout.total_seconds()
        while True:
            left = max(deadline - time.monotonic(), 0.1)
            try:
                self._producer.commit_transaction(left)
                break
            except KafkaException as exception:
                self._doubt = True
                error = exception.args[0]
                if error.retriable() and time.monotonic() < deadline:
                    continue  # the same commit, to a definite result
                if self._failed is not None:
                    raise self._failure(exception, "the Kafka transaction was not committed") from exception
                if error.code() in _FENCED:
                    raise _translated(exception, "the Kafka transaction was not committed") from exception
                raise OutcomeUnknown(f"whether Kafka committed the transaction is not known: {error.str()}") from exception
        self._producer.poll(0)

    def abort(self) -> None:
        if self._producer is None:
            return
        try:
            self._producer.purge(blocking=False)
            self._producer.abort_transaction(5)
        except (KafkaException, BufferError):
            self._doubt = True  # the next init aborts it

    def recycle(self) -> None:
        self.close()
        self._forget()
        self._producer = Producer(
            {**self._config, "stats_cb": self._on_stats, "error_cb": self._on_error, "on_delivery": self._on_delivery}
        )

    def unsettled(self) -> bool:
        self._producer.poll(0)
        return self._doubt

    def close(self) -> None:
        """Drops what is queued. An open transaction is left to the next init: sending an abort now could meet an unanswered commit."""
        if self._producer is None:
            return
        self._producer.purge(blocking=False)
        self._producer = None

    def _failure(self, exception: KafkaException, what: str) -> PipelineError:
        failed = self._failed
        if failed is not None and failed.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return self._too_large("a topic of this pipeline")
        return _translated(KafkaException(failed) if failed is not None else exception, what)

    def _too_large(self, topic: str) -> Corrupt:
        return Corrupt(
            f"a record of {topic} is larger than Kafka takes; make max.message.bytes of the topic at least kafka.message_bytes_max "
            f"+ {RECORD_OVERHEAD_BYTES} bytes"
        )

    def _on_delivery(self, error: KafkaError | None, _message: object) -> None:
        if error is not None and self._failed is None and error.code() not in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):
            self._failed = error

    def _on_error(self, _error: KafkaError) -> None:
        # Lost connections and timed-out requests arrive here before a commit that met them returns; the statistics come later.
        self._doubt = True

    def _on_stats(self, text: str) -> None:
        if not self._initialised:
            return
        counters = coordinator_counters(text)
        if self._counters is not None and counters != self._counters:
            self._doubt = True
        self._counters = counters


def coordinator_counters(statistics: str) -> tuple[int, ...]:
    """What moves only when something went amiss with the transaction coordinator: connects, retries, timeouts.
    Source: librdkafka, STATISTICS.md; the coordinator is the logical broker "TxnCoordinator"."""
    broker = orjson.loads(statistics).get("brokers", {}).get("TxnCoordinator", {})
    return tuple(int(broker.get(name, 0)) for name in ("connects", "disconnects", "txretries", "req_timeouts"))


class KafkaPositions:
    """A PositionStore."""

    def __init__(self, settings: Kafka, topics: Topics) -> None:
        self._settings = settings
        self._topic = topics.position
        self._group = f"{transactional_id(topics)}-position"
        self._admin: AdminClient | None = None

    def read(self) -> Position | None:
        # Uncommitted: the end must not hide behind a transaction that is still open.
        return self._read(IsolationLevel.READ_UNCOMMITTED)

    def peek(self) -> Position | None:
        """What is committed at this moment, without waiting for what a running streamer has open. Raises as `read`."""
        return self._read(IsolationLevel.READ_COMMITTED)

    def _read(self, isolation: IsolationLevel) -> Position | None:
        partition = TopicPartition(self._topic, 0)
        if self._admin is None:
            self._admin = AdminClient({**client_config(self._settings), "log_level": 3})
        if _partition_count(self._admin, self._topic) is None:
            return None
        asked = {partition: _LATEST}
        ends = self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=_REQUEST_TIMEOUT.total_seconds())
        end = _answer(ends[partition], f"the end of {self._topic} could not be read").offset
        records = self._records(end)
        next_seqs = {key.decode(): decode_next_seq(value) for key, value in records.items() if key != Position.KEY}
        if Position.KEY not in records:
            if next_seqs:
                raise Corrupt(f"{self._topic} holds next seqs but no position; has someone deleted records of it?")
            return None
        try:
            return Position.decode(records[Position.KEY], next_seqs)
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
            raise _translated(exception, f"{self._topic} could not be read") from exception
        finally:
            consumer.close()


class KafkaTopics:
    """A TopicAdmin. Topics are made with everything the pipeline depends on; no broker default is trusted but the timestamp type."""

    def __init__(self, settings: Kafka, topics: Topics) -> None:
        self._settings = settings
        self._topics = topics
        self._admin = AdminClient({**client_config(settings), "log_level": 3})

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

    def row_topics(self) -> Sequence[str]:
        own = {self._topics.progress, self._topics.position, self._topics.schemas, f"{self._topics.prefix}.signals"}
        try:
            known = self._admin.list_topics(timeout=_REQUEST_TIMEOUT.total_seconds()).topics
        except KafkaException as exception:
            raise _translated(exception, "Kafka's topics could not be listed") from exception
        prefix = f"{self._topics.prefix}."
        partitions = {
            TopicPartition(name, number): _LATEST
            for name, topic in known.items()
            if name.startswith(prefix) and name not in own
            for number in topic.partitions
        }
        if not partitions:
            return []
        ends = self._admin.list_offsets(partitions, request_timeout=_REQUEST_TIMEOUT.total_seconds())
        return sorted({at.topic for at, future in ends.items() if _answer(future, f"the end of {at.topic} could not be read").offset > 0})

    def brokers(self) -> int:
        """How many brokers answer for this cluster. Raises Unavailable, Invalid."""
        try:
            return len(self._admin.list_topics(timeout=_REQUEST_TIMEOUT.total_seconds()).brokers)
        except KafkaException as exception:
            raise _translated(exception, "Kafka does not answer") from exception

    def partitions(self, topic: str) -> int | None:
        """None when there is no such topic. Raises Unavailable, Invalid."""
        return _partition_count(self._admin, topic)

    def _create(self, topic: str, partitions: int, compacted: bool) -> None:
        settings = self._settings
        config = {
            "cleanup.policy": "compact" if compacted else "delete",
            "max.message.bytes": str(settings.message_bytes_max + RECORD_OVERHEAD_BYTES),
            "min.insync.replicas": "2" if settings.replication_factor > 2 else "1",
            "compression.type": "producer",
            "message.timestamp.type": "CreateTime",
        }
        if not compacted:
            config["retention.ms"] = str(settings.retention_hours * 3_600_000)
            config["retention.bytes"] = "-1"
        new = NewTopic(topic, num_partitions=partitions, replication_factor=settings.replication_factor, config=config)
        future = self._admin.create_topics([new], request_timeout=_REQUEST_TIMEOUT.total_seconds())[topic]
        _answer(future, f"topic {topic} could not be created")
        # Its leader is known to the broker we asked a moment later.
        deadline = time.monotonic() + _REQUEST_TIMEOUT.total_seconds()
        while self.partitions(topic) != partitions:
            if time.monotonic() > deadline:
                raise Unavailable(f"topic {topic} was created but does not appear")
            time.sleep(0.05)


def _partition_count(admin: Any, topic: str) -> int | None:
    """None only when the cluster says that there is no such topic."""
    # describe_topics asks by name; a metadata request could make the broker create the topic by its defaults.
    try:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=_REQUEST_TIMEOUT.total_seconds())
        return len(_answer(described[topic], f"topic {topic} could not be described").partitions)
    except _NoSuchTopic:
        return None


class _NoSuchTopic(Exception):
    pass


def _answer(future: "Future[Answer]", what: str) -> Answer:
    try:
        return future.result(_REQUEST_TIMEOUT.total_seconds())
    except KafkaException as exception:
        if exception.args[0].code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            raise _NoSuchTopic(what) from exception
        raise _translated(exception, what) from exception
    except TimeoutError as error:
        raise Unavailable(f"{what}: no answer") from error


def _translated(exception: KafkaException, what: str) -> PipelineError:
    error: KafkaError = exception.args[0]
    kind: Callable[..., PipelineError] = Unavailable
    advice = ""
    if error.code() in _FENCED:
        kind, advice = Fenced, "; another streamer of this pipeline has taken over"
    elif error.code() in _REFUSED:
        kind, advice = Invalid, f"; {_REFUSED[error.code()]}"
    return kind(f"{what}: {error.str()}{advice}", code=error.name())
