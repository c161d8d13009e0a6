"""Two faults at every two places of a small schedule: a part of them, and in the long tests a larger one. All: `python -m tests.simulation
--placed`, which takes half an hour."""

import pytest

from tests.fakes.faults import Fate
from tests.simulation.mutants import MUTANTS
from tests.simulation.placed import SMALL, PlacedScheduler, faults, place_all, run_placed, told_placed
from tests.simulation.schedule import Actor
from tests.simulation.worker import FOREVER

STRIDE, STRIDE_LONG = 150, 20


def test_the_small_schedule_commits_two_batches_while_a_janitor_looks() -> None:
    outcome, met = run_placed((), trace=True)
    assert not outcome.violations
    assert len(met) > 50
    assert sum(line.endswith(" loader.commit") for line in outcome.trace) >= 2
    assert any("janitor.list" in line for line in outcome.trace)


def test_no_part_of_the_placements_breaks_an_invariant() -> None:
    report = place_all(STRIDE)
    assert report.placements > 500
    assert not report.failed, told_placed(report.failed[0][0])


@pytest.mark.parametrize("name", ["no epoch in the compare-and-set", "names used again", "janitor: ledger older than the fence"])
def test_one_fault_somewhere_shows_what_is_wrong_with_a_known_bad_design(name: str) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    _, met = run_placed(())
    assert any(mutant.given_away(run_placed((fault,), mutant)[0]) for fault in faults(met))


def test_a_pause_that_is_placed_stops_the_whole_process() -> None:
    for seed in range(8):
        scheduler = PlacedScheduler(seed, SMALL, 0, lambda _: None, placement=((0, Fate.PAUSE),))
        loop = scheduler.add(Actor(scheduler, "loader1", lambda loop: loop.sleep(FOREVER)))
        hand = loop.hand(lambda hand: hand.cross("loader.commit", lambda: None))
        while not hand.paused_until:
            scheduler.turn()
        assert loop.paused_until == hand.paused_until
        scheduler.end()


@pytest.mark.parametrize("name", ["Kafka told before the commit", "Kafka told of a commit before it is made"])
def test_what_kafka_is_told_too_early_is_seen_though_nothing_goes_wrong(name: str) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    assert run_placed((), mutant)[0].names == {"I5_MIRROR"}


@pytest.mark.long
def test_no_larger_part_of_them_does() -> None:
    report = place_all(STRIDE_LONG)
    assert not report.failed, told_placed(report.failed[0][0])
