"""One shard, from ASSIGN to ACK: taken, read, cut, and handed to the committer, again and again.

One way leads back from every trouble: crash, rebalance, lost answer, refused transaction, lost epoch. What was read is dropped, and the
shard is taken again: epoch first, then fence and offsets from one snapshot.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from contracts.errors import Corrupt, Fenced, Gone, OutcomeUnknown, PipelineError, Unavailable
from contracts.ledger import TopicOffset
from contracts.topics import Topics
from loader.committer import Committer, Spent, backoff
from loader.core.cut import Cut, CutPolicy, CutReason
from loader.core.lane import OpenRun
from loader.core.mirror import Mirror, refuse_restored
from loader.core.plan import CommitPlan
from loader.core.shard import Tenure
from loader.ports import Clock, Job, Membership, ShardLog, ShardState, Warehouse, Worker
from loader.service.reading import LOSS_CHECK_EVERY, Reading, start_in
from loader.telling import EPOCH, RESTARTS, Teller

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
        captured: Callable[[TopicOffset], bool],
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
        self._captured = captured
        self._log = structlog.get_logger().bind(shard=shard)
        self._teller = Teller(shard, clock)
        self._lease = _Lease(shard)
        self._assigning: Job[Tenure] | None = None
        self._acknowledged: Mirror | None = None  # the last commit Kafka knew of when the shard was begun to be taken
        self._reading: Reading | None = None
        self._under_way: tuple[Job[Commit], Cut, datetime] | None = None  # the commit of what was cut last, the cut, and when that was
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
        return self._reading is not None and self._reading.awaits_rows

    def step(self, timeout: timedelta) -> bool:
        """One turn: take the shard, or read for up to `timeout` and have it committed if it is time. True when anything moved.

        Raises what a person must see to: Gone, Corrupt, Invalid; but never as a zombie, whose picture of the log is an old one.
        """
        now = self._clock.now()
        if self._not_before is not None and now < self._not_before:
            self._clock.sleep(min(self._not_before - now, timeout))
            return False
        self._not_before = None
        with self._minding():
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
            self._seek(tenure)
        return True

    def refuse_loss(self) -> None:
        """Raises Gone, as `step` does each second in which nothing is read, where rows of a barrier are. For whoever has just read
        nothing, and no clock that moves."""
        with self._minding():
            if self._reading is not None:
                self._reading.refuse_loss()

    @contextmanager
    def _minding(self) -> Iterator[None]:
        try:
            yield
        except (Fenced, OutcomeUnknown, Unavailable) as error:
            self._restart(error)
        except PipelineError as error:
            self._stop(error)

    def close(self, why: str) -> None:
        """Drops what was read and not committed. A commit under way ends before its next effect, or happens."""
        EPOCH.labels(self._shard).set(0)
        self._drop(why)
        self._teller.close()
        self._source.close()

    def _drop(self, why: str) -> None:
        self._lease.end(why)
        self._reading = self._under_way = None

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
            left=sorted(held.source_table for held in state.offsets.values() if not self._captured(held)),
        )
        self._teller.states(state.offsets.values())
        return Tenure.begin(state.fence, state.offsets, state.open_keys, granted_at)

    def _seek(self, tenure: Tenure) -> None:
        self._reading = Reading(tenure, self._topics, self._policy, self._source, self._destinations, self._clock, self._captured)
        self._teller.reached(tenure.fence.commit_ts_us, self._reading.seek())

    def _read(self, reading: Reading, timeout: timedelta) -> bool:
        """POLL, and everything after it once there is a reason to cut."""
        ended = self._settle(reading)
        if self._under_way and (reading.astray or reading.reason_to_cut() not in (None, CutReason.AGE)):
            # There is nothing to do but to wait for the commit.
            return self._under_way[0].wait(timeout) or ended
        if reading.astray:
            self._seek(reading.tenure)
            return True
        # What is full since before the last commit ended takes in no more.
        moved = self._cut_if_due(reading) or ended
        moved |= reading.poll(timedelta(0) if moved else timeout)
        return self._cut_if_due(reading) or moved

    def _cut_if_due(self, reading: Reading) -> bool:
        if self._under_way or reading.astray or (reason := reading.reason_to_cut()) is None:
            return False
        self._commit(reading, *reading.cut(reason))
        return True

    def _commit(self, reading: Reading, cut: Cut, topic_ids: dict[str, str]) -> None:
        """Has it done: WRITE, STAGE, COMMIT."""
        task = partial(self._committer.commit, reading.tenure, cut, topic_ids, self._lease.keep)
        self._under_way = (self._worker.start(task), cut, self._clock.now())

    def _settle(self, reading: Reading) -> bool:
        """Whether a commit under way has ended. Raises what it raised."""
        if self._under_way is None or not self._under_way[0].wait(timedelta(0)):
            return False
        (job, cut, began), self._under_way = self._under_way, None
        reading.tenure, plan, spent = job.result()
        self._failures, self.trouble = 0, None
        next_offsets = {self._topics.progress: plan.fence.progress_offset}
        next_offsets |= {offset.topic: offset.next_offset for offset in plan.offsets}
        watermark = datetime.fromtimestamp(plan.fence.commit_ts_us / 1_000_000, UTC)
        self._teller.committed(cut, plan, watermark, self._clock.now() - began, spent)
        self._membership.mirror(self._shard, next_offsets, str(Mirror(watermark, plan.fence.commit_no, plan.fence.epoch)))
        return True

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
            start_in(self._source, topic, offsets)

    def _state(self) -> ShardState:
        """What the warehouse says of the shard."""
        self._drop("halts")
        asked = self._worker.start(partial(self._warehouse.read_state, self._shard))
        while not asked.wait(LOSS_CHECK_EVERY):
            self._membership.poll(timedelta(0))
        return asked.result()
