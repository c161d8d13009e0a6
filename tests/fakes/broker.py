"""A broker in memory: topics with ids, transactions with a last stable offset, markers that take offsets, aborted data, expiry, and the
loaders' consumer group.

It coordinates transactions as librdkafka's clients know them (KIP-98 without KIP-890): an EndTxn names only the producer and its epoch, so
one that arrives late, or a second time, ends whatever transaction that producer has open by then.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from contracts.errors import Fenced, Gone, Refused


@dataclass(frozen=True, slots=True)
class Entry:
    """One offset of a partition. `transaction`: whose data it is, None outside of transactions. `marker`: a control record, not for
    readers."""

    key: bytes | None
    value: bytes | None
    transaction: int | None = None
    marker: bool = False


@dataclass(eq=False)
class Partition:
    """A log. Offsets are list indices: nothing is ever compacted away in between."""

    entries: list[Entry] = field(default_factory=list)
    low: int = 0
    open: dict[int, int] = field(default_factory=dict)
    aborted: set[int] = field(default_factory=set)

    @property
    def end(self) -> int:
        return len(self.entries)

    @property
    def stable_end(self) -> int:
        return min(self.open.values()) if self.open else len(self.entries)

    def append(self, entry: Entry) -> None:
        if entry.transaction is not None and not entry.marker:
            self.open.setdefault(entry.transaction, self.end)
        self.entries.append(entry)

    def mark(self, transaction: int, commit: bool) -> None:
        """The transaction's marker: takes an offset, and lets readers pass."""
        if transaction in self.open:
            self.append(Entry(None, None, transaction, marker=True))
            del self.open[transaction]
            if not commit:
                self.aborted.add(transaction)

    def delivers(self, offset: int) -> bool:
        """Whether a read_committed reader gets this offset, which is below `stable_end`."""
        entry = self.entries[offset]
        return not entry.marker and entry.transaction not in self.aborted

    def committed(self) -> list[tuple[int, Entry]]:
        """Every record a read_committed reader could ever have got by now, expired ones too."""
        return [(offset, self.entries[offset]) for offset in range(self.stable_end) if self.delivers(offset)]


@dataclass
class Topic:
    name: str
    topic_id: str
    partitions: list[Partition]
    compacted: bool = False


@dataclass
class Transaction:
    """An open transaction of one transactional id."""

    serial: int
    touched: list["Partition"] = field(default_factory=list)


@dataclass
class Group:
    """The consumer group on one topic: who of its members owns which partition. Members keep their name over restarts (static
    membership); a new incarnation of a name fences the one before."""

    partitions: int
    session_timeout: timedelta
    members: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    turn: int = 0
    offsets: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)

    def poll(self, member: str, incarnation: int, now: datetime) -> frozenset[int]:
        """A heartbeat, and what is assigned to the member now. Whoever was silent for too long has lost everything; it learns so here and
        has joined again. Raises Fenced for an incarnation that has a successor."""
        known = self.members.get(member)
        if known and known[0] > incarnation:
            raise Fenced(f"{member}: a newer process has joined under this name")
        self.members[member] = (incarnation, now)
        for name, (_, seen) in list(self.members.items()):
            if now - seen > self.session_timeout:
                del self.members[name]
        return self.assignment(member)

    def assignment(self, member: str) -> frozenset[int]:
        if member not in self.members:
            return frozenset()
        return shares(tuple(sorted(self.members)), self.partitions, self.turn % len(self.members))[member]

    def flap(self) -> None:
        """Gives everything to another member, for no reason a member could know."""
        self.turn += 1


@cache
def shares(members: tuple[str, ...], partitions: int, turn: int) -> Mapping[str, frozenset[int]]:
    """Which member has which partitions."""
    count = len(members)
    return {name: frozenset(p for p in range(partitions) if (p + turn) % count == at) for at, name in enumerate(members)}


