"""A campaign tells what its cycles came to, also when it ends before the last one, and is not clean when they came to nothing."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from tests.chaos import campaign as judged
from tests.chaos.campaign import Report, campaign
from tests.chaos.faults import Fault
from tests.chaos.records import Records
from tests.chaos.world import World


def harmless(world: World, chance: random.Random) -> bool:
    """Nothing befalls anybody."""
    return False


def hard(world: World, chance: random.Random) -> bool:
    return True


def fatal(world: World, chance: random.Random) -> bool:
    raise AssertionError("the loader has ended")


def told(
    monkeypatch: pytest.MonkeyPatch, directory: Path, *faults: tuple[str, Fault], took: Sequence[tuple[float, float]] = ()
) -> tuple[Report, list[str]]:
    """Of a campaign of these in a world where nothing is."""

    def planned(chance: random.Random, cycles: int) -> Iterator[tuple[str, Fault]]:
        yield from faults

    times = iter(took or [(0.5, 1.5)] * len(faults))

    @contextmanager
    def running_world(directory: Path, seed: int) -> Iterator[World]:
        yield MagicMock(
            World,
            transactions=7,
            ddl=0,
            revived=0,
            orphans_deleted=0,
            crashes=Counter(),
            not_reached=Counter(),
            recovered=lambda: next(times),
        )

    monkeypatch.setattr(judged, "planned", planned)
    monkeypatch.setattr(judged, "running_world", running_world)
    for compares in ("_compare_under_load", "_compare_at_rest"):
        monkeypatch.setattr(judged, compares, lambda world, report, say: None)
    monkeypatch.setattr(judged, "_ahead", lambda world: [])
    said: list[str] = []
    return campaign(directory, len(faults), seed=1, say=said.append), said


def test_what_the_cycles_before_came_to_is_told_when_one_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, said = told(monkeypatch, tmp_path, ("harmless", Fault(harmless)), ("hard", Fault(hard)), ("fatal", Fault(fatal)))
    assert (report.cycles, report.transactions, report.line()["faults"]) == (2, 7, {"harmless": 1, "hard": 1})
    assert report.line()["hits"] == {"harmless": 0, "hard": 1}
    assert said[0].endswith("; it hit nothing")
    assert not report.is_clean
    assert report.line()["broke"] == "cycle 3: AssertionError: the loader has ended"
    assert "the loader has ended" in said[-1]


@pytest.mark.parametrize(
    "idle",
    [
        Report(faults=Counter(zombie=3)),
        Report(crash_points_not_reached=Counter(zombie=3)),
        Report(faults=Counter(zombie=9), hits=Counter(reset=9)),
    ],
)
def test_what_never_hits_though_it_is_tried_again_and_again_is_named_and_is_not_clean(idle: Report) -> None:
    assert not idle.is_clean
    assert idle.line()["never_hit"] == ["zombie"]


@pytest.mark.parametrize(
    "busy",
    [
        Report(faults=Counter(zombie=2)),
        Report(faults=Counter(zombie=9), hits=Counter(zombie=1)),
        Report(crash_points_not_reached=Counter(here=2)),
        Report(crash_points_not_reached=Counter(here=9), crash_points=Counter(here=1)),
        Report(no_cut=9, comparisons_under_load=1),
    ],
)
def test_a_miss_now_and_then_is_clean(busy: Report) -> None:
    assert busy.is_clean


def test_a_campaign_that_compared_nothing_under_load_is_not_clean() -> None:
    assert Report(no_cut=3).line()["never_hit"] == ["comparison_under_load"]


def test_a_service_recovers_from_what_hit_it_and_nothing_else_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = (
        *[("hard", Fault(hard, ("loader",)))] * 19,
        ("worst", Fault(hard, ("loader",))),
        ("both", Fault(hard, ("streamer", "loader"))),
        ("missed", Fault(harmless, ("streamer", "loader"))),
        ("rotation", Fault(hard)),
    )
    took = [*[(0.1, 2.0)] * 18, (0.1, 4.0), (0.1, 9.0), (3.0, 5.0), (50.0, 50.0), (0.0, 0.0)]
    line = told(monkeypatch, tmp_path, *faults, took=took)[0].line()
    assert line["recovery_s_p95"] == {"streamer": 3.0, "loader": 5.0}
    assert line["recovery_s_max"] == {"streamer": 3.0, "loader": 9.0}


@pytest.mark.parametrize(("loaded", "wrong"), [([8, 20], ["t: the group is at 9"]), ([9, 20], []), ([10, 20], [])])
def test_the_mirror_is_held_against_the_very_next_look_at_the_warehouse(
    monkeypatch: pytest.MonkeyPatch, loaded: list[int], wrong: list[str]
) -> None:
    looks = iter(loaded)
    world = MagicMock(World, records=MagicMock(Records, mirrored=lambda topics: dict.fromkeys(topics, 9)))
    monkeypatch.setattr(judged, "query", lambda warehouse, sql: [["t", next(looks)] if "next_offset" in sql else ["t"]])
    assert judged._ahead(world) == wrong
