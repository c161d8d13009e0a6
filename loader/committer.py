"""The order of effects that makes a cut durable and visible exactly once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog

from contracts.batch import BatchKey, Manifest, ManifestEntry, sha256_hex
from contracts.errors import Corrupt, PipelineError, Unavailable, Unfit
from contracts.ledger import Fence, LedgerEntry
from contracts.progress import TableState
from contracts.sql import qualified
from loader.core.cut import Cut
from loader.core.lane import Part
from loader.core.plan import (
    PARTITION,
    CommitPlan,
    Destination,
    EncodedBatch,
    Nowhere,
    Passed,
    StagedLoad,
    TableBatch,
    TableLoad,
    TargetTable,
)
from loader.core.quarantine import row_key
from loader.core.refusal import not_copied
from loader.core.shard import Tenure
from loader.core.staging import staging_name
from loader.ports import BatchStore, Clock, Warehouse

TRIES = 8
PAUSE = timedelta(milliseconds=250)
PAUSE_MAX = timedelta(seconds=20)

OBJECTS_AT_A_TIME = 64
OBJECT_BYTES_AT_A_TIME = 32 << 20
"""What is written to the bucket together: much enough to be worth it, little enough to hold in memory."""

BECAUSE_CHARACTERS_MAX = 1_000
"""Of why a table is parked; the column takes four bytes for each."""

TRIM_EVERY = timedelta(days=1)
TRIM_FIRST = timedelta(hours=1)
"""After a shard's first commit here: whoever starts again and again does not begin with it."""

LOADS_AT_A_TIME = 100
"""What is staged in one transaction: few transactions, and a word from the loop between two."""

Keep = Callable[[], None]
"""Called between effects; raises Fenced when the shard was given to somebody else."""

Spent = dict[str, timedelta]
"""By effect: `form` (in it `ensure`, of targets), `store`, `stage`, `merge`, and once a day `trim`, of the ledger."""

Spread = Callable[[Sequence[Callable[[], None]]], None]
"""Does all of them, in any order or at the same time; raises what one of them raised, once none is under way."""


class Encode(Protocol):
    """Changes to Parquet and what does not fit; `loader.core.encode.encode`."""

    def __call__(self, batch: TableBatch, target: TargetTable) -> EncodedBatch: ...


def backoff(attempt: int, jitter: float) -> timedelta:
    """How long to wait before try `attempt` (from 1): doubling, and by `jitter` in [0, 1) up to half shorter, so that two who were
    in each other's way are not so again."""
    return min(PAUSE * (1 << min(attempt, 16) - 1), PAUSE_MAX) * (1 - jitter / 2)


def one_by_one(tasks: Sequence[Callable[[], None]]) -> None:
    """A Spread."""
    for task in tasks:
        task()


