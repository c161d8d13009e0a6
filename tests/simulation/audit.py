"""What must hold after every commit, and at the end. The names are those of docs/PROTOCOL.md where it lists the invariants.

Nothing here trusts the code under test: it reads the broker's log, the source's history, the bucket and the warehouse's committed rows.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from contracts.envelope import Op
from contracts.ledger import Fence, TopicOffset
from contracts.position import Gtid
from contracts.progress import Barrier, Position, Standing, TableState
from contracts.table import TableId
from contracts.topics import Topics
from loader.core.plan import Mode
from tests.fakes.broker import Broker, Group, latest_by_key
from tests.fakes.object_store import Bucket, keys_below
from tests.fakes.warehouse import Database, fence_table, ledger_table, offsets_table
from tests.simulation.encoder import OP, SEQ
from tests.simulation.source import History, SourceTable, executed

Canonical = tuple[tuple[str, Any], ...]


def canonical(row: Any) -> Canonical:
    """A row for comparison: a column that is NULL is as good as one that is not there yet."""
    return tuple(sorted((name, value) for name, value in row.items() if value is not None))


@dataclass(frozen=True, slots=True)
class Violation:
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}"


@dataclass(frozen=True, slots=True)
class _Published:
    """A committed record of a row topic. `transaction`: 0 of what the stream did not have from the binlog."""

    offset: int
    seq: int
    transaction: int
    op: str
    key: int | None
    row: Canonical


class Audit:
    def __init__(
        self,
        history: History,
        topics: Topics,
        broker: Broker,
        bucket: Bucket,
        prefix: str,
        database: Database,
        group: Group,
        *,
        snapshots: bool,
    ) -> None:
        """`snapshots`: the stream begins where the source is by then, and the rows there are then are read."""
        self.history = history
        self.topics = topics
        self.broker = broker
        self.bucket = bucket
        self.prefix = prefix
        self.database = database
        self.group = group
        self.snapshots = snapshots
        self.violations: list[Violation] = []
        self._published: dict[str, list[_Published]] = {}
        self._barriers: dict[int, list[Barrier]] = {}
        self._scanned: dict[tuple[str, int], int] = {}
        self._seen: dict[TableId, list[set[Canonical]]] = {}
        self._fences: dict[int, Fence] = {}
        self._targets = {table.table: f"{table.table.database}.{table.table.name}" for table in history.tables}

    def report(self, name: str, detail: str) -> None:
        self.violations.append(Violation(name, detail))

    # -- after every commit

    def after_commit(self, written: frozenset[str]) -> None:
        """Every shard of whose tables `written` holds one besides the fence."""
        for shard in sorted({table.shard for table in self.history.tables}):
            tables = [table for table in self.history.tables if table.shard == shard]
            own = {offsets_table(shard), ledger_table(shard), *(self._targets[table.table] for table in tables)}
            if own & written:
                self.check_shard(shard, tables)
            elif fence_table(shard) in written and (fence := self.database.fence(shard)).commit_no:
                if (before := self._fences.get(shard)) is not None and before.commit_no == fence.commit_no:
                    self._check_takeover(before, fence)
                else:
                    self.check_shard(shard, tables)

    def check_shard(self, shard: int, tables: list[SourceTable]) -> None:
        fence = self.database.fence(shard)
        self._check_fence(fence)
        rows = self.database.offsets(shard)
        offsets = {row.topic: row for row in rows}
        if len(offsets) != len(rows):
            self.report("OFFSETS_TWICE", f"shard {shard}: {sorted(row.topic for row in rows)}")
        for table in tables:
            topic = self.topics.rows(table.table)
            self._check_rows(table, fence, offsets.get(topic))
            self._check_ledger(shard, topic, offsets.get(topic))
            self._check_mirror(topic, 0, offsets[topic].next_offset if topic in offsets else 0)
        self._check_mirror(self.topics.progress, shard, fence.progress_offset)

    def _check_takeover(self, before: Fence, fence: Fence) -> None:
        """It changes nothing but epoch and owner."""
        if replace(before, epoch=fence.epoch, owner=fence.owner) != fence or fence.epoch <= before.epoch:
            self.report("TAKEOVER", f"shard {fence.shard}: {before} to {fence}")
        self._fences[fence.shard] = fence

    def _check_fence(self, fence: Fence) -> None:
        """What a commit says never goes back."""
        shard, before = fence.shard, self._fences.get(fence.shard)
        if before and (fence.epoch, fence.commit_no) < (before.epoch, before.commit_no):
            self.report("FENCE_BACK", f"shard {shard}: {before} to {fence}")
        if before and fence.commit_ts_us < before.commit_ts_us:
            self.report("WATERMARK_BACK", f"shard {shard}: {before.commit_ts_us} to {fence.commit_ts_us}")
        self._fences[shard] = fence

    def _check_rows(self, table: SourceTable, fence: Fence, offset: TopicOffset | None) -> None:
        """I1: the target holds the committed records below next_offset, each once; and the source at the fence's GTID set."""
        topic = self.topics.rows(table.table)
        loaded = [record for record in self.published(topic) if offset is not None and record.offset < offset.next_offset]
        if offset is not None and offset.next_seq != len(loaded):
            self.report("I3_SEQ", f"{topic}: next_seq {offset.next_seq}, but {len(loaded)} records are below offset {offset.next_offset}")
        have = Counter(canonical(dict(row)) for row in self.database.rows(self._targets[table.table]))
        want = Counter(folded(loaded, table.mode))
        if have != want:
            kind = "I1_TWICE" if not want - have else "I1_LOST" if not have - want else "I1_OTHER"
            missing, extra = list((want - have).elements()), list((have - want).elements())
            self.report(kind, f"{topic} at {fence}: missing {missing}, too many {extra}")
        standing = self._standing(fence, topic)
        state = standing.state if standing else TableState.OK
        altered = offset is not None and offset.state is TableState.REREADING and bool(offset.because)  # for rows that come next
        if offset is not None and offset.state is not state and not altered:
            self.report("STATE", f"{topic} at {fence}: the warehouse says {offset.state}, the barrier {state}")
        if fence.partial:
            return
        count = fence.gtid_set.count()
        if fence.gtid_set != executed(count):
            self.report("GTID_SET", f"shard {fence.shard}: {fence.gtid_set} has gaps")
            return
        held = have if table.mode is Mode.MERGE else Counter(folded(loaded, Mode.MERGE))
        if state is TableState.OK:
            truth = Counter(canonical(row) for row in self.history.states[count][table.table].values())
            if held != truth:
                self.report("TORN", f"{topic} at {fence}: holds {sorted(held)}, the source held {sorted(truth)}")
        elif ahead := held.keys() - self._rows_seen(table.table, count):
            self.report("AHEAD", f"{topic} at {fence}: holds {sorted(ahead)}, which the source did not until later")

    def _standing(self, fence: Fence, topic: str) -> Standing | None:
        """What the barrier a commit ended at says of a table."""
        barrier = next((barrier for barrier in reversed(self.barriers(fence.shard)) if barrier.n == fence.barrier_no), None)
        return barrier.standings.get(topic) if barrier else None

    def _rows_seen(self, table: TableId, count: int) -> set[Canonical]:
        """Every row the source held by then."""
        seen = self._seen.setdefault(table, [])
        for state in self.history.states[len(seen) : count + 1]:
            seen.append((seen[-1] if seen else set()) | {canonical(row) for row in state[table].values()})
        return seen[count]

    def _check_ledger(self, shard: int, topic: str, offset: TopicOffset | None) -> None:
        """I2: ranges tile; every record is accounted for. I4: what the ledger names is in the bucket."""
        entries = sorted((e for e in self.database.ledger(shard) if e.topic == topic), key=lambda e: e.offsets)
        stops = [0, *(entry.offsets.stop for entry in entries)]
        if [entry.offsets.start for entry in entries] != stops[:-1]:
            self.report("I2_TILES", f"{topic}: {[str(entry.offsets) for entry in entries]}")
        if stops[-1] != (offset.next_offset if offset else 0):
            self.report("I2_END", f"{topic}: ledger ends at {stops[-1]}, next offset is {offset and offset.next_offset}")
        records = sum(1 for record in self.published(topic) if record.offset < stops[-1])
        if sum(entry.records for entry in entries) != records:
            self.report("I2_RECORDS", f"{topic}: {records} records below {stops[-1]}, ledger says {[e.records for e in entries]}")
        for entry in entries:
            for key in ledger_objects(entry.manifest_key):
                if f"{self.prefix}/{key}" not in self.bucket.objects:
                    self.report("I4_COMMITTED_DELETED", f"{key} of batch {entry.batch_id}")

    def _check_mirror(self, topic: str, partition: int, next_offset: int) -> None:
        """I5."""
        mirrored, _ = self.group.offsets.get((topic, partition), (0, ""))
        if mirrored > next_offset:
            self.report("I5_MIRROR", f"{topic}/{partition}: Kafka says {mirrored}, the warehouse {next_offset}")

    # -- at the end

    def at_rest(self) -> None:
        """Everything the source did is there, in Kafka and in the warehouse; I7 and I8."""
        for shard in sorted({table.shard for table in self.history.tables}):
            self.check_shard(shard, [table for table in self.history.tables if table.shard == shard])
            fence = self.database.fence(shard)
            if fence.partial or fence.gtid_set != self.history.all or self.barriers(shard)[-1].standings:
                self.report("UNFINISHED", f"shard {shard} rests at {fence}")
            if altered := [row.topic for row in self.database.offsets(shard) if row.because and row.state is not TableState.PARKED]:
                self.report("UNFINISHED", f"shard {shard} rests with {altered} altered, and without the rows that were to follow")
            self._check_readings(shard)
        position = self.position()
        if position is None or position.gtid_set != self.history.all or position.rereads:
            self.report("I7_POSITION", f"rests at {position}")
        for table in self.history.tables:
            topic = self.topics.rows(table.table)
            published = self.published(topic)
            if [record.seq for record in published] != list(range(len(published))):
                self.report("I3_SEQ", f"{topic}: {[record.seq for record in published]}")
            streamed = [(record.transaction, record.op) for record in published if record.op not in ("r", "t")]
            if streamed != (changes := self.changes(table.table)):
                self.report("I7_ROWS", f"{topic}: streamed were {streamed}, the source changed {changes}")
            if (position.next_seqs.get(topic, 0) if position else 0) != len(published):
                self.report("I7_POSITION", f"{topic}: next seq of {position} behind {len(published)} records")

    def _check_readings(self, shard: int) -> None:
        """Rows that were read come only after a barrier that says so: who reads it may make room for them. At the first whole barrier
        behind it the key of each is as the source has it there, but for DDL in between, which shows in no row."""
        said: Collection[str] = ()
        done: dict[str, int] = {}
        held: dict[str, dict[int | None, Canonical]] = {}
        fresh: dict[str, set[int | None]] = {}
        before = 0
        for barrier in self.barriers(shard):
            for topic, seq in barrier.next_seqs.items():
                some = self.published(topic)[done.get(topic, 0) : seq]
                if topic not in said and any(record.op == "r" for record in some):
                    self.report(
                        "UNANNOUNCED", f"{topic}: rows that were read come with barrier {barrier.n}; before it was said {list(said)}"
                    )
                fold(held.setdefault(topic, {}), some)
                emptied = next((at + 1 for at in range(len(some) - 1, -1, -1) if some[at].op == "t"), 0)
                if emptied:  # who asks for a resync has its target emptied, which shows in no GTID set
                    fresh.pop(topic, None)
                fresh.setdefault(topic, set()).update(record.key for record in some[emptied:] if record.op == "r")
                done[topic] = seq
            said = barrier.standings.keys()
            if not barrier.partial:
                self._check_fresh(barrier, before, held, fresh)
                before = barrier.gtid_set.count()
                fresh.clear()

    def _check_fresh(
        self, barrier: Barrier, before: int, held: dict[str, dict[int | None, Canonical]], fresh: dict[str, set[int | None]]
    ) -> None:
        count = barrier.gtid_set.count()
        changed = {transaction.of.table for transaction in self.history.transactions[before:count] if transaction.of is not None}
        for table in self.history.tables:
            topic = self.topics.rows(table.table)
            for key in fresh.get(topic, ()) if table.table not in changed else ():
                row = self.history.states[count][table.table].get(key) if key is not None else None
                truth = None if row is None else canonical(row)
                if held[topic].get(key) != truth:
                    self.report("STALE", f"{topic} at barrier {barrier.n}: key {key} was read as {held[topic].get(key)}, is {truth}")

    def after_janitor(self) -> None:
        """I4 and its other half: the bucket holds the ledger's objects and nothing else."""
        shards = sorted({table.shard for table in self.history.tables})
        wanted = {key for shard in shards for entry in self.database.ledger(shard) for key in ledger_objects(entry.manifest_key)}
        held = set(keys_below(self.bucket, self.prefix))
        if wanted - held:
            self.report("I4_COMMITTED_DELETED", f"{sorted(wanted - held)}")
        if held - wanted:
            self.report("ORPHAN_LEFT", f"{sorted(held - wanted)}")

    # -- the truth

    def published(self, topic: str) -> list[_Published]:
        """Committed records of a row topic, as far as read_committed readers may see."""
        found = self._published.setdefault(topic, [])
        found += [_published(offset, orjson.loads(value)) for offset, value in self._new(topic, 0)]
        return found

    def barriers(self, shard: int) -> list[Barrier]:
        """As `published`."""
        found = self._barriers.setdefault(shard, [])
        found += [Barrier.decode(value) for _, value in self._new(self.topics.progress, shard)]
        return found

    def _new(self, topic: str, partition: int) -> Iterator[tuple[int, bytes]]:
        """Records with their offsets since the last look."""
        log = self.broker.partition(topic, partition)
        at = self._scanned.get((topic, partition), 0)
        stop = self._scanned[topic, partition] = max(at, log.stable_end)
        for offset in range(at, stop):
            if log.delivers(offset):
                value = log.entries[offset].value
                assert value is not None
                yield offset, value

    def position(self) -> Position | None:
        """The last one committed."""
        records = latest_by_key(self.broker.partition(self.topics.position))
        return Position.decode({key: value for key, value in records.items() if value is not None})

    def changes(self, table: TableId) -> list[tuple[int, str]]:
        """Number of the transaction and operation of each change of a table's rows since the stream began."""
        began = self.barriers(0)[0].gtid_set.count() if self.snapshots else 0
        transactions = self.history.transactions[began:]
        changes = [(t.gtid.number, change) for t in transactions for change in t.changes if change.table.table == table]
        return [(number, change.op.value) for number, change in changes if change.op is not Op.TRUNCATE]


def ledger_objects(manifest_key: str) -> list[str]:
    """Manifest and data object of a batch; nothing for a batch without an object."""
    return [manifest_key, manifest_key.removesuffix(".manifest") + ".parquet"] if manifest_key else []


def _published(offset: int, body: Any) -> _Published:
    row = body["after"] if body["after"] is not None else body["before"]
    seq, gtid = body["source"]["seq"], body["source"]["gtid"]
    transaction = Gtid.parse(gtid).number if gtid else 0
    return _Published(offset, seq, transaction, body["op"], row and row["id"], canonical(row) if row else ())


def folded(records: list[_Published], mode: Mode) -> list[Canonical]:
    """What a target holds after these records."""
    if mode is Mode.APPEND:
        return [tuple(sorted((*record.row, (OP, record.op), (SEQ, record.seq)))) for record in records]
    rows: dict[int | None, Canonical] = {}
    fold(rows, records)
    return list(rows.values())


def fold(rows: dict[int | None, Canonical], records: list[_Published]) -> None:
    """What rows by key become by these records."""
    for record in records:
        if record.op == "t":
            rows.clear()
        elif record.op == "d":
            rows.pop(record.key, None)
        else:
            rows[record.key] = record.row
