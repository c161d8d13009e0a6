"""What no known-bad design trips of the audit trips where the world is doctored: a check that nobody has seen fail is no check."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contracts.position import Gtid
from contracts.progress import TableState
from tests.fakes.warehouse import fence_table, ledger_table, offsets_table
from tests.simulation.ending import Ending
from tests.simulation.source import SERVER, History
from tests.simulation.variant import Variant
from tests.simulation.world import World, changed

DOCTORED = frozenset({"FENCE_BACK", "TAKEOVER", "WATERMARK_BACK", "I2_TOPIC", "I3_SEQ", "I7_POSITION", "UNFINISHED", "ORPHAN_LEFT"})
"""What is tripped here, and by no mutant for sure."""


@pytest.fixture
def world() -> World:
    """One that has come to rest, and in which nothing is wrong."""
    variant = Variant(streams=False, shards=1)
    with changed(variant):
        world = World(3, variant)
        assert not world.run().violations
    return world


def doctored(world: World, table: str, change: Callable[[Any], Any]) -> frozenset[str]:
    """What the audit says once every row of a table is another one."""
    store = world.around.database.store
    t = store.begin()
    for number, key, row in list(store.scan(t, table)):
        store.write(t, table, number, key, change(row), blind=True)
    store.commit(t)
    return names(world)


def names(world: World) -> frozenset[str]:
    return frozenset(violation.name for violation in world.audit.violations)


def ending(world: World) -> Ending:
    return Ending(world.audit, snapshots=False, halted=False)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("FENCE_BACK", lambda fence: replace(fence, commit_no=fence.commit_no - 1)),
        ("WATERMARK_BACK", lambda fence: replace(fence, commit_no=fence.commit_no + 1, commit_ts_us=fence.commit_ts_us - 1)),
        ("TAKEOVER", lambda fence: replace(fence, epoch=fence.epoch + 1, barrier_no=fence.barrier_no + 1)),
        ("TAKEOVER", lambda fence: replace(fence, epoch=fence.epoch - 1)),
    ],
)
def test_a_fence_that_moves_as_it_may_not_is_seen(world: World, name: str, change: Callable[[Any], Any]) -> None:
    assert name in doctored(world, fence_table(0), change)


def test_a_ledger_that_names_a_topic_nobody_made_is_seen(world: World) -> None:
    assert "I2_TOPIC" in doctored(world, ledger_table(0), lambda entry: replace(entry, topic_id="another"))


def test_a_seq_that_does_not_belong_to_its_offset_is_seen(world: World) -> None:
    assert "I3_SEQ" in doctored(world, offsets_table(0), lambda row: replace(row, next_seq=row.next_seq - 1))
    assert "I3_SEQ" in doctored(world, offsets_table(0), lambda row: replace(row, next_seq=row.next_seq + 2))


def test_a_state_other_than_the_barriers_is_seen(world: World) -> None:
    assert "STATE" in doctored(world, offsets_table(0), lambda row: replace(row, state=TableState.SNAPSHOTTING))


@pytest.mark.parametrize(
    "change",
    [
        lambda row: replace(row, state=TableState.REREADING, because="its columns were altered"),
        lambda row: replace(row, state=TableState.PARKED, because="somebody wants it so"),
    ],
)
def test_a_table_that_waits_for_something_at_rest_is_seen(world: World, change: Callable[[Any], Any]) -> None:
    world.around.database.store.on_commit = lambda _: None
    for following in world.audit.following.values():
        following.may_park = True
    doctored(world, offsets_table(0), change)
    ending(world).at_rest(())
    assert names(world) == {"UNFINISHED"}


def test_a_source_that_went_on_unseen_is_seen_at_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    further = world.audit.history.all.with_gtid(Gtid(SERVER, 1_000))
    monkeypatch.setattr(History, "all", further)
    ending(world).at_rest(())
    assert {"UNFINISHED", "I7_POSITION"} <= names(world)


def test_a_position_that_counts_other_rows_than_there_are_is_seen_at_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    position = world.audit.stream.position()
    assert position is not None
    monkeypatch.setattr(world.audit.stream, "position", lambda: replace(position, next_seqs={}))
    ending(world).at_rest(())
    assert names(world) == {"I7_POSITION"}


def test_an_object_that_nobody_needs_and_one_that_is_missing_are_seen_at_rest(world: World) -> None:
    objects = world.around.bucket.objects
    ending(world).after_janitor()
    assert not names(world)
    taken = min(objects)
    objects["tidemark/left"] = objects.pop(taken)
    ending(world).after_janitor()
    assert names(world) == {"ORPHAN_LEFT", "I4_COMMITTED_DELETED"}
