"""Cycles of faults under traffic, and what they did to the rows."""

import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from math import ceil
from pathlib import Path
from typing import Any

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.oracle import Comparison, compare
from tests.chaos.world import LEDGER, World, running_world
from tests.stack.scenario import assert_ledger_tiles, query

COMPARE_EVERY = 3
"""Cycles, while the traffic goes on."""
REST_EVERY = 5
"""Cycles after which the traffic rests, and everything is compared with everything."""
TRIES = 3
"""Whatever was tried so often without a hit can't be hit: nothing was proven by it."""
_CUT_PATIENCE_S = 10.0
"""So long a whole cut may take to come: tables are being read again meanwhile."""


@dataclass
class Report:
    """`faults`: how many by kind. `hits`: how many of them met what they were to break. `crash_points`: by name, how many died there;
    `crash_points_not_reached`: how many did not. `revived`: services that ended by themselves and were started again. Rows are compared
    again and again, and counted each time; `comparisons_under_load` of the comparisons with traffic. `records`: on Kafka, each in one entry
    of the ledger. `orphans_deleted`: attempts, by janitors that lived to say so. `wrong`: what else contradicts the ledger; it was
    printed."""

    cycles: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    crash_points: Counter[str] = field(default_factory=Counter)
    crash_points_not_reached: Counter[str] = field(default_factory=Counter)
    revived: int = 0
    transactions: int = 0
    ddl: int = 0
    comparisons: int = 0
    comparisons_under_load: int = 0
    no_cut: int = 0
    rows_compared: int = 0
    records: int = 0
    lost: int = 0
    foreign: int = 0
    duplicated: int = 0
    orphans_deleted: int = 0
    orphans_left: int = 0
    committed_objects_deleted: int = 0
    wrong: int = 0
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: {"streamer": [], "loader": []})
    """By service, of the faults that hit and stop it."""
    broke: str = ""
    """What ended the campaign before its last cycle."""

    @property
    def is_clean(self) -> bool:
        bad = self.lost or self.foreign or self.duplicated or self.orphans_left or self.committed_objects_deleted or self.wrong
        return not (bad or self.broke or self.never_hit)

    @property
    def never_hit(self) -> list[str]:
        """Kinds, crash points and comparisons under load that were tried again and again, and nothing came of it."""
        tried = [(kind, count, self.hits[kind]) for kind, count in self.faults.items()]
        tried += [(point, missed, self.crash_points[point]) for point, missed in self.crash_points_not_reached.items()]
        tried.append(("comparison_under_load", self.no_cut, self.comparisons_under_load))
        return sorted(name for name, count, hits in tried if count >= TRIES and not hits)

    def line(self) -> dict[str, Any]:
        recovery = {f"recovery_s_{name}": {who: of(took) for who, took in self.recovery_s.items()} for name, of in _FIGURES.items()}
        counts = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        named = {name: dict(sorted(value.items())) for name, value in vars(self).items() if isinstance(value, Counter)}
        return {**counts, **named, "never_hit": self.never_hit, **recovery, **({"broke": self.broke} if self.broke else {})}


def campaign(directory: Path, cycles: int, seed: int, say: Callable[[str], None]) -> Report:
    """So many faults, and what they came to; also what the cycles before came to when streamer or loader don't recover, or the ledger has
    a gap."""
    report = Report()
    try:
        _run(directory, cycles, seed, report, say)
    except Exception as error:  # an hour's findings are not lost with the cycle that broke
        say(traceback.format_exc())
        report.broke = f"cycle {report.cycles + 1}: {type(error).__name__}: {error}"
    return report


def _run(directory: Path, cycles: int, seed: int, report: Report, say: Callable[[str], None]) -> None:
    chance = random.Random(seed)
    with running_world(directory, seed) as world:
        try:
            _cycles(world, cycles, chance, report, say)
            with world.quiet():
                world.settle()
                _clean(world, report, say)
        finally:
            report.transactions, report.ddl, report.revived = world.transactions, world.ddl, world.revived
            report.crash_points, report.crash_points_not_reached = world.crashes, world.not_reached
            report.orphans_deleted = world.orphans_deleted


def _cycles(world: World, cycles: int, chance: random.Random, report: Report, say: Callable[[str], None]) -> None:
    world.begin()
    for kind, fault in planned(chance, cycles):
        hit = fault.act(world, chance)
        took = dict(zip(("streamer", "loader"), world.recovered(), strict=True))
        report.cycles += 1
        report.faults[kind] += 1
        report.hits[kind] += hit
        for service in fault.stops if hit else ():
            report.recovery_s[service].append(took[service])
        missed = "" if hit else "; it hit nothing"
        say(f"{report.cycles:>4} {kind:<20} recovered: streamer {took['streamer']:.1f} s, loader {took['loader']:.1f} s{missed}")
        _complain(report, _ahead(world), say)
        if report.cycles % COMPARE_EVERY == 0:
            _compare_under_load(world, report, say)
        if report.cycles % REST_EVERY == 0 or report.cycles == cycles:
            _compare_at_rest(world, report, say)


