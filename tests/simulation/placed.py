"""Every placement of up to two faults in one small schedule: two batches of one table, two loaders, a janitor. Where the seeds go far, this
goes everywhere near."""

import gc
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from tests.fakes.faults import Fate
from tests.simulation.risks import Risks
from tests.simulation.schedule import Actor, Scheduler
from tests.simulation.variant import DESIGN, Outcome, Variant
from tests.simulation.world import World, changed

SEED = 4
"""Of what is not placed: the rows, and how much each poll shows."""

CALM_AFTER = 100
"""Steps: both batches are committed by then when nothing goes wrong, and the janitor has been there."""

SMALL = Risks(flap=0, expiry=0, transactions=(4, 5), tables=1, statements=0, pause_steps_min=40, pause_steps_max=41)
"""A pause is of a whole process, and longer than the group waits for a member that is silent."""

Placement = tuple[tuple[int, Fate], ...]
"""Which effects, counted through the schedule, meet which fate; in order."""


class PlacedScheduler(Scheduler):
    """Everybody gets a turn, and only what is placed goes wrong. `met`: of each effect so far whether it can lose an answer."""

    def __init__(self, *arguments: object, placement: Placement) -> None:
        seed, risks, _, on_end = arguments
        super().__init__(seed, risks, CALM_AFTER, on_end)  # type: ignore[arg-type]  # as the World gives them
        self.promptness = 1.0  # what is delayed comes with the next step
        self.placement = dict(placement)
        self.met: list[bool] = []
        self._turns: dict[Actor, int] = {}

    def _draw(self, actor: Actor, effect: str, lossy: bool) -> Fate:
        self.met.append(lossy)
        return self.placement.get(len(self.met) - 1, Fate.RUN)

    def stopped(self, actor: Actor) -> list[Actor]:
        return actor.process

    def _pick(self, ready: list[Actor]) -> Actor:
        chosen = min(ready, key=lambda actor: self._turns.get(actor, 0))
        self._turns[chosen] = self.step
        return chosen


@dataclass
class PlacedReport:
    """`placements`: how many were run; `failed`: those with violations."""

    placements: int = 0
    failed: list[tuple[Placement, Outcome]] = field(default_factory=list)

    def add(self, other: "PlacedReport") -> None:
        self.placements += other.placements
        self.failed += other.failed


def run_placed(placement: Placement, variant: Variant = DESIGN, *, trace: bool = False) -> tuple[Outcome, list[bool]]:
    """The schedule with these faults, and of each effect it met whether that can lose an answer."""
    small = replace(variant, risks=SMALL, streams=False, shards=1)
    with changed(small):
        world = World(SEED, small, trace=trace, scheduling=partial(PlacedScheduler, placement=placement))
        outcome = world.run()
    assert isinstance(world.scheduler, PlacedScheduler)
    return outcome, world.scheduler.met


def place_all(stride: int = 1) -> PlacedReport:
    """Every single fault, and with each every `stride`-th that can follow it."""
    report = PlacedReport()
    outcome, met = run_placed(())
    _count(report, (), outcome)
    tasks = [(fault, stride, number) for number, fault in enumerate(faults(met))]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for part in pool.imap_unordered(_place_second, tasks, chunksize=4):
            report.add(part)
    return report


def _place_second(task: tuple[tuple[int, Fate], int, int]) -> PlacedReport:
    first, stride, number = task
    report = PlacedReport()
    gc.disable()
    try:
        outcome, met = run_placed((first,))
        _count(report, (first,), outcome)
        # Another beginning with each first fault, so that a part of all goes everywhere.
        for second in list(faults(met, first[0] + 1))[number % stride :: stride]:
            _count(report, (first, second), run_placed((first, second))[0])
    finally:
        gc.enable()
    return report


def faults(met: list[bool], start: int = 0) -> Iterator[tuple[int, Fate]]:
    """Each that can be placed, from the effect `start` on."""
    for at in range(start, len(met)):
        for fate in (Fate.KILL_BEFORE, Fate.KILL_AFTER, Fate.PAUSE):
            yield at, fate
        if met[at]:
            for fate in (Fate.KILL_SENT, Fate.LOSE_ANSWER, Fate.DELAY):
                yield at, fate


def _count(report: PlacedReport, placement: Placement, outcome: Outcome) -> None:
    report.placements += 1
    if outcome.violations:
        report.failed.append((placement, outcome))


def told_placed(placement: Placement) -> str:
    """A failing placement in full."""
    outcome, _ = run_placed(placement, trace=True)
    broken = "\n".join(f"  {violation}" for violation in outcome.violations)
    return "\n".join(outcome.trace) + f"\nplacement {placement} broke:\n{broken}"
