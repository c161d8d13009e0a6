from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.batch import BatchKey
from contracts.errors import Refused
from contracts.offsets import OffsetRange
from janitor.core.classify import State, missing
from janitor.core.snapshot import TopicSnapshot, refuse_unprovable
from tests.janitor.builders import GUARD, OTHER, SESSION, TOPIC, attempt, committed, judged, objects, snapshot, stored

HELD = attempt(90, 100, epoch=5, nonce="00000001")  # the newest batch of the ledger, with the fence at epoch 5 and next offset 100


@pytest.mark.parametrize(
    ("key", "held", "state", "proof"),
    [
        (HELD, snapshot(committed(HELD)), State.COMMITTED, "in the ledger of shard 0"),
        # A batch of the ledger stays one whatever fence and offsets say.
        (attempt(0, epoch=1), snapshot(committed(attempt(0, epoch=1))), State.COMMITTED, "in the ledger"),
        # Same range and epoch, another nonce: the attempt that lost to a retry of its own.
        (replace(HELD, nonce="00000002"), snapshot(committed(HELD)), State.ORPHAN, "starts at 90, below the next offset 100"),
        # Same nonce, another range: a nonce alone is 32 bits.
        (replace(HELD, offsets=OffsetRange(90, 99)), snapshot(committed(HELD)), State.ORPHAN, "starts at 90"),
        (attempt(100, epoch=4), snapshot(committed(HELD)), State.ORPHAN, "epoch 4 is below the fence's 5"),
        (attempt(99, epoch=5), snapshot(committed(HELD)), State.ORPHAN, "starts at 99, below the next offset 100"),
        # The newest attempt of the living owner, and whatever it stages ahead of the answer.
        (attempt(100, epoch=5), snapshot(committed(HELD)), State.IN_FLIGHT, "not below"),
        (attempt(101, epoch=5), snapshot(committed(HELD)), State.IN_FLIGHT, "not below"),
        (attempt(50, epoch=6), snapshot(committed(HELD)), State.IN_FLIGHT, "never granted"),
        # No offsets row yet: only the epoch proves.
        (attempt(0, epoch=5), snapshot(next_offset=None), State.IN_FLIGHT, "nothing of the partition is loaded"),
        (attempt(0, epoch=4), snapshot(next_offset=None), State.ORPHAN, "epoch 4"),
        # The offsets are of another incarnation of the topic than the ledger's newest batch: only the epoch proves.
        (attempt(50, epoch=5), snapshot(committed(HELD), topic_id="B"), State.IN_FLIGHT, "made again"),
        (attempt(50, epoch=4), snapshot(committed(HELD), topic_id="B"), State.ORPHAN, "epoch 4"),
        # An older batch of the former incarnation does not matter once the new one has a batch.
        (
            attempt(0, 5, epoch=5, nonce="00000003"),
            snapshot(
                committed(attempt(0, 100, epoch=4)), committed(attempt(0, 10, epoch=5)), newest_topic_id="B", topic_id="B", next_offset=10
            ),
            State.ORPHAN,
            "starts at 0, below the next offset 10",
        ),
        # Another partition's offsets prove nothing.
        (
            BatchKey(TOPIC, 1, SESSION, 1, OffsetRange(5, 9), 5, "0a0a0a0a"),
            snapshot(committed(HELD)),
            State.IN_FLIGHT,
            "nothing of the partition",
        ),
        # Several shards: the owner's epoch counts; without an owner the lowest of all.
        (attempt(100, epoch=6), snapshot(committed(HELD), epochs={0: 5, 1: 7}, shard=1), State.ORPHAN, "below the fence's 7"),
        (attempt(100, epoch=6), snapshot(next_offset=None, epochs={0: 5, 1: 7}), State.IN_FLIGHT, "nothing of the partition"),
        (attempt(100, epoch=4), snapshot(next_offset=None, epochs={0: 5, 1: 7}), State.ORPHAN, "below the fence's 5"),
    ],
)
def test_an_attempt_is_judged_by_ledger_epoch_and_offset(key: BatchKey, held: TopicSnapshot, state: State, proof: str) -> None:
    (verdict,) = judged(objects(key), held)
    assert verdict.state is state
    assert proof in verdict.proof
    assert verdict.key == key
    assert len(verdict.objects) == 2


