"""No schedule breaks an invariant; and the schedules are the same whenever they are run, and go everywhere."""

import os
import subprocess
import sys

import pytest

from tests.simulation.explore import Report, explore, told
from tests.simulation.risks import Risks
from tests.simulation.schedule import Actor, Scheduler
from tests.simulation.world import run

SEEDS = 2_000
FOUND = (249, 617, 953, 38_019, 466_563, 466_911, 573_625, 695_073)
"""Seeds that found something to be mended, see docs/VERIFICATION.md."""


@pytest.fixture(scope="module")
def report() -> Report:
    return explore(range(SEEDS))


def test_no_schedule_breaks_an_invariant(report: Report) -> None:
    assert not report.failed, told(report.failed[0].seed)


@pytest.mark.parametrize("seed", FOUND)
def test_a_schedule_that_found_something_finds_nothing_any_more(seed: int) -> None:
    assert not run(seed).violations, told(seed)


def test_the_same_seed_gives_the_same_trace() -> None:
    for seed in (3, 4):
        first, second = run(seed, trace=True), run(seed, trace=True)
        assert first.trace == second.trace
        assert len(first.trace) > 50


def test_the_command_that_replays_a_seed_shows_the_same_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "3", "--trace"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(told) == 1
    assert b"streamer.commit" in told.pop()


def test_another_seed_gives_another_trace() -> None:
    assert run(3, trace=True).trace != run(5, trace=True).trace


def test_an_effect_that_can_lose_an_answer_somewhere_can_whatever_is_told_last() -> None:
    first, second = Report(lossy={"loader.find": True}), Report(lossy={"loader.find": False})
    for one, other in ((first, second), (second, first)):
        both = Report()
        both.add(one)
        both.add(other)
        assert ("loader.find", "lost", 0) in list(both.hits_by_kind())


def test_an_effect_that_crosses_and_then_waits_can_lose_an_answer() -> None:
    scheduler = Scheduler(0, Risks(), 2, lambda _: None)
    actor = Actor(scheduler, "loader1", lambda _: None)
    for lossy in (False, True, False):
        scheduler.decide(actor, "loader.find", lossy=lossy)
    assert scheduler.lossy["loader.find"]


def test_every_effect_was_killed_paused_and_where_it_can_be_left_without_an_answer(report: Report) -> None:
    spared = [f"{effect} {kind}" for effect, kind, count in report.hits_by_kind() if count == 0]
    assert not spared


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_schedule_of_ten_thousand_breaks_an_invariant() -> None:
    report = explore(range(SEEDS, SEEDS + 10_000))
    assert not report.failed, told(report.failed[0].seed)
