"""The loop: ASSIGN, SEEK, POLL, then cut, write, stage, COMMIT and ACK, for every shard the group gives this process.

What waits for bucket or warehouse is done beside the loop, so the next micro-batch is read while one is committed. Commits of a process
follow one another, and one micro-batch at most waits for the one before it.

One way leads back from every trouble: crash, rebalance, lost answer, refused transaction, lost epoch. What was read is dropped, and the
shard is taken again: epoch first, then fence and offsets from one snapshot.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from contracts.errors import Corrupt, Fenced, Gone, OutcomeUnknown, PipelineError, Unavailable
from contracts.ledger import TopicOffset
from contracts.topics import Topics
from loader.committer import Committer, Spent, backoff
from loader.core.cut import Cut, CutPolicy, CutReason, OpenBatch, OpenRun, Start
from loader.core.gap import rows_missing
from loader.core.mirror import Mirror, refuse_restored
from loader.core.plan import CommitPlan
from loader.core.shard import Tenure, start_of_progress, start_of_rows
from loader.ports import Clock, Job, Membership, ShardLog, ShardState, Warehouse, Worker
from loader.telling import EPOCH, RESTARTS, Teller

RECORDS_MAX = 500
"""Records of one poll: few enough that a batch is cut soon after it is full, and that they stay in the processor's caches."""

LOSS_CHECK_EVERY = timedelta(seconds=1)
CONTEST_WINDOW = timedelta(minutes=1)
CONTEST_BUMPS = 3
"""More takeovers of a shard a minute than this, and two loaders are throwing each other out."""

Commit = tuple[Tenure, CommitPlan, Spent]


