from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from contracts.errors import Invalid, Refused, Unavailable
from janitor.core.classify import State, Verdict
from janitor.core.selection import Choice, Retention
from janitor.core.snapshot import LedgerBatch, StoredObject
from janitor.ports import Listing
from janitor.service import Janitor, Plan, Survey
from tests.janitor.builders import GUARD, NOW, OTHER, TOPIC, FakeBucket, FakeLedger, attempt, committed, objects, snapshot, stored

HELD = attempt(90, 100, epoch=5, nonce="000000ff")
DEAD = attempt(90, 100, epoch=4, nonce="0000dead")
LIVE = attempt(100, 110, epoch=5, nonce="0000beef")
ORPHANS = Choice(frozenset({State.ORPHAN}))
DAY = timedelta(days=1)


@dataclass
class World:
    """One table with a committed batch, an orphan and an attempt in flight, two hours old."""

    bucket: FakeBucket = field(default_factory=FakeBucket)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    stopping: bool = False
    kept: dict[str, timedelta | None] = field(default_factory=dict)
    """Retention a table has of its own."""

    def __post_init__(self) -> None:
        self.ledger.effects = self.bucket.effects
        self.bucket.put(*objects(HELD, DEAD, LIVE))
        self.ledger.snapshots[TOPIC] = snapshot(committed(HELD))

    @property
    def janitor(self) -> Janitor:
        return Janitor(self.bucket, self.ledger, GUARD, lambda: self.stopping)

    def delete(self, choice: Choice = ORPHANS) -> list[Verdict]:
        plan = Plan()
        survey = self.janitor.survey(TOPIC)
        plan.add(survey, survey.chosen(choice))
        return list(self.janitor.delete(plan))

    def sweep(
        self, keep: timedelta | None = None, *, yes: bool = False, cap: int | None = None, dry_run: bool = False
    ) -> "tuple[int, int, bool]":
        swept = self.janitor.sweep(Retention(keep, self.kept), confirmed=yes, delete_max=cap, dry_run=dry_run)
        return len(swept.orphans), len(swept.expired), swept.finished

    def left(self) -> set[str]:
        return {key.rpartition("_")[2].partition(".")[0] for key in self.bucket.objects}


@pytest.fixture
def world() -> World:
    return World()


def test_orphans_go_and_everything_else_stays(world: World) -> None:
    assert [verdict.key for verdict in world.delete()] == [DEAD]
    assert world.left() == {"000000ff", "0000beef"}
    assert world.ledger.marked == []


def test_the_list_comes_before_the_snapshot(world: World) -> None:
    world.janitor.survey(TOPIC)
    assert world.bucket.effects == [f"list {TOPIC}", f"snapshot {TOPIC}"]


def test_of_the_ledger_is_read_what_may_have_objects(world: World) -> None:
    """It holds every batch there ever was."""
    gone = [attempt(start, nonce=f"{start:08x}") for start in (0, 30, 60)]
    recorded = [replace(committed(key), object_deleted_at=NOW) for key in gone]
    world.bucket.put(*objects(gone[1]))  # somebody had its version back
    world.ledger.snapshots[TOPIC] = snapshot(committed(HELD), *recorded)
    survey = world.janitor.survey(TOPIC)
    assert sorted(id.offsets.start for id in survey.snapshot.batches) == [30, 60, 90]
    assert {verdict.key for verdict in survey.verdicts if verdict.state is State.COMMITTED} == {HELD, gone[1]}


def test_a_batch_committed_while_the_list_was_made_is_not_touched(world: World) -> None:
    class CommittingBucket(FakeBucket):
        def list(self, folder: str) -> Listing:
            listing = super().list(folder)
            # The attempt in flight is committed: ledger and next offset move together.
            world.ledger.snapshots[TOPIC] = snapshot(committed(HELD), committed(LIVE), next_offset=110)
            return listing

    world.bucket = CommittingBucket(world.bucket.objects, world.bucket.effects)
    world.delete()
    assert world.left() == {"000000ff", "0000beef"}


def test_after_the_fence_even_the_newest_attempt_goes_and_no_batch_of_the_ledger(world: World) -> None:
    assert world.janitor.fence([TOPIC]) == [0]
    world.delete()
    assert world.left() == {"000000ff"}
    effects = world.bucket.effects
    assert effects.index("bump 0") < effects.index(f"list {TOPIC}")


