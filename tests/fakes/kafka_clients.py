"""The services' Kafka ports over the fake broker."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from contracts.errors import Corrupt, Fenced, Gone, OutcomeUnknown, PipelineError, Unavailable
from contracts.progress import Position
from contracts.table import TableSchema
from loader.core.records import Record
from loader.core.records import Records as RecordsRead
from loader.ports import LogBounds
from streamer.core.decoder import Records
from streamer.ports import Message
from tests.fakes.broker import Broker, Group, checked_partitions, latest_by_key
from tests.fakes.faults import Gate


class FakeMembership:
    """A member of the loaders' group. `incarnation` counts the processes under this name."""

    def __init__(self, broker: Broker, group: Group, gate: Gate, member: str, incarnation: int = 0) -> None:
        self.broker = broker
        self.group = group
        self.gate = gate
        self.member = member
        self.incarnation = incarnation

    def poll(self, timeout: timedelta) -> frozenset[int]:
        if timeout:
            self.gate.wait("loader.poll_group", lambda: bool(self.group.assignment(self.member)), timeout)
        return self.gate.cross("loader.poll_group", lambda: self.group.poll(self.member, self.incarnation, self.gate.time.now()), None)

    def mirror(self, shard: int, next_offsets: Mapping[str, int], note: str) -> None:
        def commit() -> None:
            for topic, offset in next_offsets.items():
                partition = shard if topic.endswith(".progress") else 0
                self.group.offsets[topic, partition] = (offset, note)

        with suppress(PipelineError):  # best effort
            self.gate.cross("loader.mirror", commit)

    def mirrored(self, shard: int) -> str:
        return next(
            (note for (topic, number), (_, note) in self.group.offsets.items() if topic.endswith(".progress") and number == shard), ""
        )

    def close(self) -> None:
        """Static members do not leave: their partitions stay theirs for the session timeout."""


@dataclass
class _Reading:
    offset: int
    topic_id: str


class FakeShardLog:
    """A reader of one shard's partitions. How much of the log each poll shows is up to the gate's dice: partitions move apart."""

    def __init__(self, broker: Broker, gate: Gate, progress: str, shard: int) -> None:
        self.broker = broker
        self.gate = gate
        self.progress = progress
        self.shard = shard
        self.reading: dict[str, _Reading] = {}
        self.held: frozenset[str] = frozenset()

    def _number(self, topic: str) -> int:
        return self.shard if topic == self.progress else 0

    def seek(self, next_offsets: Mapping[str, int]) -> None:
        def seek() -> None:
            self.reading = {topic: _Reading(offset, self.broker.topic(topic).topic_id) for topic, offset in next_offsets.items()}
            self.held = frozenset()

        self.gate.cross("loader.seek", seek, None)

    def add(self, topic: str, next_offset: int) -> None:
        self.reading[topic] = _Reading(next_offset, self.broker.topic(topic).topic_id)

    def hold(self, topics: frozenset[str]) -> None:
        self.held = topics

    def poll(self, records_max: int, timeout: timedelta) -> list[RecordsRead]:
        self.gate.wait("loader.poll", self._has_news, timeout)
        found: list[RecordsRead] = []
        left = records_max
        topics = [topic for topic in self.reading if topic not in self.held]
        self.gate.rng.shuffle(topics)
        for topic in topics:
            reading, log = self.reading[topic], self.broker.partition(topic, self._number(topic))
            if not log.low <= reading.offset <= log.end:
                raise Gone(f"offset {reading.offset} of {topic} is not kept any more (oldest: {log.low})", topic=topic)
            some: list[Record] = []
            share = self.gate.rng.randint(0, left)
            while share and reading.offset < log.stable_end:
                entry = log.entries[reading.offset]
                if log.delivers(reading.offset):
                    some.append(Record(topic, reading.offset, entry.key, entry.value))
                    share -= 1
                reading.offset += 1
            while share and reading.offset < log.stable_end and not log.delivers(reading.offset):
                reading.offset += 1
            if some:
                found.append(RecordsRead.of(*some))
                left -= len(some)
        return found

    def _has_news(self) -> bool:
        topics, held = self.broker.topics, self.held
        for topic, reading in self.reading.items():
            if topic not in held and topic in topics:
                number = self.shard if topic == self.progress else 0
                if topics[topic].partitions[number].stable_end > reading.offset:
                    return True
        return False

    def position(self, topic: str) -> int:
        return self.reading[topic].offset

    def retention(self, topics: Collection[str]) -> timedelta | None:
        return None

    def bounds(self, topic: str) -> LogBounds:
        def ask() -> LogBounds:
            log = self.broker.partition(topic, self._number(topic))
            return LogBounds(log.low, log.stable_end, log.end)

        return self.gate.cross("loader.bounds", ask)

    def topic_id(self, topic: str) -> str:
        return self.gate.cross("loader.topic_id", lambda: self.broker.topic(topic).topic_id)

    def close(self) -> None:
        self.reading = {}


