from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.batch import BatchKey
from janitor.core.classify import State, Verdict
from janitor.core.selection import Choice, Retention, too_many
from tests.janitor.builders import NOW, attempt, committed, judged, objects, snapshot, stored

ORPHANS = frozenset({State.ORPHAN})
HOUR = timedelta(hours=1)


def verdict(key: BatchKey | None = None, *, age: timedelta = 2 * HOUR) -> Verdict:
    """An orphan."""
    (found,) = judged(objects(key or attempt(1), age=age), snapshot())
    assert found.state is State.ORPHAN
    return found


@pytest.mark.parametrize(("age", "taken"), [(2 * HOUR, True), (HOUR, False), (timedelta(seconds=3601), True), (timedelta(0), False)])
def test_older_than_means_older(age: timedelta, taken: bool) -> None:
    assert Choice(ORPHANS, older_than=HOUR).takes(verdict(age=age), NOW) is taken


def test_without_an_age_everything_proven_is_taken() -> None:
    assert Choice(ORPHANS).takes(verdict(age=timedelta(0)), NOW)


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("*20250814_15*", True),
        ("*20250814_16*", False),
        ("orders_20250814_*", True),
        ("orders_20250814", False),
        ("20250814_15*", False),
        ("*_e00000001_*.parquet", True),
        ("*_0a0a0a0a", True),
        ("shop.shop.orders/*", False),
        ("*", True),
        ("", False),
    ],
)
def test_a_pattern_fits_whole_names(pattern: str, taken: bool) -> None:
    assert Choice(ORPHANS, pattern=pattern).takes(verdict(), NOW) is taken


def test_age_and_pattern_narrow_together() -> None:
    assert not Choice(ORPHANS, older_than=timedelta(hours=3), pattern="*").takes(verdict(), NOW)


@pytest.mark.parametrize("state", [State.IN_FLIGHT, State.FOREIGN])
def test_no_choice_reaches_what_is_unproven_or_foreign(state: State) -> None:
    with pytest.raises(ValueError, match="only orphans and committed"):
        Choice(frozenset({state}))


def test_committed_batches_are_taken_only_by_who_asks_for_them() -> None:
    key = attempt(1)
    (found,) = judged(objects(key), snapshot(committed(key)))
    assert not Choice(ORPHANS).takes(found, NOW)
    assert Choice(frozenset({State.COMMITTED})).takes(found, NOW)


def test_a_foreign_object_is_never_taken() -> None:
    (found,) = judged([stored("x/readme")], snapshot())
    assert not Choice(frozenset({State.ORPHAN, State.COMMITTED})).takes(found, NOW)


@pytest.mark.parametrize(
    ("chosen", "listed", "cap", "asks"),
    [
        (0, 0, None, False),
        (1000, 100_000, None, False),
        (1001, 100_000, None, True),
        (100, 100, None, False),
        (101, 505, None, False),
        (101, 504, None, True),
        (1001, 1001, 1001, False),
        (6, 1000, 5, True),
        (1, 1, 0, True),
    ],
)
def test_many_objects_or_a_large_share_need_a_yes(chosen: int, listed: int, cap: int | None, asks: bool) -> None:
    assert (too_many(chosen, listed, cap) is not None) is asks


@pytest.mark.parametrize(
    ("age", "keep", "taken"),
    [
        (2 * HOUR, timedelta(), True),
        (2 * HOUR, HOUR, True),
        (2 * HOUR, 2 * HOUR, False),
        (2 * HOUR, None, False),
        (timedelta(), timedelta(), False),
    ],
)
def test_committed_batches_stay_for_their_time(age: timedelta, keep: timedelta | None, taken: bool) -> None:
    key = attempt(1)
    (found,) = judged(objects(key, age=age), snapshot(committed(key)))
    choice = Choice(ORPHANS | {State.COMMITTED}, pattern="*", keep=keep)
    assert (choice.takes(found, NOW), choice.leaves(found, NOW)) == (taken, not taken)
    assert not replace(choice, pattern="x*").leaves(found, NOW)
    assert Choice(ORPHANS | {State.COMMITTED}, keep=keep).takes(verdict(age=HOUR), NOW)


@pytest.mark.parametrize(("topic", "days"), [("a", 7), ("b", 1), ("c", None)])
def test_a_topic_without_retention_of_its_own_has_the_pipeline_s(topic: str, days: int | None) -> None:
    retention = Retention(timedelta(days=7), {"b": timedelta(days=1), "c": None})
    assert retention.of(topic) == (None if days is None else timedelta(days=days))
