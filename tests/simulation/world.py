"""A whole pipeline in one process: a source that goes on and may move to another server, streamers with their readers of tables, two
loaders, janitors, and people, on the fakes, in the order a seed decides."""

import logging
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from unittest.mock import patch

import structlog

from contracts.errors import Fenced, Gone, PipelineError, Unavailable
from contracts.ledger import Fence
from contracts.progress import TableState
from streamer.service.beginning import Snapshot
from tests.fakes.faults import Gate
from tests.simulation.audit import BUG, HALT, Audit
from tests.simulation.ending import Ending
from tests.simulation.people import People
from tests.simulation.processes import Processes, delete_all_orphans
from tests.simulation.schedule import Actor, Scheduler
from tests.simulation.surroundings import BUCKET_PREFIX, Surroundings
from tests.simulation.variant import DESIGN, Outcome, Variant

STEPS_MAX = 6_000
CALM_AFTER = 220
"""Steps until nothing goes wrong any more."""


class World:
    """`halted`: the source has lost what was streamed of it, and the stream has ended, as it must."""

    def __init__(
        self, seed: int, variant: Variant = DESIGN, *, trace: bool = False, scheduling: Callable[..., Scheduler] = Scheduler
    ) -> None:
        """`scheduling`: given seed, risks, steps until the calm and who is told of an actor's end."""
        self.seed = seed
        self.variant = variant
        self.scheduler = scheduling(seed, variant.risks, CALM_AFTER, self._ended)
        if trace:
            self.scheduler.trace = []
        rng = self.rng = self.scheduler.rng
        around = self.around = Surroundings(self.scheduler, variant)
        self.audit = Audit(around.history, around.topics, around.broker, around.bucket, BUCKET_PREFIX, around.database, around.group)
        around.database.store.on_commit = self.audit.after_commit
        self.people = People(self.scheduler, around, self.audit) if around.streams else None
        self.processes = Processes(around, variant, self.audit.stream, self.people)
        self.halted = False
        names = ["loader1", "loader2", *(("streamer1", "streamer2", "operator") if around.streams else ("streamer1",))]
        for name in (*names, *("janitor1", "janitor2")[: rng.choice((1, 2))]):
            self._start(name)

    def _start(self, name: str, delay: timedelta = timedelta()) -> None:
        self.processes.lives[name] += 1
        body = self.processes.bodies[name.rstrip("0123456789")]

        def live(actor: Actor) -> None:
            if delay:
                actor.sleep(delay)
            body(actor)

        self.scheduler.add(Actor(self.scheduler, name, live))

    def _ended(self, actor: Actor) -> None:
        """A process is gone, and somebody starts it again."""
        if actor.error is not None and not isinstance(actor.error, (Fenced, Unavailable)) and not self._halted_rightly(actor):
            kind = HALT if isinstance(actor.error, PipelineError) else BUG
            self.audit.report(kind, f"{actor.name} at {actor.doing}: {type(actor.error).__name__}: {actor.error}")
        self.processes.abandon(actor.name)
        if self.scheduler.trace is not None:
            self.scheduler.note(f"{actor.name:10s} is gone {actor.error or ''}")
        streamed = self.processes.fed and not self.around.broker.transactions
        done = streamed if actor.name.startswith("streamer") else actor.name.startswith("janitor") and self.scheduler.calm
        if not done:
            self._start(actor.name, timedelta(milliseconds=self.rng.randrange(0, 3_000)))

    def _halted_rightly(self, actor: Actor) -> bool:
        """Whether a process that must be seen to has ended for what has befallen it, and names that."""
        error = actor.error
        if error is None or self.people is None:
            return False
        if actor.name.startswith("loader"):
            return self.people.halted_rightly(error)
        position, lost = self.audit.stream.position(), self.around.history.lost
        if not isinstance(error, Gone) or error.fields.get("fault") != "transactions_lost" or lost is None or position is None:
            return False
        if position.streamed.is_subset(self.around.history.all):
            return False
        self.halted = self.processes.fed = True
        return True

    # -- the run

    def run(self) -> Outcome:
        scheduler, audit = self.scheduler, self.audit
        while scheduler.step < STEPS_MAX and not audit.violations:
            self.around.go_on()
            if self.people is not None and not self.processes.fed:
                self.people.act()
            moved = scheduler.turn()
            audit.check_mirror()
            if not moved or (scheduler.step % 4 == 0 and self.at_rest()):
                break
        if not audit.violations:
            if self.at_rest():
                self._end()
            else:
                fences = [self.around.database.fence(shard) for shard in range(self.around.shards)]
                audit.report("STUCK", f"after {scheduler.step} steps: {fences}")
        scheduler.end()
        return Outcome(self.seed, tuple(audit.violations), scheduler.step, scheduler.hits, scheduler.lossy, tuple(scheduler.trace or ()))

    def _end(self) -> None:
        """The writers stop; two passes of the janitor later only what was committed is left."""
        self.scheduler.end()
        ending = Ending(self.audit, snapshots=self.around.snapshot is Snapshot.INITIAL, halted=self.halted)
        ending.at_rest(self.people.wanted if self.people else ())
        delete_all_orphans(self.around, self.variant, Gate(self.scheduler.time, self.rng))
        ending.after_janitor()

    def at_rest(self) -> bool:
        """All is published and loaded, and nothing on its way."""
        if not self.processes.fed or self.scheduler.belated:
            return False
        if self.people is not None and not self.halted and not self.processes.all_published():
            self._stream_on()
            return False
        return all(self._loaded(self.around.database.fence(shard)) for shard in range(self.around.shards))

    def _stream_on(self) -> None:
        """Somebody has asked for more, behind all that was asked for before: who streams had ended."""
        self.processes.fed = False
        alive = {actor.name for actor in self.scheduler.actors}
        for name in sorted({"streamer1", "streamer2"} - alive):
            self._start(name)

    def _loaded(self, fence: Fence) -> bool:
        if self.halted:
            if any(row.because and row.state is not TableState.PARKED for row in self.around.database.offsets(fence.shard)):
                return False  # altered for rows that are on Kafka, whole or not
            # What is behind the last whole barrier waits for the rest of its transaction.
            return fence.barrier_no >= max((b.n for b in self.audit.stream.barriers(fence.shard) if not b.partial), default=0)
        log = self.around.broker.partition(self.around.topics.progress, fence.shard)
        last = next((offset for offset in range(log.end - 1, -1, -1) if log.delivers(offset)), -1)
        return fence.progress_offset == last + 1


def run(seed: int, variant: Variant = DESIGN, *, trace: bool = False) -> Outcome:
    """One schedule. The same seed and variant, the same trace."""
    with changed(variant):
        return World(seed, variant, trace=trace).run()


@contextmanager
def changed(variant: Variant) -> Iterator[None]:
    """While it lasts the code is as the variant has it, and silent."""
    with silent(), ExitStack() as changes:
        for owner, name, value in variant.patches:
            changes.enter_context(patch.object(owner, name, value))
        yield


@contextmanager
def silent() -> Iterator[None]:
    """Logs go nowhere: a schedule's story is its trace."""
    before = structlog.get_config()
    # A logger that is cached now stays silent for good: only in a process that does nothing else.
    alone = multiprocessing.parent_process() is not None
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=alone)
    try:
        yield
    finally:
        structlog.configure(**before)