class Broker:
    """Topics by name. `defer`: is handed every write of a transaction marker, to let them reach their partitions at different moments;
    by default they do at once."""

    def __init__(self, defer: Callable[[Callable[[], None]], None] | None = None) -> None:
        self.topics: dict[str, Topic] = {}
        self.deleted: dict[str, list[Topic]] = {}
        """What was there under a name before."""
        self.epochs: dict[str, int] = {}
        self.transactions: dict[str, Transaction] = {}
        self.defer = defer or (lambda write: write())
        self._made = 0
        self._serial = 0

    def create(self, name: str, partitions: int = 1, *, compacted: bool = False) -> Topic:
        self._made += 1
        self.topics[name] = Topic(name, f"id-{self._made:04d}", [Partition() for _ in range(partitions)], compacted)
        return self.topics[name]

    def delete(self, name: str) -> None:
        self.deleted.setdefault(name, []).append(self.topics.pop(name))

    def topic(self, name: str) -> Topic:
        """Raises Gone when there is no such topic."""
        if name not in self.topics:
            raise Gone(f"topic {name} does not exist", topic=name)
        return self.topics[name]

    def partition(self, name: str, number: int = 0) -> Partition:
        return self.topic(name).partitions[number]

    def append(self, topic: str, key: bytes | None, value: bytes | None, partition: int = 0) -> None:
        """A record outside of any transaction."""
        self.partition(topic, partition).append(Entry(key, value))

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Retention: everything before an offset goes."""
        log = self.partition(topic, partition)
        log.low = max(log.low, min(before, log.stable_end))

    # -- transactions

    def init(self, transactional_id: str) -> int:
        """The new producer epoch. What the predecessor left open is aborted, and whatever it still sends is refused."""
        if transactional_id in self.transactions:
            self._finish(transactional_id, commit=False)
        self.epochs[transactional_id] = self.epochs.get(transactional_id, -1) + 1
        return self.epochs[transactional_id]

    def send(self, transactional_id: str, epoch: int, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        self._check(transactional_id, epoch)
        transaction = self.transactions.get(transactional_id)
        if transaction is None:
            self._serial += 1
            transaction = self.transactions[transactional_id] = Transaction(self._serial)
        log = self.partition(topic, partition)
        if log not in transaction.touched:
            transaction.touched.append(log)
        log.append(Entry(key, value, transaction.serial))

    def end(self, transactional_id: str, epoch: int, *, commit: bool) -> None:
        """EndTxn. Nothing open is success: the coordinator takes it for a repeated request."""
        self._check(transactional_id, epoch)
        if transactional_id in self.transactions:
            self._finish(transactional_id, commit=commit)

    def _check(self, transactional_id: str, epoch: int) -> None:
        if self.epochs.get(transactional_id) != epoch:
            raise Fenced(f"{transactional_id}: producer epoch {epoch} is not the newest")

    def _finish(self, transactional_id: str, *, commit: bool) -> None:
        transaction = self.transactions.pop(transactional_id)
        deleted = [log for topics in self.deleted.values() for topic in topics for log in topic.partitions]
        for log in transaction.touched:
            if log in deleted:
                log.mark(transaction.serial, commit)  # for those who look back: nobody reads it any more
            else:
                self.defer(lambda log=log: log.mark(transaction.serial, commit))  # type: ignore[misc]  # mypy cannot infer a default's type


def checked_partitions(topic: Topic, wanted: int) -> None:
    """Raises Refused when a topic has another number of partitions than its pipeline relies on."""
    if len(topic.partitions) != wanted:
        raise Refused(f"topic {topic.name} has {len(topic.partitions)} partitions, needs {wanted}", topic=topic.name)


def latest_by_key(log: Partition) -> Mapping[bytes, bytes | None]:
    """What compaction would leave of the committed records."""
    return {entry.key: entry.value for _, entry in log.committed() if entry.key is not None}
