"""Many seeds, on every core, counted."""

import gc
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.fakes.faults import Fate
from tests.simulation.mutants import MUTANTS, SEEDS_MAX
from tests.simulation.variant import Outcome, Variant
from tests.simulation.world import run

CHUNK = 50
KINDS = {
    "kill": (Fate.KILL_BEFORE, Fate.KILL_AFTER, Fate.KILL_SENT),
    "pause": (Fate.PAUSE,),
    "lost": (Fate.LOSE_REQUEST, Fate.LOSE_ANSWER, Fate.DELAY),
}


@dataclass
class Report:
    """What many schedules showed. `seconds` of processor time; `failed`: the outcomes with violations."""

    seeds: int = 0
    seconds: float = 0.0
    failed: list[Outcome] = field(default_factory=list)
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    lossy: dict[str, bool] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        self.seeds += other.seeds
        self.seconds += other.seconds
        self.failed += other.failed
        self.saw(other.hits, other.lossy)

    def saw(self, hits: Counter[tuple[str, str]], lossy: Mapping[str, bool]) -> None:
        """Adds what effects met. One that anywhere can lose an answer can, in whichever order this is told."""
        self.hits += hits
        for effect, can in lossy.items():
            self.lossy[effect] = self.lossy.get(effect, False) or can

    @property
    def schedules_per_s(self) -> float:
        """On one core."""
        return self.seeds / self.seconds if self.seconds else 0.0

    def hits_by_kind(self) -> Iterator[tuple[str, str, int]]:
        """Effect, kind of fault, how often it was met; every effect and every kind that can befall it."""
        for effect, lossy in sorted(self.lossy.items()):
            for kind, fates in KINDS.items():
                if kind != "lost" or lossy:
                    yield effect, kind, sum(self.hits[effect, fate.value] for fate in fates)

    @property
    def effects_hit_min(self) -> int:
        return min((count for _, _, count in self.hits_by_kind()), default=0)


def explore(seeds: range) -> Report:
    """Every seed of the range."""
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    report = Report()
    if len(chunks) == 1:
        return _explored(seeds)
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for part in pool.imap_unordered(_explored, chunks):
            report.add(part)
    report.failed.sort(key=lambda outcome: outcome.seed)
    return report


def hunt() -> dict[str, Outcome | None]:
    """Each mutant, and the first outcome in which something broke; None for one that got through."""
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        return dict(zip([mutant.name for mutant in MUTANTS], pool.map(_hunted, range(len(MUTANTS)), chunksize=1), strict=True))


def first_broken(mutant: Variant) -> Outcome | None:
    """The first seed in which something breaks."""
    for seed in range(SEEDS_MAX):
        outcome = run(seed, mutant)
        if outcome.violations:
            return outcome
    return None


def _hunted(number: int) -> Outcome | None:
    return first_broken(MUTANTS[number])


def _explored(seeds: Sequence[int]) -> Report:
    report, began = Report(), time.process_time()
    gc.disable()
    try:
        for seed in seeds:
            outcome = run(seed)
            report.seeds += 1
            report.saw(outcome.hits, outcome.lossy)
            if outcome.violations:
                report.failed.append(outcome)
    finally:
        gc.enable()
    report.seconds = time.process_time() - began
    return report


def told(seed: int) -> str:
    """A failing schedule in full: what happened, what broke, and the command that shows it again."""
    outcome = run(seed, trace=True)
    broken = "\n".join(f"  {violation}" for violation in outcome.violations) or "  nothing"
    trace = "\n".join(outcome.trace)
    return f"{trace}\nseed {seed} broke:\n{broken}\nagain: python -m tests.simulation --seed {seed} --trace"