def test_looking_at_what_a_fence_would_prove_bumps_nothing(world: World) -> None:
    survey = world.janitor.survey(TOPIC, as_if_fenced=True)
    assert {verdict.key for verdict in survey.chosen(ORPHANS)} == {DEAD, LIVE}
    assert "bump 0" not in world.bucket.effects


def test_a_topic_nobody_has_loaded_yet_fences_every_shard() -> None:
    world = World()
    world.ledger.snapshots[TOPIC] = snapshot(committed(HELD), epochs={0: 5, 1: 7}, shard=1, guard=replace(GUARD, shards=2))
    world.ledger.snapshots[OTHER] = snapshot(next_offset=None, topic=OTHER, epochs={0: 5, 1: 7}, guard=replace(GUARD, shards=2))
    janitor = Janitor(world.bucket, world.ledger, replace(GUARD, shards=2))
    assert janitor.fence([TOPIC]) == [1]
    seen = janitor.survey(OTHER, as_if_fenced=True).snapshot.epochs
    assert janitor.fence([OTHER]) == [0, 1]
    # Above the highest: an attempt of whichever shard the topic is of is behind its fence then.
    assert janitor.survey(OTHER).snapshot.epochs == seen == {0: 9, 1: 9}


def test_an_object_replaced_since_the_list_stays(world: World) -> None:
    survey = world.janitor.survey(TOPIC)
    plan = Plan()
    plan.add(survey, survey.chosen(ORPHANS))
    world.bucket.put(replace(stored(DEAD.data), etag='"other"'))
    assert list(world.janitor.delete(plan)) == []
    assert DEAD.data in world.bucket.objects


@pytest.mark.parametrize(
    "act",
    [
        lambda janitor: janitor.survey(TOPIC),
        lambda janitor: janitor.fence([TOPIC]),
        lambda janitor: janitor.topics(),
        lambda janitor: janitor.sweep(Retention(), confirmed=True, delete_max=None, dry_run=False),
    ],
)
def test_without_the_warehouse_nothing_is_proven_and_nothing_deleted(world: World, act: Callable[[Janitor], object]) -> None:
    world.ledger.unreachable = True
    before = dict(world.bucket.objects)
    with pytest.raises(Refused, match=r"nothing was deleted.*connection refused") as caught:
        act(world.janitor)
    assert caught.value.exit_code == 3
    assert world.bucket.objects == before


@pytest.mark.parametrize("held", [snapshot(guard=None), snapshot(guard=replace(GUARD, bucket="copy")), snapshot(epochs={1: 1})])
def test_a_ledger_that_is_not_ours_stops_everything(world: World, held: object) -> None:
    world.ledger.snapshots[TOPIC] = held  # type: ignore[assignment]  # parametrize has plain objects
    with pytest.raises(Refused):
        world.sweep(yes=True)
    assert world.bucket.deleted == []


def test_an_empty_ledger_needs_a_yes(world: World) -> None:
    world.ledger.snapshots[TOPIC] = snapshot()
    survey = world.janitor.survey(TOPIC)
    plan = Plan()
    plan.add(survey, survey.chosen(ORPHANS))
    with pytest.raises(Refused, match=r"ledger is empty.*--yes"):
        plan.refuse_unasked(None)


def test_more_than_the_cap_needs_a_yes(world: World) -> None:
    survey = world.janitor.survey(TOPIC)
    plan = Plan()
    plan.add(survey, survey.chosen(ORPHANS))
    plan.refuse_unasked(2)
    with pytest.raises(Refused, match="2 objects are more than --max-delete 1"):
        plan.refuse_unasked(1)


def test_a_table_nothing_is_known_of_is_refused_with_its_nearest_neighbour(world: World) -> None:
    with pytest.raises(Invalid, match=r"nothing of shop\.oders is stored or loaded; did you mean shop\.orders\?"):
        world.janitor.refuse_unknown("shop.shop.oders", "shop.oders")
    world.janitor.refuse_unknown(TOPIC, "shop.orders")
    world.bucket.put(*objects(attempt(0, topic=OTHER)))
    world.janitor.refuse_unknown(OTHER, "shop.lines")


