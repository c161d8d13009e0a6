"""The janitor's Bucket and Ledger: the fakes, and S3 and the warehouse stand-in."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.errors import Fenced
from janitor.core.snapshot import BatchId, PartitionOffset
from tests.ports.conftest import BOTH
from tests.ports.warehouse_scenes import AT, TOPIC, FakeWarehouseScene, RealWarehouseScene, WarehouseScene, Writer, guard


@pytest.fixture(params=BOTH)
def scene(request: pytest.FixtureRequest, unused_name: str) -> Iterator[WarehouseScene]:
    scene: WarehouseScene
    if request.param == "fake":
        scene = FakeWarehouseScene(unused_name)
    else:
        scene = RealWarehouseScene(request.getfixturevalue("stack"), unused_name)
    yield scene
    scene.close()


def test_a_list_holds_everything_below_its_folder_and_nothing_else(scene: WarehouseScene) -> None:
    for number in range(7):
        scene.store.put(f"p.a.b/{number}.parquet", b"x" * number)
    scene.store.put("p.a.bc/0.parquet", b"other")
    scene.store.put("stray", b"stray")
    bucket = scene.janitors_bucket()
    found = bucket.list("p.a.b").objects
    assert [(stored.key, stored.size_bytes) for stored in found] == [(f"p.a.b/{number}.parquet", number) for number in range(7)]
    top = bucket.top()
    assert (sorted(top.folders), [stored.key for stored in top.objects]) == (["p.a.b", "p.a.bc"], ["stray"])
    assert bucket.list("p.none").objects in ([], ())


def test_what_was_listed_is_deleted_and_only_that(scene: WarehouseScene) -> None:
    scene.store.put("p.a.b/1.parquet", b"one")
    scene.store.put("p.a.b/2.parquet", b"two")
    bucket = scene.janitors_bucket()
    first, second = bucket.list("p.a.b").objects
    assert not bucket.delete(replace(first, etag=second.etag))
    assert bucket.delete(first)
    assert bucket.delete(first)  # gone already
    assert [stored.key for stored in bucket.list("p.a.b").objects] == [second.key]


def test_of_a_trimmed_ledger_what_proves_anything_is_left(scene: WarehouseScene) -> None:
    writer, ledger = Writer(scene), scene.janitors_ledger()
    for day in range(4):
        writer.at = AT + timedelta(days=day)
        writer.commit(*([writer.truncate()] if day == 2 else [writer.upsert(day, 1)]))
    first, kept, emptied, last = sorted(ledger.snapshot(TOPIC, 0).batches.values(), key=lambda batch: batch.id.offsets)
    ledger.mark_deleted(TOPIC, [first, last], AT)
    assert writer.session.trim(writer.fence, AT + timedelta(days=2)) == 1
    assert set(ledger.snapshot(TOPIC, 0).batches) == {kept.id, emptied.id, last.id}
    assert writer.session.trim(writer.fence, AT + timedelta(days=30)) == 1
    left = ledger.snapshot(TOPIC, 0)
    assert (set(left.batches), left.newest_topic_id, left.ledger_empty) == ({kept.id, last.id}, "id-1", False)
    scene.warehouse().bump_epoch(0, "another")
    with pytest.raises(Fenced):
        writer.session.trim(writer.fence, AT + timedelta(days=30))


def test_a_snapshot_holds_guard_epochs_offsets_and_batches(scene: WarehouseScene) -> None:
    ledger = scene.janitors_ledger()
    empty = ledger.snapshot(TOPIC, 0)
    assert (empty.guard, empty.ledger_empty, empty.offsets, empty.batches) == (guard(scene.name), True, {}, {})
    assert empty.newest_topic_id is None
    assert empty.epochs == {0: 0}
    writer = Writer(scene)
    plan = writer.commit(writer.upsert(1, 10))
    found = ledger.snapshot(TOPIC, 0)
    key = plan.loads[0].key
    assert (found.epochs, found.ledger_empty) == ({0: writer.epoch}, False)
    assert found.offsets == {0: PartitionOffset(0, "id-1", 1)}
    assert (set(found.batches), found.newest_topic_id) == ({BatchId.of(key)}, "id-1")
    other = ledger.snapshot("p.shop.other", 0)
    assert (other.batches, other.newest_topic_id, other.ledger_empty) == ({}, None, False)
    assert ledger.topics() == {TOPIC: "shop.orders"}


def test_a_bumped_epoch_fences_the_loader(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    assert scene.janitors_ledger().bump_epoch(0) == writer.epoch + 1
    assert scene.warehouse().read_state(0).fence.epoch == writer.epoch + 1
    assert scene.janitors_ledger().bump_epoch(0, 40) == 41
    assert scene.janitors_ledger().bump_epoch(0, 40) == 42


def test_deleted_objects_are_recorded_once(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    writer.commit(writer.upsert(1, 10))
    ledger = scene.janitors_ledger()
    for at in (AT, AT.replace(year=2026)):
        ledger.mark_deleted(TOPIC, list(ledger.snapshot(TOPIC, 0).batches.values()), at)
    (batch,) = ledger.snapshot(TOPIC, 0).batches.values()
    assert batch.object_deleted_at == AT


def test_batches_whose_objects_are_gone_are_read_from_an_offset_on_and_all_others_always(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    for number in range(3):
        writer.commit(writer.upsert(number, 10))
    ledger = scene.janitors_ledger()
    first, second, third = sorted(ledger.snapshot(TOPIC, None).batches.values(), key=lambda batch: batch.id.offsets)
    ledger.mark_deleted(TOPIC, [first, second], AT)
    for since, starts in ((None, {third}), (second.id.offsets.start + 1, {third}), (second.id.offsets.start, {second, third})):
        assert set(ledger.snapshot(TOPIC, since).batches) == {batch.id for batch in starts}
    ledger.mark_deleted(TOPIC, [third], AT)
    found = ledger.snapshot(TOPIC, None)
    assert (found.batches, found.newest_topic_id, found.ledger_empty) == ({}, "id-1", False)
