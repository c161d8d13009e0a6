"""Cycles of faults under traffic, and what they did to the rows."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.oracle import Comparison, compare
from tests.chaos.workload import TABLES
from tests.chaos.world import LEDGER, World, running_world
from tests.stack.scenario import assert_ledger_tiles, query

COMPARE_EVERY = 5
"""Cycles. The traffic rests meanwhile."""


@dataclass
class Report:
    """`faults`: how many by kind. `revived`: services that ended by themselves and were started again. Rows are compared again and again,
    and counted each time."""

    cycles: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    revived: int = 0
    transactions: int = 0
    ddl: int = 0
    rows_compared: int = 0
    lost: int = 0
    foreign: int = 0
    duplicated: int = 0
    orphans_left: int = 0
    committed_objects_deleted: int = 0
    streamer_s: list[float] = field(default_factory=list)
    loader_s: list[float] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.foreign or self.duplicated or self.orphans_left or self.committed_objects_deleted)

    def line(self) -> dict[str, Any]:
        p95 = {"streamer": _p95(self.streamer_s), "loader": _p95(self.loader_s)}
        counts = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        return {**counts, "faults": dict(sorted(self.faults.items())), "recovery_s_p95": p95}


def campaign(directory: Path, cycles: int, seed: int, say: Callable[[str], None]) -> Report:
    """Raises AssertionError when streamer or loader don't recover, or the ledger has a gap."""
    report, chance = Report(), random.Random(seed)
    with running_world(directory, seed) as world:
        world.recovered()
        for kind, fault in planned(chance, cycles):
            fault(world, chance)
            streamer_s, loader_s = world.recovered()
            report.cycles += 1
            report.faults[kind] += 1
            report.streamer_s.append(streamer_s)
            report.loader_s.append(loader_s)
            say(f"{report.cycles:>4} {kind:<20} recovered: streamer {streamer_s:.1f} s, loader {loader_s:.1f} s")
            if report.cycles % COMPARE_EVERY == 0 or report.cycles == cycles:
                _compare(world, report, say)
        report.transactions, report.ddl, report.revived = world.transactions, world.ddl, world.revived
        with world.quiet():
            world.settle()
            _clean(world, report)
    return report


def planned(chance: random.Random, cycles: int) -> Iterator[tuple[str, Fault]]:
    """Every second one a crash point, the others one kind after the other; within a kind each in its turn, in an order by chance."""
    turns = {kind: cycle(chance.sample(faults, len(faults))) for kind, faults in FAULTS.items()}
    others = cycle(chance.sample(sorted(FAULTS.keys() - {"crash_point"}), len(FAULTS) - 1))
    for number in range(cycles):
        kind = "crash_point" if number % 2 == 0 else next(others)
        yield kind, next(turns[kind])


def _compare(world: World, report: Report, say: Callable[[str], None]) -> None:
    with world.quiet():
        world.settle()
        found = compared(world)
        with world.warehouse() as warehouse:
            assert_ledger_tiles(warehouse, world.pipeline)
    report.rows_compared += found.rows
    report.lost += found.lost
    report.foreign += found.foreign
    report.duplicated += found.doubled
    say(f"     {found.rows:,} rows compared: {found.lost} lost, {found.foreign} foreign, {found.doubled} doubled")


def compared(world: World) -> Comparison:
    with world.warehouse() as warehouse, world.stack.mysql.connect() as mysql:
        targets = dict(query(warehouse, f"SELECT source_table, target_table FROM {LEDGER}.offsets"))
        named = {table: targets[f"{world.pipeline.name}.{table}"] for table in TABLES if f"{world.pipeline.name}.{table}" in targets}
        assert len(named) == len(TABLES), f"the warehouse has no {TABLES.keys() - named.keys()}"
        return compare(mysql, warehouse, named)


def _clean(world: World, report: Report) -> None:
    """Writers stop, two sweeps follow; then the bucket holds what the ledger names and nothing else."""
    assert world.services["loader"].stop() == 0
    for _ in range(2):
        done = world.pipeline.run("janitor", "orphans", "--all-tables", "--all", "--fence", "--yes")
        assert done.returncode == 0, done.stderr
    with world.warehouse() as warehouse:
        rows = query(warehouse, f"SELECT manifest_key FROM {LEDGER}.ledger WHERE manifest_key <> '' AND object_deleted_at IS NULL")
    kept = {str(row[0]).removesuffix(".manifest") for row in rows}
    there = {key.removesuffix(".manifest").removesuffix(".parquet") for key in world.objects()}
    kept = {key.removesuffix(".parquet") for key in kept}
    report.orphans_left += len(there - kept)
    report.committed_objects_deleted += len(kept - there)


def _p95(seconds: list[float]) -> float:
    return round(sorted(seconds)[int(0.95 * (len(seconds) - 1))], 2) if seconds else 0.0
