"""What must hold after every commit; and after every step, of what Kafka is told. The names are those of the invariants in
docs/ARCHITECTURE.md.

Nothing here trusts the code under test: it reads the broker's log, the source's history, the bucket and the warehouse's committed rows.
"""

from collections import Counter
from dataclasses import dataclass, replace

from contracts.ledger import Fence, LedgerEntry, TopicOffset
from contracts.progress import Standing, TableState
from contracts.table import TableId
from contracts.topics import Topics
from loader.core.mirror import Mirror
from loader.core.plan import Mode
from tests.fakes.broker import Broker, Group
from tests.fakes.object_store import Bucket
from tests.fakes.warehouse import Database, fence_table, ledger_table, offsets_table
from tests.simulation.following import Following
from tests.simulation.published import Canonical, Published, Stream, canonical, folded, living
from tests.simulation.source import History, SourceTable

HALT = "HALT"
"""A service has ended for what it noticed, and nothing was there to be noticed."""

BUG = "BUG"
"""A process has ended with what nobody raises on purpose. Of the design that is a fault; of a known-bad one it shows nothing."""


@dataclass(frozen=True, slots=True)
class Violation:
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}"


class Audit:
    def __init__(
        self, history: History, topics: Topics, broker: Broker, bucket: Bucket, prefix: str, database: Database, group: Group
    ) -> None:
        self.history = history
        self.topics = topics
        self.broker = broker
        self.bucket = bucket
        self.prefix = prefix
        self.database = database
        self.group = group
        self.stream = Stream(topics, broker)
        self.violations: list[Violation] = []
        self.following = {topics.rows(table.table): Following() for table in history.tables}
        self._seen: dict[tuple[int, TableId], list[set[Canonical]]] = {}
        self._fences: dict[int, Fence] = {}
        self._told: dict[tuple[str, int], tuple[int, str]] = {}
        self._shards = {topics.rows(table.table): table.shard for table in history.tables}
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
        """I1: the target holds the committed records below next_seq, each once; and the source at the fence's GTID set."""
        topic, following = self.topics.rows(table.table), self.following[self.topics.rows(table.table)]
        loaded: list[Published] = []
        if offset is not None:
            loaded = self._loaded(topic, offset)
            if wrong := following.take(offset, loaded):
                self.report("PARKED", f"{topic} at {fence}: {wrong}")
        have = Counter(canonical(dict(row)) for row in self.database.rows(self._targets[table.table]))
        held = following.held(loaded)
        want = Counter(folded(held, table.mode))
        if have != want:
            kind = "I1_TWICE" if not want - have else "I1_LOST" if not have - want else "I1_OTHER"
            missing, extra = list((want - have).elements()), list((have - want).elements())
            self.report(kind, f"{topic} at {fence}: missing {missing}, too many {extra}")
        standing = self._standing(fence, topic)
        state = standing.state if standing else TableState.OK
        altered = offset is not None and offset.state is TableState.REREADING and bool(offset.because)  # for rows that come next
        parked = offset is not None and offset.state is TableState.PARKED
        if offset is not None and not parked and not altered and offset.state is not state:
            self.report("STATE", f"{topic} at {fence}: the warehouse says {offset.state}, the barrier {state}")
        if fence.partial:
            return
        moment = self.history.moment(fence.gtid_set)
        if moment is None:
            self.report("GTID_SET", f"shard {fence.shard}: no server had ever executed just {fence.gtid_set}")
            return
        if parked:
            return
        history, count = moment
        if table.mode is Mode.APPEND:
            have = Counter(folded(loaded, Mode.MERGE))
        elif table.mode is Mode.SOFT_DELETE:
            have = Counter(living(have.elements()))
        if state is TableState.OK:
            truth = Counter(canonical(row) for row in history.states[count][table.table].values())
            if have != truth:
                self.report("TORN", f"{topic} at {fence}: holds {sorted(have)}, the source held {sorted(truth)}")
        elif ahead := have.keys() - self._rows_seen(history, table.table, count):
            self.report("AHEAD", f"{topic} at {fence}: holds {sorted(ahead)}, which the source did not until later")

    def _loaded(self, topic: str, offset: TopicOffset) -> list[Published]:
        """I3: what lies below next_seq is what lies below next_offset, and nothing is missing among it."""
        published = self.stream.rows(topic)
        loaded = published[: offset.next_seq]
        if [record.seq for record in loaded] != list(range(offset.next_seq)):
            self.report("I3_SEQ", f"{topic}: next_seq {offset.next_seq}, but there are {[record.seq for record in loaded]}")
        here = [record for record in published if record.topic_id == offset.topic_id]
        if below := [r.seq for r in here if (r.offset < offset.next_offset) is not (r.seq < offset.next_seq)]:
            self.report("I3_SEQ", f"{topic}: next_seq {offset.next_seq} and next_offset {offset.next_offset} part at {below}")
        return loaded

    def _standing(self, fence: Fence, topic: str) -> Standing | None:
        """What the barrier a commit ended at says of a table."""
        barrier = next((barrier for barrier in reversed(self.stream.barriers(fence.shard)) if barrier.n == fence.barrier_no), None)
        return barrier.standings.get(topic) if barrier else None

    def _rows_seen(self, history: History, table: TableId, count: int) -> set[Canonical]:
        """Every row the source held by then."""
        seen = self._seen.setdefault((id(history), table), [])
        for state in history.states[len(seen) : count + 1]:
            seen.append((seen[-1] if seen else set()) | {canonical(row) for row in state[table].values()})
        return seen[count]

    def _check_ledger(self, shard: int, topic: str, offset: TopicOffset | None) -> None:
        """I2: ranges tile; every record is accounted for. I4: what the ledger names is in the bucket."""
        entries = sorted((e for e in self.database.ledger(shard) if e.topic == topic), key=lambda e: e.offsets)
        ids = [one.topic_id for one in (*self.broker.deleted.get(topic, ()), self.broker.topics[topic])]
        if foreign := [entry.topic_id for entry in entries if entry.topic_id not in ids]:
            self.report("I2_TOPIC", f"{topic}: the ledger names {foreign}")
        for number, topic_id in enumerate(ids):
            of_id = [entry for entry in entries if entry.topic_id == topic_id]
            # Where a topic that was made again is gone on with is agreed upon by hand.
            first = of_id[0].offsets.start if number and of_id else 0
            self._check_tiles(topic, of_id, first, offset if offset is not None and offset.topic_id == topic_id else None)
        for entry in entries:
            for key in ledger_objects(entry.manifest_key):
                if f"{self.prefix}/{key}" not in self.bucket.objects:
                    self.report("I4_COMMITTED_DELETED", f"{key} of batch {entry.batch_id}")

    def _check_tiles(self, topic: str, entries: list[LedgerEntry], first: int, offset: TopicOffset | None) -> None:
        stops = [first, *(entry.offsets.stop for entry in entries)]
        if [entry.offsets.start for entry in entries] != stops[:-1]:
            self.report("I2_TILES", f"{topic}: {[str(entry.offsets) for entry in entries]}")
        if offset is not None and (entries or not self.broker.deleted.get(topic)) and stops[-1] != offset.next_offset:
            self.report("I2_END", f"{topic}: ledger ends at {stops[-1]}, next offset is {offset.next_offset}")
        if entries:
            said, topic_id = sum(entry.records for entry in entries), entries[0].topic_id
            within = [record for record in self.stream.rows(topic) if first <= record.offset < stops[-1]]
            here = [record for record in within if record.topic_id == topic_id]
            for record in within:
                # A topic that is made again under a reader may go on at the very offset and seq: the batch carries the id it began with.
                if len(here) < said and here and record.topic_id != topic_id and record.seq == here[-1].seq + 1:
                    here.append(record)
            records = len(here)
            if said != records:
                self.report("I2_RECORDS", f"{topic}: {records} records below {stops[-1]}, ledger says {[e.records for e in entries]}")

    # -- after every step

    def check_mirror(self) -> None:
        """I5: what Kafka was told since the last look."""
        for at, told in self.group.offsets.items():
            if self._told.get(at) is not told:
                self._told[at] = told
                self._check_told(*at, *told)

    def _check_told(self, topic: str, partition: int, mirrored: int, note: str) -> None:
        """The offsets of a topic that was deleted say nothing of the new one."""
        fence = self.database.fence(partition if topic == self.topics.progress else self._shards[topic])
        loaded = {row.topic: row.next_offset for row in self.database.offsets(fence.shard)} | {self.topics.progress: fence.progress_offset}
        if mirrored > (next_offset := loaded.get(topic, 0)) and topic not in self.broker.deleted:
            self.report("I5_MIRROR", f"{topic}/{partition}: Kafka says {mirrored}, the warehouse {next_offset}")
        mirror = Mirror.parse(note)
        if mirror is not None and (mirror.commit_no, mirror.epoch) > (fence.commit_no, fence.epoch):
            self.report("I5_MIRROR", f"{topic}/{partition}: Kafka knows of {mirror}, the warehouse is at {fence}")


def ledger_objects(manifest_key: str) -> list[str]:
    """Manifest and data object of a batch; nothing for a batch without an object."""
    return [manifest_key, manifest_key.removesuffix(".manifest") + ".parquet"] if manifest_key else []