def test_topics_are_those_of_the_bucket_and_of_the_ledger_of_this_pipeline_alone(world: World) -> None:
    world.bucket.put(*objects(attempt(0, topic=OTHER), attempt(0, topic="crm.shop.orders")), stored("readme.txt"))
    world.ledger.snapshots["shop.shop.idle"] = snapshot(topic="shop.shop.idle")
    assert world.janitor.topics() == ["shop.shop.idle", OTHER, TOPIC]
    assert [verdict.objects[0].key for verdict in world.janitor.strays()] == ["readme.txt"]


# -- the sweep


def test_a_sweep_leaves_young_orphans_and_every_batch_of_the_ledger(world: World) -> None:
    young = attempt(0, 5, nonce="00000001")
    world.bucket.put(*objects(young, age=timedelta(minutes=59)))
    assert world.sweep() == (1, 0, True)
    assert world.left() == {"000000ff", "0000beef", "00000001"}


def test_a_sweep_removes_committed_batches_past_their_time_and_records_it(world: World) -> None:
    old = attempt(80, 90, epoch=5, nonce="00000001")
    world.bucket.put(*objects(old, age=8 * DAY))
    world.ledger.snapshots[TOPIC] = snapshot(committed(HELD), committed(old))
    assert world.sweep(keep=7 * DAY) == (1, 1, True)
    assert world.left() == {"000000ff", "0000beef"}
    assert world.ledger.marked == [(TOPIC, "00000001")]


def test_a_sweep_that_keeps_for_ever_removes_no_committed_batch(world: World) -> None:
    world.bucket.put(*objects(HELD, age=800 * DAY))
    assert world.sweep(keep=None) == (1, 0, True)
    assert "000000ff" in world.left()


@pytest.mark.parametrize(("default", "own", "expires"), [(7 * DAY, None, False), (None, 7 * DAY, True), (7 * DAY, 9 * DAY, False)])
def test_a_table_s_own_retention_goes_before_the_pipeline_s(
    world: World, default: timedelta | None, own: timedelta | None, expires: bool
) -> None:
    world.bucket.put(*objects(HELD, age=8 * DAY))
    world.kept = {TOPIC: own}
    assert world.sweep(keep=default) == (1, int(expires), True)
    assert ("000000ff" not in world.left()) is expires
    assert bool(world.ledger.marked) is expires


def test_a_deletion_that_was_never_recorded_is_recorded_by_the_next_sweep_but_not_for_young_batches(world: World) -> None:
    old, young = attempt(70, 80, nonce="00000001"), attempt(80, 90, nonce="00000002")
    world.ledger.snapshots[TOPIC] = snapshot(committed(HELD), committed(old, age=8 * DAY), committed(young))
    world.sweep(keep=7 * DAY)
    assert world.ledger.marked == [(TOPIC, "00000001")]


def test_a_dry_sweep_touches_nothing(world: World) -> None:
    old = attempt(80, 90, epoch=5, nonce="00000001")
    world.bucket.put(*objects(old, age=8 * DAY))
    world.bucket.uploads = [(DEAD.data, NOW - 2 * DAY)]
    world.ledger.snapshots[TOPIC] = snapshot(committed(HELD), committed(old), committed(attempt(0), age=8 * DAY))
    before = dict(world.bucket.objects)
    assert world.sweep(keep=7 * DAY, dry_run=True) == (1, 1, True)
    assert (world.bucket.objects, world.ledger.marked, len(world.bucket.uploads)) == (before, [], 1)


def test_a_sweep_aborts_uploads_nobody_finished_in_a_day(world: World) -> None:
    unknown, other = attempt(0, topic="shop.shop.fresh"), attempt(0, topic="crm.shop.orders")
    world.bucket.uploads = [(key.data, NOW - 2 * DAY) for key in (DEAD, unknown, other)] + [(LIVE.data, NOW - timedelta(hours=2))]
    swept = world.janitor.sweep(Retention(), confirmed=False, delete_max=None, dry_run=False)
    assert swept.uploads == 2
    assert [key for key, _ in world.bucket.uploads] == [other.data, LIVE.data]


def test_while_the_ledger_is_empty_a_sweep_leaves_orphans_to_a_person_and_says_so(world: World) -> None:
    world.ledger.snapshots[TOPIC] = snapshot()
    with pytest.raises(Refused, match=r"ledger is empty.*--yes"):
        world.sweep()
    assert world.bucket.deleted == []
    assert world.sweep(yes=True)[0] == 2