class _Lease:
    """Whether a shard is still ours to take or to commit to, as the loop knows it. Asked by the worker between two effects."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._over = ""

    def end(self, why: str) -> None:
        self._over = why

    def keep(self) -> None:
        if self._over:
            raise Fenced(f"shard {self._shard} {self._over}")


@dataclass(slots=True)
class _Reading:
    """A shard assigned, sought and being read. `more`: the last poll did not show all there is. `astray`: the reader has lost its place.
    `under_way`: the commit of what was cut last, the cut, and when that was."""

    tenure: Tenure
    batch: OpenBatch
    loss_checked_at: datetime
    held: frozenset[str] = frozenset()
    more: bool = False
    astray: bool = False
    under_way: tuple[Job[Commit], Cut, datetime] | None = None


class ShardLoader:
    """One shard, as long as the group says it is ours."""

    def __init__(
        self,
        shard: int,
        *,
        owner: str,
        topics: Topics,
        policy: CutPolicy,
        log: ShardLog,
        membership: Membership,
        warehouse: Warehouse,
        destinations: OpenRun,
        committer: Committer,
        worker: Worker,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._shard = shard
        self._owner = owner
        self._topics = topics
        self._policy = policy
        self._source = log
        self._membership = membership
        self._warehouse = warehouse
        self._destinations = destinations
        self._committer = committer
        self._worker = worker
        self._clock = clock
        self._jitter = jitter
        self._log = structlog.get_logger().bind(shard=shard)
        self._teller = Teller(shard, clock)
        self._lease = _Lease(shard)
        self._assigning: Job[Tenure] | None = None
        self._acknowledged: Mirror | None = None  # the last commit Kafka knew of when the shard was begun to be taken
        self._reading: _Reading | None = None
        self._not_before: datetime | None = None
        self._failures = 0
        self.trouble: PipelineError | None = None
        """Why the shard was last taken again; None once something was committed since."""
        self._bumps: deque[datetime] = deque()

    @property
    def tenure(self) -> Tenure | None:
        """What we hold of the shard; None while it is being taken."""
        return self._reading.tenure if self._reading else None

    @property
    def awaits_rows(self) -> bool:
        """Whether a barrier was read whose rows were not."""
        return self._reading is not None and bool(self._reading.batch.awaited)

    def step(self, timeout: timedelta) -> bool:
        """One turn: take the shard, or read for up to `timeout` and have it committed if it is time. True when anything moved.

        Raises what a person must see to: Gone, Corrupt, Invalid; but never as a zombie, whose picture of the log is an old one.
        """
        now = self._clock.now()
        if self._not_before is not None and now < self._not_before:
            self._clock.sleep(min(self._not_before - now, timeout))
            return False
        self._not_before = None
        try:
            if self._reading is not None:
                return self._read(self._reading, timeout)
            if self._assigning is None:
                self._lease = _Lease(self._shard)
                # Before the fence is read: what was acknowledged by then is in it, and what a successor commits later proves nothing.
                self._acknowledged = Mirror.parse(self._membership.mirrored(self._shard))
                self._assigning = self._worker.start(partial(self._assign, self._lease))
            if not self._assigning.wait(timeout):
                return False
            assigned, self._assigning = self._assigning, None
            tenure = assigned.result()
            refuse_restored(tenure.fence, self._acknowledged)
            self._reading = self._seek(tenure)
        except (Fenced, OutcomeUnknown, Unavailable) as error:
            self._restart(error)
        except PipelineError as error:
            self._stop(error)
        return True

    def close(self, why: str) -> None:
        """Drops what was read and not committed. A commit under way ends before its next effect, or happens."""
        EPOCH.labels(self._shard).set(0)
        self._drop(why)
        self._teller.close()
        self._source.close()

    def _drop(self, why: str) -> None:
        self._lease.end(why)
        self._reading = None

    def _assign(self, lease: _Lease) -> Tenure:
        """ASSIGN: the epoch first; then, in one snapshot, what every commit before it left. Raises Fenced when somebody else was given
        an epoch since, or the shard."""
        lease.keep()
        now = self._clock.now()
        while self._bumps and now - self._bumps[0] >= CONTEST_WINDOW:
            self._bumps.popleft()
        self._bumps.append(now)
        if len(self._bumps) > CONTEST_BUMPS:
            self._log.error("shard.contested", epoch_bumps=len(self._bumps), within_seconds=CONTEST_WINDOW.total_seconds())
        epoch = self._warehouse.bump_epoch(self._shard, self._owner)
        granted_at = self._clock.now()
        state = self._warehouse.read_state(self._shard)
        if state.fence.epoch != epoch:
            raise Fenced(f"shard {self._shard}: granted epoch {epoch}, found {state.fence.epoch}", epoch=epoch)
        EPOCH.labels(self._shard).set(epoch)
        self._log.info(
            "shard.assigned",
            epoch=epoch,
            commit_no=state.fence.commit_no,
            progress_offset=state.fence.progress_offset,
            gtid_set=str(state.fence.gtid_set),
            topics=len(state.offsets),
        )
        self._teller.states(state.offsets.values())
        return Tenure.begin(state.fence, state.offsets, state.open_keys, granted_at)

    def _seek(self, tenure: Tenure) -> _Reading:
        """SEEK: where the warehouse says, if Kafka still has it."""
        progress = self._topics.progress
        batch = OpenBatch(progress, tenure.fence.progress_offset, tenure.fence.barrier_no, {}, self._destinations)
        self._reading = reading = _Reading(tenure, batch, self._clock.now())
        bounds = self._source.bounds(progress)
        offsets = {progress: start_of_progress(progress, tenure.fence.progress_offset, bounds.low, bounds.stable_end)}
        for topic in sorted(tenure.offsets):
            start = self._start(tenure.offsets, topic)
            reading.batch.open(topic, start)
            offsets[topic] = start.offset
        self._source.seek(offsets)
        self._teller.headroom(tenure.fence.commit_ts_us, self._source.retention(offsets))
        return reading

    def _start(self, offsets: Mapping[str, TopicOffset], topic: str) -> Start:
        topic_id = self._source.topic_id(topic)
        bounds = self._source.bounds(topic)
        return start_of_rows(topic, topic_id, offsets.get(topic), bounds.low, bounds.stable_end)

    def _read(self, reading: _Reading, timeout: timedelta) -> bool:
        """POLL, and everything after it once there is a reason to cut."""
        ended = self._settle(reading)
        if reading.under_way and (reading.astray or self._reason(reading) not in (None, CutReason.AGE)):
            # There is nothing to do but to wait for the commit.
            return reading.under_way[0].wait(timeout) or ended
        if reading.astray:
            self._reading = self._seek(reading.tenure)
            return True
        # What is full since before the last commit ended takes in no more.
        moved = self._cut_if_due(reading) or ended
        moved |= self._poll(reading, timedelta(0) if moved else timeout)
        return self._cut_if_due(reading) or moved

    def _cut_if_due(self, reading: _Reading) -> bool:
        if reading.under_way or reading.astray or (reason := self._reason(reading)) is None:
            return False
        self._commit(reading, reading.batch.cut(reason, self._clock.now()))
        return True

    def _reason(self, reading: _Reading) -> CutReason | None:
        return reading.batch.reason_to_cut(self._policy, self._clock.now(), more=reading.more)

    def _poll(self, reading: _Reading, timeout: timedelta) -> bool:
        held = reading.batch.ahead(self._policy)
        if held != reading.held:
            self._source.hold(held)
            reading.held = held
        try:
            found = self._source.poll(RECORDS_MAX, timeout)
        except Gone:
            # Kafka expires an idle table's segments under a reader too. The rule of SEEK knows that from a loss.
            reading.astray = True
            return True
        now = self._clock.now()
        for records in found:
            reading.batch.add(records, now)
        reading.more = sum(map(len, found)) >= RECORDS_MAX
        for topic in sorted(reading.batch.unread):
            start = self._start(reading.tenure.offsets, topic)
            reading.batch.open(topic, start)
            self._source.add(topic, start.offset)
        if not found and now - reading.loss_checked_at >= LOSS_CHECK_EVERY:
            reading.loss_checked_at = now
            self._refuse_loss(reading)
        return bool(found)

    def _settle(self, reading: _Reading) -> bool:
        """Whether a commit under way has ended. Raises what it raised."""
        if reading.under_way is None or not reading.under_way[0].wait(timedelta(0)):
            return False
        (job, cut, began), reading.under_way = reading.under_way, None
        reading.tenure, plan, spent = job.result()
        self._failures, self.trouble = 0, None
        next_offsets = {self._topics.progress: plan.fence.progress_offset}
        next_offsets |= {offset.topic: offset.next_offset for offset in plan.offsets}
        watermark = datetime.fromtimestamp(plan.fence.commit_ts_us / 1_000_000, UTC)
        self._teller.committed(cut, plan, watermark, self._clock.now() - began, spent)
        self._membership.mirror(self._shard, next_offsets, str(Mirror(watermark, plan.fence.commit_no, plan.fence.epoch)))
        return True

    def _refuse_loss(self, reading: _Reading) -> None:
        """A barrier is visible only once its rows are in their partitions. Read to the end, marker or not, without them: they are gone."""
        for topic, seq in reading.batch.awaited.items():
            bounds = self._source.bounds(topic)
            if self._source.position(topic) >= bounds.end:
                held = reading.tenure.offsets.get(topic)
                table = held.source_table if held else topic.removeprefix(f"{self._topics.prefix}.")
                raise rows_missing(topic, table, seq, bounds.end)

    def _commit(self, reading: _Reading, cut: Cut) -> None:
        """Has it done: WRITE, STAGE, COMMIT."""
        topic_ids = {part.topic: reading.batch.topic_id(part.topic) for part in cut.parts}
        task = partial(self._committer.commit, reading.tenure, cut, topic_ids, self._lease.keep)
        reading.under_way = (self._worker.start(task), cut, self._clock.now())

    def _restart(self, error: PipelineError) -> None:
        """Back to ASSIGN, after a pause that grows while nothing succeeds."""
        self._failures += 1
        self.trouble = error
        pause = backoff(self._failures, self._jitter())
        RESTARTS.labels(self._shard, type(error).__name__).inc()
        self._log.warning(
            "shard.restarted",
            error=type(error).__name__,
            message=error.message,
            pause_ms=round(pause.total_seconds() * 1000),
            **{f"field_{name}": value for name, value in error.fields.items()},
        )
        EPOCH.labels(self._shard).set(0)
        self._drop("is taken again")
        self._not_before = self._clock.now() + pause

    def _stop(self, error: PipelineError) -> None:
        """Only the owner may halt: a zombie sees an old position, and rows gone that its successor has loaded."""
        held = self.tenure
        try:
            if held is None:
                raise error
            state = self._state()
            if state.fence.epoch != held.fence.epoch:
                self._restart(
                    Fenced(f"shard {self._shard}: epoch {held.fence.epoch} is over, so this is not ours to judge: {error.message}")
                )
                return
            self._refuse_other_topic(state.offsets, error)
        except (Unavailable, OutcomeUnknown) as unread:
            self._restart(unread)
            return
        raise error

    def _refuse_other_topic(self, offsets: Mapping[str, TopicOffset], error: PipelineError) -> None:
        """Kafka goes on answering under the name of a topic that was made again, with other records at the same offsets. `offsets`: as the
        warehouse has them, for a commit that was under way may have been a topic's first."""
        topic = str(error.fields.get("topic", ""))
        if isinstance(error, Gone | Corrupt) and topic in offsets:
            self._start(offsets, topic)

    def _state(self) -> ShardState:
        """What the warehouse says of the shard."""
        self._drop("halts")
        asked = self._worker.start(partial(self._warehouse.read_state, self._shard))
        while not asked.wait(LOSS_CHECK_EVERY):
            self._membership.poll(timedelta(0))
        return asked.result()