def planned(chance: random.Random, cycles: int) -> Iterator[tuple[str, Fault]]:
    """Every second one a crash point, the others one kind after the other; within a kind each in its turn, in an order by chance."""
    turns = {kind: cycle(chance.sample(faults, len(faults))) for kind, faults in FAULTS.items()}
    others = cycle(chance.sample(sorted(FAULTS.keys() - {"crash_point"}), len(FAULTS) - 1))
    for number in range(cycles):
        kind = "crash_point" if number % 2 == 0 else next(others)
        yield kind, next(turns[kind])


def _compare_under_load(world: World, report: Report, say: Callable[[str], None]) -> None:
    """A whole cut of the warehouse, and the oracle taken to that very moment. The oracle goes on from where it stands, so a cut has to hold
    what the last one held."""
    transactions, deadline = world.transactions, time.monotonic() + _CUT_PATIENCE_S
    before = world.oracle.executed()
    while (cut := world.cut()) is None or not before.is_subset(cut.gtid_set):
        if time.monotonic() > deadline:
            report.no_cut += 1
            say("     no whole cut to compare")
            return
        time.sleep(0.1)
    world.oracle.advance(cut.gtid_set)
    with world.oracle.server.connect() as mysql:
        found = compare(mysql, cut)
    assert world.transactions > transactions, "the traffic rested"
    report.comparisons_under_load += 1
    _count(report, found, "under load", say)


def _compare_at_rest(world: World, report: Report, say: Callable[[str], None]) -> None:
    with world.quiet():
        world.settle()
        _complain(report, _ahead(world), say)
        cut = world.cut()
        assert cut is not None, "no whole cut at rest"
        with world.source.connect() as mysql:
            found = compare(mysql, cut)
        _count(report, found, "at rest", say)
        with world.warehouse() as warehouse:
            assert_ledger_tiles(warehouse, world.pipeline)
            entries = query(warehouse, f"SELECT topic, start_offset, end_offset, records FROM {LEDGER}.ledger ORDER BY topic, start_offset")
        _complain(report, world.records.read_on(cut.next_offsets), say)
        _complain(report, world.records.audit(map(tuple, entries)), say)
        if world.records.unentered:
            _complain(report, [f"{world.records.unentered} records are in no entry of the ledger"], say)
        report.records = world.records.count


def _count(report: Report, found: Mapping[str, Comparison], when: str, say: Callable[[str], None]) -> None:
    report.comparisons += 1
    for table, comparison in found.items():
        report.rows_compared += comparison.rows
        report.lost += comparison.lost
        report.foreign += comparison.foreign
        report.duplicated += comparison.doubled
        if not comparison.is_equal:
            say(f"     unequal: {table}, {comparison}")
    say(f"     {sum(comparison.rows for comparison in found.values()):,} rows compared {when}")


def _complain(report: Report, wrong: Sequence[str], say: Callable[[str], None]) -> None:
    report.wrong += len(wrong)
    for text in wrong:
        say(f"     wrong: {text}")


def _ahead(world: World) -> list[str]:
    """What Kafka says is loaded and the warehouse, asked right after, doesn't: asked before, it may rightly say less."""
    with world.warehouse() as warehouse:
        topics = [row[0] for row in query(warehouse, f"SELECT topic FROM {LEDGER}.offsets")]
        mirrored = world.records.mirrored(topics)
        loaded = dict(query(warehouse, f"SELECT topic, next_offset FROM {LEDGER}.offsets"))
    return [f"{topic}: the group is at {offset}" for topic, offset in mirrored.items() if offset > loaded[topic]]


def _clean(world: World, report: Report, say: Callable[[str], None]) -> None:
    """Writers stop, two sweeps follow; then the bucket holds what the ledger names and nothing else, and has never lost any of it."""
    assert world.services["loader"].stop() == 0
    for _ in range(2):
        world.sweep("--fence")
    with world.warehouse() as warehouse:
        rows = query(warehouse, f"SELECT manifest_key, manifest_sha256, object_deleted_at FROM {LEDGER}.ledger WHERE manifest_key <> ''")
    assert world.bucket.requests("PUT"), "the bucket's log holds no requests"
    kept, changed = world.bucket.named((key, digest) for key, digest, _ in rows)
    there = world.bucket.keys()
    report.orphans_left += len(there - kept)
    report.committed_objects_deleted += len((kept - there) | (kept & world.bucket.deleted()))
    _complain(report, [f"{key} is not what was committed" for key in changed], say)
    _complain(report, [f"{key} is marked as deleted, and is kept for ever" for key, _, deleted_at in rows if deleted_at], say)


def _p95(seconds: list[float]) -> float:
    return round(sorted(seconds)[ceil(0.95 * len(seconds)) - 1], 2) if seconds else 0.0


def _longest(seconds: list[float]) -> float:
    return round(max(seconds, default=0.0), 2)


_FIGURES = {"p95": _p95, "max": _longest}
