"""Kafka as the loader uses it: the group that elects a shard's owner, the reader of its partitions, the book of schemas.

Source: librdkafka, CONFIGURATION.md and INTRODUCTION.md ("Static consumer group members", "Read committed").
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any, TypeVar, cast

import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec

from contracts.errors import Corrupt, Fenced, Gone, Invalid, PipelineError, Unavailable
from contracts.table import TableSchema
from loader.core.records import Record, Records
from loader.ports import LogBounds
from runtime.connect.kafka import Admin

Answer = TypeVar("Answer")

SESSION_TIMEOUT = timedelta(seconds=10)
LONGEST_COMMIT = timedelta(minutes=30)
"""Between two polls of the group; a loader that is stuck in one COPY for longer gives its shards away."""

REQUEST_TIMEOUT_SECONDS = 30.0
QUEUE_KIB_MAX = 16 * 1024
SCHEMAS_PARTITION = 0

FOR_EVER_MS = 100 * 365 * 24 * 60 * 60 * 1000  # who sets more, or the largest number there is, means that nothing is deleted
NEW_TOPIC_PATIENCE_SECONDS = 10.0
"""How long a broker may take to hear of a topic others know."""

_LIBRARY_LOG = logging.getLogger("librdkafka")
_GONE = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_ID}
_OUT_OF_RANGE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}
_NOT_ALLOWED = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


class GroupMembership:
    """The loaders' consumer group on `progress`. It reads nothing: its partitions are paused as soon as they are assigned."""

    def __init__(self, config: Mapping[str, Any], *, group: str, progress: str, instance: str | None) -> None:
        """`instance`: this member's lasting name, by which a restart within the session timeout gets its shards back without a rebalance;
        None for a member of passage."""
        settings = {
            **config,
            "group.id": group,
            "partition.assignment.strategy": "roundrobin",
            "session.timeout.ms": _ms(SESSION_TIMEOUT),
            "heartbeat.interval.ms": _ms(SESSION_TIMEOUT) // 4,
            "max.poll.interval.ms": _ms(LONGEST_COMMIT),
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            # How soon a `progress` made after this start is found.
            "topic.metadata.refresh.interval.ms": 10_000,
            "on_commit": self._mirrored,
        }
        if instance is not None:
            settings["group.instance.id"] = instance
        self._progress = progress
        self._instance = instance
        self._assigned: frozenset[int] = frozenset()
        self._log = structlog.get_logger()
        self._consumer = Consumer(settings, logger=_LIBRARY_LOG)
        self._consumer.subscribe([progress], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)

    def poll(self, timeout: timedelta) -> frozenset[int]:
        message = self._consumer.poll(timeout.total_seconds())
        error = message.error() if message is not None else None
        if error is not None:
            self._judge(error)
        return self._assigned

    def mirror(self, shard: int, next_offsets: Mapping[str, int], note: str) -> None:
        places = [TopicPartition(topic, shard if topic == self._progress else 0, offset, note) for topic, offset in next_offsets.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            self._log.debug("mirror.refused", shard=shard, message=str(error))

    def mirrored(self, shard: int) -> str:
        return notes(self._consumer, self._progress, [shard])[shard]

    def close(self) -> None:
        self._consumer.close()

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.assign(partitions)
        consumer.pause(partitions)
        self._assigned = frozenset(place.partition for place in partitions)

    def _revoke(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        consumer.unassign()
        self._assigned = frozenset()

    def _mirrored(self, error: KafkaError | None, _: list[TopicPartition]) -> None:
        if error is not None:
            self._log.debug("mirror.refused", message=error.str())

    def _judge(self, error: KafkaError) -> None:
        # A consumer's only fatal error; it comes under either code.
        if error.code() in (KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL):
            raise Fenced(
                f"another loader has joined the group as {self._instance!r} and this one is out of it: give each its own --instance"
                f" ({error.str()})",
                instance=self._instance,
            )
        if error.code() in _NOT_ALLOWED:
            raise _translated(error, f"consumer group on {self._progress}")
        # Brokers away or not ready, or `progress` not made yet: librdkafka goes on trying.
        self._log.warning("group.waiting", message=error.str())


def notes(consumer: Consumer, progress: str, shards: Iterable[int]) -> dict[int, str]:
    """As Membership.mirrored, by shard. The consumer needs to be in no group but by name."""
    try:
        found = consumer.committed([TopicPartition(progress, shard) for shard in shards], timeout=REQUEST_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise _translated(error.args[0], f"offsets committed for {progress}") from error
    return {place.partition: place.metadata or "" for place in found}


class PartitionReader:
    """A consumer that never joins a group: read_committed, from offsets it is given, bounded in bytes."""

    def __init__(self, config: Mapping[str, Any], *, group: str, progress: str, shard: int, message_bytes_max: int) -> None:
        """`group` is only a name here; nothing is committed under it. Reads partition `shard` of `progress` and 0 of every other."""
        self._progress = progress
        self._shard = shard
        self._positions: dict[str, int] = {}
        self._held: frozenset[str] = frozenset()
        self._log = structlog.get_logger()
        self._admin = Admin(lambda: AdminClient(dict(config), logger=_LIBRARY_LOG))
        self._consumer = Consumer(
            {
                **config,
                "group.id": group,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # End-of-partition events tell how far the reader is past control records and aborted transactions.
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                "fetch.queue.backoff.ms": 2,
                "queued.max.messages.kbytes": QUEUE_KIB_MAX,
                "fetch.message.max.bytes": max(1024 * 1024, message_bytes_max),
                "fetch.max.bytes": max(QUEUE_KIB_MAX * 1024, message_bytes_max),
            },
            logger=_LIBRARY_LOG,
        )

    def seek(self, next_offsets: Mapping[str, int]) -> None:
        if self._held:
            self._consumer.resume([self._place(topic) for topic in self._held])
            self._held = frozenset()
        self._positions = dict(next_offsets)
        self._consumer.assign([self._place(topic, offset) for topic, offset in next_offsets.items()])

    def add(self, topic: str, next_offset: int) -> None:
        self._positions[topic] = next_offset
        self._consumer.incremental_assign([self._place(topic, next_offset)])

    def hold(self, topics: frozenset[str]) -> None:
        if paused := topics - self._held:
            self._consumer.pause([self._place(topic) for topic in paused])
        if resumed := self._held - topics:
            self._consumer.resume([self._place(topic) for topic in resumed])
        self._held = topics

    def poll(self, records_max: int, timeout: timedelta) -> list[Records]:
        """As soon as there is something, all of it that is here. After any error the caller seeks again: records that came together with
        the error are lost with it."""
        first = self._messages(1, timeout.total_seconds())
        return self._records(first + self._messages(records_max - 1, 0)) if first else []

    def position(self, topic: str) -> int:
        return self._positions[topic]

    def bounds(self, topic: str) -> LogBounds:
        return self._patiently(f"offsets of {topic}", lambda: self._bounds(self._place(topic)))

    def retention(self, topics: Collection[str]) -> timedelta | None:
        kept: list[int] = []
        with self._admin.client() as admin:
            asked = admin.describe_configs(
                [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics], request_timeout=REQUEST_TIMEOUT_SECONDS
            )
            for resource, future in asked.items():
                try:
                    found = future.result()
                except KafkaException as error:
                    failure = _translated(error.args[0], f"settings of {resource.name}")
                    if isinstance(failure, Unavailable):
                        raise failure from error
                    self._log.debug("retention.unknown", topic=resource.name, message=failure.message)
                else:
                    kept.append(int(found["retention.ms"].value))
        ends = [ms for ms in kept if 0 <= ms < FOR_EVER_MS]
        return timedelta(milliseconds=min(ends)) if ends else None

    def topic_id(self, topic: str) -> str:
        return self._patiently(f"topic {topic}", lambda: self._topic_id(topic))

    def _bounds(self, place: TopicPartition) -> LogBounds:
        # With read_committed the high watermark the broker answers with is the last stable offset.
        low, stable_end = self._consumer.get_watermark_offsets(place, timeout=REQUEST_TIMEOUT_SECONDS, cached=False)
        with self._admin.client() as admin:
            asked = admin.list_offsets(
                {place: OffsetSpec.latest()},  # type: ignore[no-untyped-call]  # the library left it without types
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=REQUEST_TIMEOUT_SECONDS,
            )
            return LogBounds(low, stable_end, asked[place].result().offset)

    def _topic_id(self, topic: str) -> str:
        with self._admin.client() as admin:
            asked = admin.describe_topics(TopicCollection([topic]), request_timeout=REQUEST_TIMEOUT_SECONDS)
            return str(asked[topic].result().topic_id)

    def _patiently(self, what: str, ask: Callable[[], Answer]) -> Answer:
        """Raises Gone only when the topic stays unknown: one just made is known to its own brokers first."""
        deadline = time.monotonic() + NEW_TOPIC_PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except KafkaException as error:
                failure = _translated(error.args[0], what)
                if not isinstance(failure, Gone) or time.monotonic() > deadline:
                    raise failure from error
            time.sleep(0.2)

    def close(self) -> None:
        self._consumer.close()

    def _place(self, topic: str, offset: int | None = None) -> TopicPartition:
        partition = self._shard if topic == self._progress else 0
        return TopicPartition(topic, partition) if offset is None else TopicPartition(topic, partition, offset)

    def _messages(self, count: int, timeout_seconds: float) -> list[Message]:
        try:
            return self._consumer.consume(count, timeout_seconds)
        except KafkaException as error:
            raise _translated(error.args[0], "reading") from error

    def _records(self, messages: Sequence[Message]) -> list[Records]:
        errors = list(map(Message.error, messages))
        if any(errors):
            for message, error in zip(messages, errors, strict=True):
                if error is not None:
                    self._judge(message, error)
            messages = [message for message, error in zip(messages, errors, strict=True) if error is None]
        out: dict[str, Records] = {}
        # Whole lists at a time: a call a message would cost more than its row.
        for topic, of_topic in groupby(messages, Message.topic):
            some = list(of_topic)
            found = out.setdefault(topic or "", Records(topic or "", [], [], []))
            found.offsets.extend(cast(Iterable[int], map(Message.offset, some)))  # a message without an error has one
            found.keys.extend(map(Message.key, some))
            found.values.extend(map(Message.value, some))
        for records in out.values():
            self._positions[records.topic] = records.offsets[-1] + 1
        return list(out.values())

    def _judge(self, message: Message, error: KafkaError) -> None:
        topic, offset = message.topic(), message.offset()
        if error.code() == KafkaError._PARTITION_EOF and topic is not None and offset is not None:
            self._positions[topic] = max(self._positions[topic], offset)
        elif error.code() in _OUT_OF_RANGE:
            raise Gone(f"{topic}: offset {self._positions.get(topic or '')} no longer exists: {error.str()}", topic=topic)
        elif not error.retriable() and error.code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
            raise _translated(error, f"reading {topic}")


class SchemaReader:
    """The topic `schemas`, read on whenever a fingerprint is not known yet."""

    def __init__(self, config: Mapping[str, Any], *, group: str, topic: str, message_bytes_max: int) -> None:
        self._topic = topic
        self._reader = PartitionReader(config, group=group, progress=topic, shard=SCHEMAS_PARTITION, message_bytes_max=message_bytes_max)
        self._known: dict[str, TableSchema] = {}
        self._newest: dict[str, str] = {}  # fingerprint by row topic
        self._begun = False
        self._reading = threading.Lock()

    def find(self, topic: str, fingerprint: str) -> TableSchema:
        if fingerprint not in self._known:
            self._read_on(fingerprint)
        if fingerprint not in self._known:
            raise Corrupt(
                f"a row of {topic} names schema {fingerprint}, which {self._topic} does not hold", topic=topic, fingerprint=fingerprint
            )
        return self._known[fingerprint]

    def newest(self, topic: str) -> TableSchema:
        if topic not in self._newest:
            self._read_on("")
        if topic not in self._newest:
            raise Corrupt(f"{topic} holds a TRUNCATE, but {self._topic} no schema of it", topic=topic)
        return self._known[self._newest[topic]]

    def _read_on(self, wanted: str) -> None:
        # The loop asks for what it reads, and the worker for what was loaded before.
        with self._reading:
            self._read_up_to(wanted)

    def _read_up_to(self, wanted: str) -> None:
        # To the end, not the last stable offset: a row's partition can be ahead of this one in hearing of its transaction's commit.
        bounds = self._reader.bounds(self._topic)
        if not self._begun:
            self._reader.seek({self._topic: bounds.low})
            self._begun = True
        deadline = time.monotonic() + REQUEST_TIMEOUT_SECONDS
        try:
            while wanted not in self._known and self._reader.position(self._topic) < bounds.end:
                for records in self._reader.poll(1000, timedelta(milliseconds=200)):
                    for record in records:
                        self._learn(record)
                if time.monotonic() > deadline:
                    raise Unavailable(f"{self._topic} could not be read up to offset {bounds.end} in {REQUEST_TIMEOUT_SECONDS:.0f} s")
        except PipelineError:
            # What came together with the error is lost with it: from the beginning next time.
            self._begun = False
            raise

    def _learn(self, record: Record) -> None:
        if record.value is None:
            return
        try:
            schema = TableSchema.decode(record.value)
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"{self._topic} at offset {record.offset}: {error}", topic=self._topic, offset=record.offset) from error
        self._known[schema.fingerprint] = schema
        if record.key is not None:
            self._newest[record.key.decode("utf-8", "replace").rpartition("/")[0]] = schema.fingerprint

    def close(self) -> None:
        self._reader.close()


def _translated(error: KafkaError, what: str) -> PipelineError:
    text = f"Kafka, {what}: {error.str()}"
    if error.code() in _GONE:
        return Gone(
            f"{text}. The topic is not there: streamer snapshot -t TABLE --resync makes it again, then loader adopt-topic -t TABLE --yes",
            fault="topic_missing",
            code=error.name(),
        )
    if error.code() in _OUT_OF_RANGE:
        return Gone(text, code=error.name())
    if error.code() in _NOT_ALLOWED:
        return Invalid(text, code=error.name())
    return Unavailable(text, code=error.name())


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