def end_of_progress(log: ShardLog, topic: str, next_offset: int) -> int:
    """The offset behind the last barrier Kafka holds now, `next_offset` when it holds none from there on. Moves the reader."""
    bounds = log.bounds(topic)
    log.seek({topic: max(next_offset, bounds.low)})
    end = next_offset
    while log.position(topic) < bounds.stable_end:
        for records in log.poll(RECORDS_MAX, timedelta(milliseconds=200)):
            end = max([end, *(offset + 1 for offset in records.offsets if offset < bounds.stable_end)])
    return end


class Loader:
    """Every shard the group gives this process. `step` does one turn, so whoever drives it decides when to stop: anywhere is safe."""

    def __init__(
        self,
        *,
        owner: str,
        topics: Topics,
        policy: CutPolicy,
        membership: Membership,
        open_log: Callable[[int], ShardLog],
        warehouse: Warehouse,
        destinations: OpenRun,
        committer: Committer,
        worker: Worker,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        """`owner`: this process, as people know it. `open_log`: a new reader of a shard. `jitter`: a random number in [0, 1)."""
        self._owner = owner
        self._topics = topics
        self._policy = policy
        self._membership = membership
        self._open_log = open_log
        self._warehouse = warehouse
        self._destinations = destinations
        self._committer = committer
        self._worker = worker
        self._clock = clock
        self._jitter = jitter
        self._log = structlog.get_logger()
        self._shards: dict[int, ShardLoader] = {}

    @property
    def shards(self) -> dict[int, ShardLoader]:
        """The shards held now."""
        return dict(self._shards)

    def step(self, timeout: timedelta) -> bool:
        """One turn of each shard, reading for up to `timeout` in all. True when anything moved; False means there is nothing to do
        right now. Raises Gone, Corrupt, Invalid, Refused: a person must look."""
        self._follow(self._membership.poll(timedelta(0) if self._shards else timeout))
        moved = False
        for shard in self._shards.values():
            moved |= shard.step(timeout / len(self._shards))
        return moved

    def close(self) -> None:
        """Abandons every open batch and leaves the group. What was read and is not committed will be read again."""
        self._follow(frozenset(), "is given up: this loader stops")
        self._worker.close()
        self._membership.close()
        self._warehouse.close()

    def _follow(self, assigned: frozenset[int], why: str = "was given to another loader") -> None:
        for shard in self._shards.keys() - assigned:
            self._log.info("shard.lost", shard=shard)
            self._shards.pop(shard).close(why)
        for shard in sorted(assigned - self._shards.keys()):
            self._shards[shard] = ShardLoader(
                shard,
                owner=self._owner,
                topics=self._topics,
                policy=self._policy,
                log=self._open_log(shard),
                membership=self._membership,
                warehouse=self._warehouse,
                destinations=self._destinations,
                committer=self._committer,
                worker=self._worker,
                clock=self._clock,
                jitter=self._jitter,
            )
