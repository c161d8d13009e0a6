"""What is on Kafka, for those who judge what became of it: read from the broker's log, and by nothing of the code under test."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from contracts.position import Gtid
from contracts.progress import Barrier, Position
from contracts.topics import Topics
from loader.core.plan import Mode
from loader.core.target import DELETED
from tests.fakes.broker import Broker, Topic, latest_by_key
from tests.simulation.encoder import OP, SEQ

Canonical = tuple[tuple[str, Any], ...]


def canonical(row: Any) -> Canonical:
    """A row for comparison: a column that is NULL is as good as one that is not there yet."""
    return tuple(sorted((name, value) for name, value in row.items() if value is not None))


@dataclass(frozen=True, slots=True)
class Published:
    """A committed record of a row topic. `gtid`: None of what the stream did not have from the binlog."""

    topic_id: str
    offset: int
    seq: int
    gtid: Gtid | None
    op: str
    key: int | None
    row: Canonical

    @property
    def read(self) -> bool:
        """Whether it tells of a row that was looked for, or of none that was found."""
        return self.gtid is None and self.op != "t"


class Stream:
    """The committed records so far, as far as read_committed readers may see, those of a topic that was deleted too."""

    def __init__(self, topics: Topics, broker: Broker) -> None:
        self.topics = topics
        self.broker = broker
        self._rows: dict[str, list[Published]] = {}
        self._barriers: dict[int, list[Barrier]] = {}
        self._scanned: dict[tuple[str, int], int] = {}

    def rows(self, topic: str) -> list[Published]:
        """A row topic's, by seq."""
        found = self._rows.setdefault(topic, [])
        former = self.broker.deleted.get(topic, ())
        for one in (*former, self.broker.topics[topic]):
            found += [_published(one.topic_id, offset, orjson.loads(value)) for offset, value in self._new(one, 0)]
        if former:
            found.sort(key=lambda record: record.seq)
        return found

    def barriers(self, shard: int) -> list[Barrier]:
        found = self._barriers.setdefault(shard, [])
        found += [Barrier.decode(value) for _, value in self._new(self.broker.topics[self.topics.progress], shard)]
        return found

    def position(self) -> Position | None:
        """The last one committed."""
        records = latest_by_key(self.broker.partition(self.topics.position))
        return Position.decode({key: value for key, value in records.items() if value is not None})

    def _new(self, topic: Topic, partition: int) -> Iterator[tuple[int, bytes]]:
        """Records with their offsets since the last look."""
        log = topic.partitions[partition]
        at = self._scanned.get((topic.topic_id, partition), 0)
        stop = self._scanned[topic.topic_id, partition] = max(at, log.stable_end)
        for offset in range(at, stop):
            if log.delivers(offset):
                value = log.entries[offset].value
                assert value is not None
                yield offset, value


def _published(topic_id: str, offset: int, body: Any) -> Published:
    row, source = body["after"] if body["after"] is not None else body["before"], body["source"]
    gtid = Gtid.parse(source["gtid"]) if source["gtid"] else None
    return Published(topic_id, offset, source["seq"], gtid, body["op"], row and row["id"], canonical(row) if row else ())


def folded(records: Iterable[Published], mode: Mode) -> list[Canonical]:
    """What a target holds after these records."""
    if mode is Mode.APPEND:
        return [tuple(sorted((*record.row, (OP, record.op), (SEQ, record.seq)))) for record in records]
    rows: dict[int | None, Canonical] = {}
    if mode is Mode.MERGE:
        fold(rows, records)
        return list(rows.values())
    gone: dict[int | None, Canonical] = {}
    for record in records:
        if record.op == "t":
            gone.update(rows)
        elif record.op != "d":
            gone.pop(record.key, None)
        elif not record.read:
            gone[record.key] = record.row
        elif record.key in rows:
            gone[record.key] = rows[record.key]
        fold(rows, [record])
    return [marked(row, False) for row in rows.values()] + [marked(row, True) for row in gone.values()]


def marked(row: Canonical, deleted: bool) -> Canonical:
    """As a table in mode soft_delete holds it."""
    return tuple(sorted((*row, (DELETED, deleted))))


def living(rows: Iterable[Canonical]) -> Iterator[Canonical]:
    """Those rows of a soft_delete table that the source has."""
    for row in rows:
        if (DELETED, False) in row:
            yield tuple(pair for pair in row if pair[0] != DELETED)


def fold(rows: dict[int | None, Canonical], records: Iterable[Published]) -> None:
    """What rows by key become by these records."""
    for record in records:
        if record.op == "t":
            rows.clear()
        elif record.op == "d":
            rows.pop(record.key, None)
        else:
            rows[record.key] = record.row
