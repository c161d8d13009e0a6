"""What must hold once everything has come to rest."""

from collections.abc import Collection, Sequence

from contracts.envelope import Op
from contracts.position import Gtid
from contracts.progress import Barrier, TableState
from contracts.table import TableId
from tests.fakes.object_store import keys_below
from tests.simulation.audit import Audit, ledger_objects
from tests.simulation.people import Wanted
from tests.simulation.published import Canonical, canonical, fold
from tests.simulation.source import History


class Ending:
    """`snapshots`: the stream began where the source was by then, and the rows there were then were read. `halted`: the source has lost
    what was streamed of it, so the stream has ended there."""

    def __init__(self, audit: Audit, *, snapshots: bool, halted: bool) -> None:
        self.audit = audit
        self.stream = audit.stream
        self.topics = audit.topics
        self.history = audit.history
        self.snapshots = snapshots
        self.halted = halted
        self.report = audit.report

    def at_rest(self, wanted: Sequence[Wanted]) -> None:
        """Everything the source did is there, in Kafka and in the warehouse; I7 and I8."""
        for asked in wanted if not self.halted else ():
            self._check_wanted(asked)
        for shard in sorted({table.shard for table in self.history.tables}):
            self.audit.check_shard(shard, [table for table in self.history.tables if table.shard == shard])
            fence, last = self.audit.database.fence(shard), self.stream.barriers(shard)[-1]
            finished = fence.gtid_set == self.history.all and not fence.partial and not last.standings
            whole = max((barrier.n for barrier in self.stream.barriers(shard) if not barrier.partial), default=0)
            if fence.barrier_no < (whole if self.halted else last.n) or not (self.halted or finished):
                self.report("UNFINISHED", f"shard {shard} rests at {fence}")
            if not self.halted and (parked := [row.topic for row in self.audit.database.offsets(shard) if row.state is TableState.PARKED]):
                self.report("UNFINISHED", f"{parked} are parked still")
            rows = self.audit.database.offsets(shard)
            if altered := [row.topic for row in rows if row.because and row.state is not TableState.PARKED]:
                self.report("UNFINISHED", f"shard {shard} rests with {altered} altered, and without the rows that were to follow")
            self._check_readings(shard)
        position = self.stream.position()
        if position is None or not (self.halted or (position.gtid_set == self.history.all and not position.readings)):
            self.report("I7_POSITION", f"rests at {position}")
        for table in self.history.tables:
            topic = self.topics.rows(table.table)
            published = self.stream.rows(topic)
            if [record.seq for record in published] != list(range(len(published))):
                self.report("I3_SEQ", f"{topic}: {[record.seq for record in published]}")
            streamed = [(record.gtid, record.op) for record in published if record.op != "t" and record.gtid is not None]
            changes = self._changes(table.table)
            if streamed != (changes[: len(streamed)] if self.halted else changes):
                self.report("I7_ROWS", f"{topic}: streamed were {streamed}, the source changed {changes}")
            if (position.next_seqs.get(topic, 0) if position else 0) != len(published):
                self.report("I7_POSITION", f"{topic}: next seq of {position} behind {len(published)} records")

    def _check_wanted(self, asked: Wanted) -> None:
        """Something has come of every key that was asked for since: it was read, or is not there, or has changed."""
        came = {r.key for r in self.stream.rows(asked.topic) if r.topic_id != asked.topic_id or r.offset >= asked.end}
        if missing := asked.keys - came:
            self.report("UNREAD", f"{asked.topic}: nothing came of keys {sorted(missing)}, asked for at offset {asked.end}")

    def _check_readings(self, shard: int) -> None:
        """Rows that were read come only after a barrier that says so: who reads it may make room for them. At the first whole barrier
        behind it the key of each is as the source has it there, but for DDL in between, which shows in no row."""
        said: Collection[str] = ()
        done: dict[str, int] = {}
        held: dict[str, dict[int | None, Canonical]] = {}
        fresh: dict[str, set[int | None]] = {}
        before = 0
        for barrier in self.stream.barriers(shard):
            for topic, seq in barrier.next_seqs.items():
                some = self.stream.rows(topic)[done.get(topic, 0) : seq]
                if topic not in said and any(record.read for record in some):
                    self.report(
                        "UNANNOUNCED", f"{topic}: rows that were read come with barrier {barrier.n}; before it was said {list(said)}"
                    )
                fold(held.setdefault(topic, {}), some)
                emptied = next((at + 1 for at in range(len(some) - 1, -1, -1) if some[at].op == "t"), 0)
                if emptied:  # who asks for a resync has its target emptied, which shows in no GTID set
                    fresh.pop(topic, None)
                fresh.setdefault(topic, set()).update(record.key for record in some[emptied:] if record.read)
                done[topic] = seq
            said = barrier.standings.keys()
            if not barrier.partial:
                before = self._check_fresh(barrier, before, held, fresh)
                fresh.clear()

    def _check_fresh(
        self, barrier: Barrier, before: int, held: dict[str, dict[int | None, Canonical]], fresh: dict[str, set[int | None]]
    ) -> int:
        """How many transactions the barrier is behind."""
        moment = self.history.moment(barrier.gtid_set)
        if moment is None:
            self.report("GTID_SET", f"barrier {barrier.n}: no server had ever executed just {barrier.gtid_set}")
            return before
        history, count = moment
        changed = {transaction.of.table for transaction in history.transactions[before:count] if transaction.of is not None}
        for table in self.history.tables:
            topic = self.topics.rows(table.table)
            for key in fresh.get(topic, ()) if table.table not in changed else ():
                row = history.states[count][table.table].get(key) if key is not None else None
                truth = None if row is None else canonical(row)
                if held[topic].get(key) != truth:
                    self.report("STALE", f"{topic} at barrier {barrier.n}: key {key} was read as {held[topic].get(key)}, is {truth}")
        return count

    def after_janitor(self) -> None:
        """I4 and its other half: the bucket holds the ledger's objects and nothing else."""
        shards = sorted({table.shard for table in self.history.tables})
        wanted = {key for shard in shards for entry in self.audit.database.ledger(shard) for key in ledger_objects(entry.manifest_key)}
        held = set(keys_below(self.audit.bucket, self.audit.prefix))
        if wanted - held:
            self.report("I4_COMMITTED_DELETED", f"{sorted(wanted - held)}")
        if held - wanted:
            self.report("ORPHAN_LEFT", f"{sorted(held - wanted)}")

    def _changes(self, table: TableId) -> list[tuple[Gtid, str]]:
        """GTID and operation of each change of a table's rows since the stream began."""
        began = self.stream.barriers(0)[0].gtid_set.count() if self.snapshots else 0
        history: History = self.history.lost if self.halted and self.history.lost else self.history
        changes = [(t.gtid, change) for t in history.transactions[began:] for change in t.changes if change.table.table == table]
        return [(gtid, change.op.value) for gtid, change in changes if change.op is not Op.TRUNCATE]