class Committer:
    """Makes a cut durable and visible exactly once: for each table data object, manifest and COPY into its staging table, then one short
    warehouse transaction for all of them: fence, offsets, rows, quarantine, ledger, watermark. Dying between any two leaves orphans,
    never a gap."""

    def __init__(
        self,
        *,
        store: BatchStore,
        warehouse: Warehouse,
        encode: Encode,
        clock: Clock,
        nonce: Callable[[], str],
        jitter: Callable[[], float],
        spread: Spread = one_by_one,
        halt_on_bad_row: bool = False,
        ledger_keep: timedelta | None = None,
    ) -> None:
        """`nonce`: eight hex digits never given before; `jitter`: a random number in [0, 1). `ledger_keep`: how long the ledger remembers
        what nobody asks it for any more, None for ever."""
        self._store = store
        self._warehouse = warehouse
        self._encode = encode
        self._clock = clock
        self._nonce = nonce
        self._jitter = jitter
        self._spread = spread
        self._halt_on_bad_row = halt_on_bad_row
        self._ledger_keep = ledger_keep
        self._trim_at: dict[int, datetime] = {}
        self._spent: Spent = {}
        self._log = structlog.get_logger()

    def commit(self, tenure: Tenure, cut: Cut, topic_ids: dict[str, str], keep: Keep) -> tuple[Tenure, CommitPlan, Spent]:
        """The shard after the commit, what was committed, and what took how long. Raises Fenced if a newer epoch owns the shard,
        Unavailable if nothing was committed, OutcomeUnknown if that cannot be told; Corrupt and Invalid for what a person must mend."""
        formed: dict[str, TableLoad | Passed] = {}
        objects: dict[str, bytes] = {}
        self._spent = {}
        for part in cut.parts:
            with self._timed("form"):
                formed[part.topic], written = self._form(tenure, part, topic_ids[part.topic])
            objects |= written
            if len(objects) >= OBJECTS_AT_A_TIME or sum(map(len, objects.values())) >= OBJECT_BYTES_AT_A_TIME:
                self._store_all(objects, keep)
        self._store_all(objects, keep)
        refused: set[str] = set()
        while True:
            loads = [one for one in formed.values() if isinstance(one, TableLoad)]
            passed = [one for one in formed.values() if isinstance(one, Passed)]
            plan = tenure.plan(cut, loads, topic_ids, self._clock.now(), passed)
            try:
                self._apply(plan, keep, staged=bool(refused))
                self._trim(plan.fence)
                return tenure.after(plan), plan, self._spent
            except Unfit as error:
                part = next(part for part in cut.parts if part.topic == error.fields["topic"])
                self._log.warning("target.refused", shard=plan.fence.shard, message=error.message, **error.fields)
                formed[part.topic] = self._after_refusal(tenure, part, topic_ids[part.topic], formed[part.topic], error, refused)
                keep()

    def _trim(self, fence: Fence) -> None:
        """Once a day, behind a commit, which it has no part in: what fails is tried the next day."""
        now = self._clock.now()
        if self._ledger_keep is None or now < self._trim_at.setdefault(fence.shard, now + TRIM_FIRST):
            return
        self._trim_at[fence.shard] = now + TRIM_EVERY
        try:
            with self._timed("trim"):
                forgotten = self._warehouse.trim(fence, now - self._ledger_keep)
        except PipelineError as error:
            self._log.warning("ledger.not_trimmed", shard=fence.shard, message=error.message, **error.fields)
        else:
            self._log.info("ledger.trimmed", shard=fence.shard, rows=forgotten)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = self._clock.now()
        try:
            yield
        finally:
            self._spent[what] = self._spent.get(what, timedelta()) + (self._clock.now() - began)

    def _store_all(self, objects: dict[str, bytes], keep: Keep) -> None:
        """Puts them in the bucket, and forgets them. What is already there under other nonces is an orphan's business."""
        if objects:
            with self._timed("store"):
                self._spread([partial(self._store.put, key, data) for key, data in objects.items()])
            objects.clear()
            keep()

    def _form(self, tenure: Tenure, part: Part, topic_id: str) -> tuple[TableLoad | Passed, dict[str, bytes]]:
        """What becomes of the part, and its objects by key. A parked table's parts are passed over until a TRUNCATE was read and rows fit:
        what the target holds goes with that, and what MySQL holds has followed."""
        key = tenure.key(part.topic, part.offsets, self._nonce())
        held, truncate = tenure.offsets.get(part.topic), part.changes.truncate
        parked = held is not None and held.state is TableState.PARKED
        passed = partial(self._passed, part, topic_id, key, emptied=truncate)
        if isinstance(part.destination, Nowhere):
            return passed(held.target_table if held else "", part.destination.because.message), {}
        target = part.destination.target
        named = qualified(target.schema, target.name)
        if held is not None and parked and not (target.mode.keyed if truncate else held.emptied):
            return passed(named, held.because), {}
        # A TRUNCATE is judged by the newest schema and today's settings: what it does to a table follows from the mode that one has.
        asked = target.bare if truncate and held is not None and not parked else target
        try:
            with self._timed("ensure"):
                self._warehouse.ensure_target(asked, tenure.fence, renewing=part.renewing or parked or truncate, afresh=parked)
        except Unfit as error:
            return passed(named, error.message), {}
        return self._load(tenure, part, part.destination, topic_id, key, emptied=parked and target.mode.keyed)

    def _after_refusal(
        self, tenure: Tenure, part: Part, topic_id: str, formed: TableLoad | Passed, error: Unfit, refused: set[str]
    ) -> TableLoad | Passed:
        """What becomes of a part that its target did not take: it is passed over, as the first of a parked table. A TRUNCATE asks nothing
        of what the target held: its target is made again, once. What was written of the part is an orphan's business."""
        assert isinstance(formed, TableLoad)
        target, first = formed.target, part.topic not in refused
        refused.add(part.topic)
        because = error.message
        if part.changes.truncate and first:
            try:
                with self._timed("ensure"):
                    self._warehouse.ensure_target(target, tenure.fence, renewing=True, afresh=True)
                return formed
            except Unfit as unfit:
                because = unfit.message
        key = tenure.key(part.topic, part.offsets, self._nonce())
        named = qualified(target.schema, target.name)
        return self._passed(part, topic_id, key, named, because, emptied=part.changes.truncate)

    def _load(
        self, tenure: Tenure, part: Part, destination: Destination, topic_id: str, key: BatchKey, *, emptied: bool
    ) -> tuple[TableLoad, dict[str, bytes]]:
        """The part's load, and its objects by key. `emptied`: what the target holds goes first."""
        schema, target = destination.schema, destination.target
        batch = TableBatch(part.topic, PARTITION, schema, part.offsets, part.next_seq, part.changes)
        encoded = self._encode(batch, target)
        if encoded.quarantine and self._halt_on_bad_row:
            first = encoded.quarantine[0]
            raise Corrupt(
                f"{part.topic} at offset {first.offset}: {first.reason}; on_bad_row says halt. Mend the row at the source, or set"
                " on_bad_row: quarantine",
                topic=part.topic,
                offset=first.offset,
                column=first.column,
                values=len(encoded.quarantine),
            )
        staged, manifest_key, manifest_sha256 = None, "", ""
        objects: dict[str, bytes] = {}
        if encoded.parquet is not None:
            manifest = Manifest((ManifestEntry(self._store.url(key.data), len(encoded.parquet)),)).encode()
            objects = {key.data: encoded.parquet, key.manifest: manifest}
            manifest_key, manifest_sha256 = key.manifest, sha256_hex(manifest)
            staged = StagedLoad(target, staging_name(target), self._store.url(key.manifest), encoded.rows, encoded.bare)
        entry = self._entry(part, topic_id, key, encoded, manifest_key, manifest_sha256)
        accounted = entry.superseded + entry.applied + entry.quarantined
        if accounted != len(part.changes):
            raise ValueError(f"{part.topic} {part.offsets}: {len(part.changes)} records read, {accounted} accounted for")
        self._log.debug(
            "batch.formed",
            topic=part.topic,
            offset_start=part.offsets.start,
            offset_stop=part.offsets.stop,
            batch_id=key.nonce,
            records=entry.records,
            superseded=entry.superseded,
            applied=entry.applied,
            quarantined=entry.quarantined,
            values_nulled=entry.values_nulled,
            size_bytes=len(encoded.parquet or b""),
            manifest_key=manifest_key,
        )
        load = TableLoad(target, key, staged, batch.truncate or emptied, entry, encoded.quarantine, _closes(tenure, part, target, encoded))
        return load, objects

    def _entry(
        self, part: Part, topic_id: str, key: BatchKey, encoded: EncodedBatch, manifest_key: str = "", manifest_sha256: str = ""
    ) -> LedgerEntry:
        return LedgerEntry(
            batch_id=key.nonce,
            topic=part.topic,
            partition=PARTITION,
            topic_id=topic_id,
            epoch=key.epoch,
            offsets=part.offsets,
            records=encoded.records,
            superseded=encoded.superseded,
            applied=encoded.applied,
            quarantined=encoded.quarantined,
            values_nulled=encoded.values_nulled,
            manifest_key=manifest_key,
            manifest_sha256=manifest_sha256,
            committed_at=self._clock.now(),
        )

    def _passed(self, part: Part, topic_id: str, key: BatchKey, target: str, because: str, *, emptied: bool) -> Passed:
        count = len(part.changes)
        nothing = EncodedBatch(None, 0, records=count, superseded=count, applied=0, quarantined=0, values_nulled=0)
        entry = self._entry(part, topic_id, key, nothing)
        return Passed(part.topic, part.destination.schema.table, target, entry, because[:BECAUSE_CHARACTERS_MAX], emptied)

    def _apply(self, plan: CommitPlan, keep: Keep, *, staged: bool) -> None:
        """Stages, unless that is done, and commits, again with the same objects while it is certain that nothing happened and the shard is
        ours; the compare-and-set decides whether the epoch is. A load that was refused at each try is staged alone at the last one."""
        loads = [load.staged for load in plan.loads if load.staged is not None]
        refused: set[str] = set()  # of each try the manifest of the load that was; empty for any other trouble
        for attempt in range(1, TRIES + 1):
            try:
                if not staged or attempt > 1:
                    alone = [load for load in loads if {load.manifest_url} == refused] if attempt == TRIES and len(loads) > 1 else []
                    self._stage([load for load in loads if load not in alone], keep)
                    for load in alone:
                        self._stage_alone(load, keep)
                with self._timed("merge"):
                    self._warehouse.commit(plan)
                return
            except Unavailable as error:
                if attempt == TRIES:
                    raise
                refused.add(str(error.fields.get("manifest", "")))
                self._log.warning(
                    "commit.retried", shard=plan.fence.shard, epoch=plan.fence.epoch, attempt=attempt, message=error.message, **error.fields
                )
                self._clock.sleep(backoff(attempt, self._jitter()))
                keep()

    def _stage(self, loads: Sequence[StagedLoad], keep: Keep) -> None:
        for at in range(0, len(loads), LOADS_AT_A_TIME):
            with self._timed("stage"):
                self._warehouse.stage(loads[at : at + LOADS_AT_A_TIME])
            keep()

    def _stage_alone(self, load: StagedLoad, keep: Keep) -> None:
        """Behind all the others, which were taken. Raises Unfit, for events Invalid, when this one is refused for its rows."""
        try:
            self._stage([load], keep)
        except Unavailable as error:
            raise not_copied(load, str(error.fields.get("code", "")), error.message) or error from error


def _closes(tenure: Tenure, part: Part, target: TargetTable, encoded: EncodedBatch) -> tuple[str, ...]:
    """Keys whose quarantine entries are open and whose row is now known again. In append mode an event that couldn't be loaded stays
    missing, whatever comes after it."""
    open_keys = tenure.open_keys.get(part.topic)
    if not open_keys or not target.mode.keyed:
        return ()
    seen = {key for change_key in part.changes.message_keys() if (key := row_key(change_key)) is not None}
    lost = {value.key for value in encoded.quarantine if value.column is None}
    return tuple(sorted((open_keys & seen) - lost))