def test_both_objects_of_an_attempt_share_its_verdict_and_either_may_be_missing() -> None:
    whole, data, manifest = attempt(1, nonce="00000001"), attempt(2, nonce="00000002"), attempt(3, nonce="00000003")
    verdicts = judged([*objects(whole), stored(data.data), stored(manifest.manifest)], snapshot())
    assert [verdict.key for verdict in verdicts] == [whole, data, manifest]
    assert [len(verdict.objects) for verdict in verdicts] == [2, 1, 1]
    assert {verdict.state for verdict in verdicts} == {State.ORPHAN}


def test_the_age_of_an_attempt_is_that_of_its_younger_object() -> None:
    key = attempt(1)
    (verdict,) = judged([stored(key.data, timedelta(hours=3)), stored(key.manifest, timedelta(minutes=5))], snapshot())
    assert verdict.stored_at == stored(key.manifest, timedelta(minutes=5)).stored_at


@pytest.mark.parametrize(
    "name",
    [
        f"{TOPIC}/readme.txt",
        f"{TOPIC}/00000/",
        f"{TOPIC}/../x.parquet",
        attempt(1).data.replace("_e00000001", "_e1"),
        attempt(1).data.replace(".parquet", ".parquet.tmp"),
        attempt(1).data.replace("orders_", "other_"),
        attempt(1).data + "\n",
        attempt(1, topic=OTHER).data,
    ],
)
def test_what_does_not_parse_whole_or_is_of_another_topic_is_foreign(name: str) -> None:
    (verdict,) = judged([stored(name)], snapshot())
    assert (verdict.state, verdict.key) == (State.FOREIGN, None)


def test_batches_without_objects_are_missing_unless_their_deletion_is_recorded() -> None:
    here, gone, recorded = attempt(0, nonce="00000001"), attempt(10, nonce="00000002"), attempt(20, nonce="00000003")
    held = snapshot(committed(here), committed(gone), replace(committed(recorded), object_deleted_at=SESSION))
    assert [batch.id.nonce for batch in missing(judged(objects(here), held), held)] == ["00000002"]


@pytest.mark.parametrize(
    ("held", "complaint"),
    [
        (snapshot(guard=None), "guard row"),
        (snapshot(guard=replace(GUARD, bucket="copy")), "bucket 'copy' there, 'bucket' in the settings"),
        (snapshot(guard=replace(GUARD, prefix="other")), "prefix"),
        (snapshot(guard=replace(GUARD, cluster="restored:5439/dev")), "cluster"),
        (snapshot(guard=replace(GUARD, pipeline="crm")), "pipeline 'crm'"),
        (snapshot(guard=replace(GUARD, shards=2)), "shards 2"),
        (snapshot(epochs={1: 5}), "fence row of shard 0 is absent"),
    ],
)
def test_a_ledger_that_is_not_ours_or_not_whole_proves_nothing(held: TopicSnapshot, complaint: str) -> None:
    with pytest.raises(Refused, match="nothing was deleted") as caught:
        refuse_unprovable(held, GUARD)
    assert complaint in str(caught.value)


def test_our_own_whole_ledger_is_accepted() -> None:
    refuse_unprovable(snapshot(), GUARD)


def test_a_foreign_object_beside_an_attempt_s_own_is_no_part_of_it() -> None:
    key = attempt(1)
    foreign = [stored(f"{key.stem}.{suffix}") for suffix in ("bak", "parquet2", "PARQUET", "")]
    orphan, *others = sorted(judged([*objects(key), *foreign], snapshot()), key=lambda verdict: verdict.state is State.FOREIGN)
    assert (orphan.state, {found.key for found in orphan.objects}) == (State.ORPHAN, {key.data, key.manifest})
    assert [(other.state, other.objects) for other in others] == [(State.FOREIGN, (one,)) for one in sorted(foreign, key=lambda o: o.key)]