class FakeSchemaBook:
    """Table schemas by fingerprint, as the topic `schemas` holds them."""

    def __init__(self, broker: Broker, gate: Gate, topic: str) -> None:
        self.broker = broker
        self.gate = gate
        self.topic = topic
        self.known: dict[str, TableSchema] = {}
        self.of_topic: dict[str, TableSchema] = {}

    def find(self, topic: str, fingerprint: str) -> TableSchema:
        if fingerprint not in self.known:
            self._read()
        if fingerprint not in self.known:
            raise Corrupt(f"schema {fingerprint} of {topic} is not in {self.topic}", topic=topic)
        return self.known[fingerprint]

    def newest(self, topic: str) -> TableSchema:
        if topic not in self.of_topic:
            self._read()
        if topic not in self.of_topic:
            raise Corrupt(f"there is no schema of {topic} in {self.topic}", topic=topic)
        return self.of_topic[topic]

    def _read(self) -> None:
        log = self.broker.partition(self.topic)
        end = self.gate.cross("loader.find", lambda: log.end)
        # A row's partition can hear of its transaction's commit before this one does.
        if not self.gate.wait("loader.find", lambda: log.stable_end >= end, timedelta(seconds=10)):
            raise Unavailable(f"{self.topic} could not be read up to offset {end}")
        for _, entry in log.committed():
            if entry.value is not None:
                schema = TableSchema.decode(entry.value)
                self.known[schema.fingerprint] = schema
                if entry.key is not None:
                    self.of_topic[entry.key.decode().rpartition("/")[0]] = schema


class FakeSink:
    """The streamer's transactional producer. A COMMIT whose answer does not come may be on its way still."""

    def __init__(self, broker: Broker, gate: Gate, transactional_id: str) -> None:
        self.broker = broker
        self.gate = gate
        self.transactional_id = transactional_id
        self.epoch = -1
        self._unsettled = False

    def init(self) -> None:
        # The epoch is known by the answer: a request that is acted on late fences whoever sent it, too.
        self.epoch = self.gate.cross("streamer.init", lambda: self.broker.init(self.transactional_id))
        self._unsettled = False

    def begin(self) -> None:
        """Nothing reaches the broker before the first record."""

    def send(self, message: Message) -> None:
        def send() -> None:
            self.broker.send(self.transactional_id, self.epoch, message.topic, message.partition, message.key, message.value)

        self.gate.cross("streamer.send", send, None)

    def send_rows(self, rows: Records) -> None:
        for record in rows.records:
            self.send(Message(rows.topic, record["key"], record["value"] or b""))

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        epoch = self.epoch

        def end() -> None:
            self.broker.end(self.transactional_id, epoch, commit=True)

        def commit() -> None:
            if self.gate.rng.random() < self.repeats:
                self._unsettled = True  # the client had to ask twice; its first request is on the way still
                self.gate.later(end)
            end()

        while meanwhile is not None and meanwhile():
            pass
        try:
            self.gate.cross("streamer.commit", commit, OutcomeUnknown)
        except OutcomeUnknown:
            self._unsettled = True
            raise

    repeats = 0.0
    """How often an EndTxn is asked twice."""

    def abort(self) -> None:
        epoch = self.epoch

        def abort() -> None:
            with suppress(Fenced):  # best effort
                self.broker.end(self.transactional_id, epoch, commit=False)

        try:
            self.gate.cross("streamer.abort", abort, OutcomeUnknown)
        except OutcomeUnknown:
            self._unsettled = True

    def recycle(self) -> None:
        """The new producer knows its epoch only after `init`."""
        self.epoch = -1

    def unsettled(self) -> bool:
        return self._unsettled

    def close(self) -> None:
        """What is open stays open until the next init."""


class FakePositionStore:
    """Reads `position` to the end it has at the moment."""

    def __init__(self, broker: Broker, gate: Gate, topic: str) -> None:
        self.broker = broker
        self.gate = gate
        self.topic = topic

    def read(self) -> Position | None:
        if self.topic not in self.broker.topics:
            return None
        log = self.broker.partition(self.topic)
        end = log.end
        # A marker may not have reached this partition yet; what is below it is unread until it has.
        if not self.gate.wait("streamer.read", lambda: log.stable_end >= end, timedelta(seconds=60)):
            raise Unavailable(f"{self.topic}: a transaction is open below offset {end}")
        return Position.decode({key: value for key, value in latest_by_key(log).items() if value is not None})


class FakeSignals:
    """A SignalLog over the topic `signals`."""

    def __init__(self, broker: Broker, gate: Gate, topic: str) -> None:
        self.broker = broker
        self.gate = gate
        self.topic = topic

    def hear(self, offset: int) -> Sequence[tuple[int, bytes]]:
        partition = self.broker.partition(self.topic) if self.topic in self.broker.topics else None
        found = partition.committed() if partition is not None else ()
        first = offset if partition is None or offset <= partition.end else 0  # auto.offset.reset: earliest
        heard = [(at, entry.value or b"") for at, entry in found if at >= first]
        return self.gate.cross("streamer.hear", lambda: heard)

    def close(self) -> None:
        """Nothing is held."""


class FakeTopicAdmin:
    def __init__(self, broker: Broker, gate: Gate, prefix: str) -> None:
        self.broker = broker
        self.gate = gate
        self.prefix = prefix
        self.kept: set[str] = set()  # nothing expires here by a setting

    def ensure(self, topic: str, *, partitions: int, compacted: bool) -> None:
        def ensure() -> None:
            found = self.broker.topics.get(topic)
            if found is None:
                self.broker.create(topic, partitions, compacted=compacted)
            else:
                checked_partitions(found, partitions)

        self.gate.cross("streamer.ensure", ensure)

    def keep(self, topics: Collection[str]) -> None:
        self.kept = set(topics)

    def row_topics(self) -> Sequence[str]:
        own = {f"{self.prefix}.{name}" for name in ("progress", "position", "schemas", "signals")}
        row_topics = [name for name in sorted(self.broker.topics) if name.startswith(f"{self.prefix}.") and name not in own]
        return [name for name in row_topics if self.broker.partition(name).end > 0]
