"""What is committed on Kafka, counted by a reader of its own, and held against the ledger."""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable

import orjson
from confluent_kafka import Consumer, TopicPartition

Entry = tuple[str, int, int, int]
"""Of the ledger: topic, start, end, records."""
_QUIET_S = 10
"""Who hears nothing for so long will hear nothing more."""


class Records:
    """Of each topic the offsets that hold a record, once read. Says what is wrong as text."""

    def __init__(self, bootstrap_servers: str, group: str) -> None:
        """`group`: the loaders', of which only the committed offsets are asked for."""
        self._settings = {"bootstrap.servers": bootstrap_servers, "isolation.level": "read_committed", "enable.auto.commit": False}
        self._group = group
        self._offsets: dict[str, array[int]] = {}
        self._next: dict[str, int] = {}
        self._seqs: dict[str, int] = {}
        self._entered: dict[str, int] = {}
        self._audited: dict[str, int] = {}

    def mirrored(self, topics: Collection[str]) -> dict[str, int]:
        """The group's committed offset of each topic that has one."""
        consumer = Consumer({**self._settings, "group.id": self._group, "log_level": 0})
        try:
            held = consumer.committed([TopicPartition(topic, 0) for topic in topics], timeout=30)
        finally:
            consumer.close()
        return {place.topic: place.offset for place in held if place.offset >= 0}

    def read_on(self, topics: Collection[str]) -> list[str]:
        """Reads every topic to its end, and returns where a seq doesn't follow the one before it."""
        wrong: list[str] = []
        consumer = Consumer({**self._settings, "group.id": "tidemark-chaos", "log_level": 0})
        try:
            places = [TopicPartition(topic, 0, self._next.get(topic, 0)) for topic in topics]
            ends = {place.topic: consumer.get_watermark_offsets(place, timeout=30)[1] for place in places}
            consumer.assign(places)
            while any(place.offset < ends[place.topic] for place in _positions(consumer, places)):
                messages = consumer.consume(5_000, _QUIET_S)
                assert messages, f"topics can't be read to their ends {ends}: {_positions(consumer, places)}"
                for message in messages:
                    assert not message.error(), message.error()
                    wrong += self.add(str(message.topic()), int(message.offset() or 0), message.value() or b"")
            self._next = {place.topic: place.offset for place in _positions(consumer, places)}
        finally:
            consumer.close()
        return wrong

    def add(self, topic: str, offset: int, value: bytes) -> list[str]:
        """One record more, an envelope; says so when its seq doesn't follow."""
        self._offsets.setdefault(topic, array("q")).append(offset)
        seq, wanted = orjson.loads(value)["source"]["seq"], self._seqs.get(topic, 0)
        self._seqs[topic] = seq + 1
        return [] if seq == wanted else [f"{topic} offset {offset}: seq {seq}, not {wanted}"]

    def audit(self, entries: Iterable[Entry]) -> list[str]:
        """Of the whole ledger, by topic and start, what is new since the last time: each entry begins where the one before it ended, says
        how many records it holds, and none is left out."""
        wrong: list[str] = []
        for topic, start, end, records in entries:
            if end <= self._audited.get(topic, 0):
                continue
            offsets, entered = self._offsets.get(topic, array("q")), self._entered.get(topic, 0)
            first, behind = bisect_left(offsets, start), bisect_left(offsets, end)
            if first != entered:
                wrong.append(f"{topic}: {first - entered} records lie before offset {start} and in no entry, or in two")
            if behind - first != records:
                wrong.append(f"{topic}: {behind - first} records from {start} to {end}, the ledger says {records}")
            self._entered[topic], self._audited[topic] = behind, end
        return wrong

    @property
    def unentered(self) -> int:
        """Records that no entry holds."""
        return sum(len(offsets) - self._entered.get(topic, 0) for topic, offsets in self._offsets.items())

    @property
    def count(self) -> int:
        return sum(map(len, self._offsets.values()))


def _positions(consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    """With where reading began instead of a position nobody has yet."""
    began = {place.topic: place.offset for place in places}
    return [
        TopicPartition(place.topic, 0, place.offset if place.offset >= 0 else began[place.topic])
        for place in consumer.position([TopicPartition(place.topic, 0) for place in places])
    ]