def test_an_empty_ledger_is_nothing_to_a_sweep_that_finds_no_orphan(world: World) -> None:
    world.bucket.objects.clear()
    world.bucket.put(*objects(LIVE))
    world.ledger.snapshots[TOPIC] = snapshot()
    assert world.sweep() == (0, 0, True)


def test_the_sweeps_cap_is_for_orphans_and_checked_before_anything_goes(world: World) -> None:
    world.bucket.put(*objects(HELD, age=8 * DAY))
    with pytest.raises(Refused, match="--max-delete 1"):
        world.sweep(keep=7 * DAY, cap=1)
    assert world.bucket.deleted == []
    assert world.sweep(keep=7 * DAY, cap=2) == (1, 1, True)


def test_a_stop_is_obeyed_between_two_attempts_and_what_is_gone_is_recorded(world: World) -> None:
    class StoppingBucket(FakeBucket):
        def delete(self, stored: StoredObject) -> bool:
            world.stopping = True
            return super().delete(stored)

    first, second = attempt(70, 80, nonce="00000001"), attempt(80, 90, nonce="00000002")
    world.bucket = StoppingBucket()
    world.bucket.put(*objects(first, second, age=8 * DAY))
    world.ledger.snapshots[TOPIC] = snapshot(committed(first), committed(second))
    assert world.sweep(keep=7 * DAY) == (0, 1, False)
    assert world.left() == {"00000002"}
    assert world.ledger.marked == [(TOPIC, "00000001")]


def test_a_batch_half_deleted_by_a_janitor_that_died_is_finished_by_the_next(world: World) -> None:
    class DyingBucket(FakeBucket):
        def delete(self, stored: StoredObject) -> bool:
            if self.deleted:
                raise KeyboardInterrupt
            return super().delete(stored)

    dying = DyingBucket()
    dying.put(*objects(HELD, age=8 * DAY))
    living, world.bucket = world.bucket, dying
    with pytest.raises(KeyboardInterrupt):
        world.sweep(keep=7 * DAY)
    assert len(dying.objects) == 1
    assert world.ledger.marked == []
    world.bucket = living
    living.objects = dying.objects
    assert world.sweep(keep=7 * DAY) == (0, 1, True)
    assert living.objects == {}
    assert world.ledger.marked == [(TOPIC, "000000ff")]


def test_when_s3_fails_one_of_many_what_went_beside_it_is_told_and_recorded(world: World) -> None:
    class FailingBucket(FakeBucket):
        def delete(self, stored: StoredObject) -> bool:
            if "0000000b" in stored.key:
                raise Unavailable("S3 answers SlowDown")
            return super().delete(stored)

    batches = [attempt(10 * number, epoch=5, nonce=f"{number:08x}") for number in range(20)]
    world.bucket = FailingBucket()
    world.bucket.put(*objects(*batches, age=8 * DAY))
    world.ledger.snapshots[TOPIC] = snapshot(*map(committed, batches))
    with pytest.raises(Unavailable, match="SlowDown"):
        world.sweep(keep=7 * DAY)
    gone = {f"{number:08x}" for number in range(16) if number != 11}
    assert {nonce for _, nonce in world.ledger.marked} == gone
    assert world.left() == {f"{number:08x}" for number in range(20)} - gone


def test_two_janitors_at_once_do_no_harm(world: World) -> None:
    plans: list[tuple[Survey, Sequence[Verdict]]] = []
    for _ in range(2):
        survey = world.janitor.survey(TOPIC)
        plans.append((survey, survey.chosen(ORPHANS)))
    for survey, chosen in plans:
        plan = Plan()
        plan.add(survey, chosen)
        assert len(list(world.janitor.delete(plan))) == 1
    assert world.left() == {"000000ff", "0000beef"}


def test_a_batch_id_shared_by_two_tables_is_recorded_for_its_own_alone(world: World) -> None:
    other = attempt(80, 90, epoch=5, nonce="000000ff", topic=OTHER)
    batch: LedgerBatch = committed(other)
    world.bucket.put(*objects(other, age=8 * DAY))
    world.ledger.snapshots[OTHER] = snapshot(batch, topic=OTHER)
    world.sweep(keep=7 * DAY)
    assert world.ledger.marked == [(OTHER, "000000ff")]
