"""A campaign tells what its cycles came to, also when it ends before the last one, and is not clean when they came to nothing."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from tests.chaos import campaign as judged
from tests.chaos.campaign import Report, campaign
from tests.chaos.faults import Act, Fault
from tests.chaos.world import World


def harmless(world: World, chance: random.Random) -> bool:
    """Nothing befalls anybody."""
    return False


def fatal(world: World, chance: random.Random) -> bool:
    raise AssertionError("the loader has ended")


def told(monkeypatch: pytest.MonkeyPatch, directory: Path, *acts: tuple[str, Act]) -> tuple[Report, list[str]]:
    """Of a campaign of these in a world where nothing is."""

    def planned(chance: random.Random, cycles: int) -> Iterator[tuple[str, Fault]]:
        yield from ((kind, Fault(act)) for kind, act in acts)

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
            recovered=lambda: (0.5, 1.5),
        )

    monkeypatch.setattr(judged, "planned", planned)
    monkeypatch.setattr(judged, "running_world", running_world)
    said: list[str] = []
    return campaign(directory, len(acts), seed=1, say=said.append), said


def test_what_the_cycles_before_came_to_is_told_when_one_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, said = told(monkeypatch, tmp_path, ("harmless", harmless), ("hard", lambda world, chance: True), ("fatal", fatal))
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
