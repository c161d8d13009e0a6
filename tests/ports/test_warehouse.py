"""Warehouse: the fake database, and the warehouse stand-in behind redshift_connector."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from contracts.batch import Manifest, ManifestEntry
from contracts.envelope import Op
from contracts.errors import Corrupt, Fenced, Invalid, Unavailable, Unfit
from contracts.progress import TableState
from contracts.sql import qualified, quote
from contracts.table import Column, Kind, TableId
from devstack.stack import Stack
from loader.core.plan import Mode
from loader.core.target import TargetNaming, target_table
from tests.ports.conftest import BOTH
from tests.ports.warehouse_scenes import GTIDS, TOPIC, FakeWarehouseScene, RealWarehouseScene, WarehouseScene, Writer


@pytest.fixture(params=BOTH)
def scene(request: pytest.FixtureRequest, unused_name: str) -> Iterator[WarehouseScene]:
    scene: WarehouseScene
    if request.param == "fake":
        scene = FakeWarehouseScene(unused_name)
    else:
        scene = RealWarehouseScene(request.getfixturevalue("stack"), unused_name)
    yield scene
    scene.close()


def test_each_takeover_is_granted_a_higher_epoch(scene: WarehouseScene) -> None:
    first, second = scene.warehouse(), scene.warehouse()
    granted = [first.bump_epoch(0, "a"), second.bump_epoch(0, "b"), first.bump_epoch(0, "a")]
    assert granted == [1, 2, 3]
    fence = second.read_state(0).fence
    assert (fence.epoch, fence.owner, fence.commit_no) == (3, "a", 0)


def test_a_commit_moves_fence_offsets_rows_and_ledger_together(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    plan = writer.commit(writer.upsert(1, 10), writer.upsert(2, 20), writer.upsert(1, 11))
    assert scene.rows(writer.target) == [(1, 11), (2, 20)]
    assert scene.ledger() == [plan.loads[0].entry.batch_id]
    fence = writer.fence
    assert (fence.commit_no, fence.progress_offset, fence.barrier_no, fence.gtid_set, fence.commit_ts_us) == (1, 3, 9, GTIDS, 7)
    assert writer.state.offsets == {TOPIC: plan.offsets[0]}


def test_whoever_lost_the_shard_makes_and_alters_no_table(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    schema = replace(writer.schema, table=TableId(writer.schema.table.database, "items"))
    made, altered = (
        target_table("tm.items", replace(schema, columns=(*schema.columns, *more)), TargetNaming(), Mode.MERGE)
        for more in ((), (Column("w", Kind.INT),))
    )
    writer.session.ensure_target(made, writer.fence, renewing=True)
    scene.warehouse().bump_epoch(0, "another")
    with pytest.raises(Fenced):
        writer.session.ensure_target(altered, writer.fence, renewing=True)
    writer.take()
    writer.session.ensure_target(altered, writer.fence, renewing=True)


def test_an_altered_table_is_not_ok_until_its_rows_are_committed(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    writer.commit(writer.upsert(1, 10))
    assert (writer.state.offsets[TOPIC].state, writer.state.offsets[TOPIC].because) == (TableState.OK, "")
    altered = replace(writer.schema, columns=(*writer.schema.columns, Column("w", Kind.INT)))
    target = target_table(TOPIC, altered, TargetNaming(), Mode.MERGE)
    writer.session.ensure_target(target, writer.fence, renewing=True)
    held = scene.warehouse().read_state(0).offsets[TOPIC]
    assert (held.state, held.next_offset) == (TableState.REREADING, writer.next_offset)
    assert "altered" in held.because


@pytest.mark.parametrize("other", [Mode.MERGE, Mode.SOFT_DELETE, Mode.APPEND])
@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE, Mode.APPEND])
def test_a_bare_target_asks_for_the_mode_alone_and_changes_nothing(scene: WarehouseScene, mode: Mode, other: Mode) -> None:
    writer = Writer(scene, mode)
    writer.commit(writer.upsert(1, 10))
    writer.take()
    altered = replace(writer.schema, columns=(*writer.schema.columns, Column("w", Kind.INT)))
    bare = target_table(TOPIC, altered, TargetNaming(), other).bare
    if mode is other:
        writer.session.ensure_target(bare, writer.fence, renewing=True)
    else:
        with pytest.raises(Invalid):
            writer.session.ensure_target(bare, writer.fence, renewing=True)
    writer.session.ensure_target(writer.target, writer.fence, renewing=False)
    writer.commit(writer.upsert(2, 20))
    assert scene.rows(writer.target) == [(1, 10), (2, 20)]


def test_the_next_commit_merges_by_key(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    writer.commit(writer.upsert(1, 10), writer.upsert(2, 20), writer.upsert(3, 30))
    writer.commit(writer.delete(2), writer.upsert(3, None), writer.upsert(4, 40))
    assert scene.rows(writer.target) == [(1, 10), (3, None), (4, 40)]
    assert (writer.fence.commit_no, writer.next_offset) == (2, 6)


def test_a_truncate_leaves_what_comes_after_it(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    writer.commit(writer.upsert(1, 10), writer.upsert(2, 20))
    writer.commit(writer.truncate())
    assert scene.rows(writer.target) == []
    writer.commit(writer.upsert(2, 21))
    assert scene.rows(writer.target) == [(2, 21)]


def test_in_append_mode_every_event_is_a_row(scene: WarehouseScene) -> None:
    writer = Writer(scene, Mode.APPEND)
    writer.commit(writer.upsert(1, 10), writer.upsert(1, 11))
    writer.commit(writer.upsert(1, 10))
    assert scene.rows(writer.target) == [(1, 10), (1, 10), (1, 11)]


def test_in_soft_delete_mode_a_deleted_row_stays_as_its_last_and_is_marked(scene: WarehouseScene) -> None:
    writer = Writer(scene, Mode.SOFT_DELETE)
    writer.commit(writer.upsert(1, 10), writer.upsert(2, 20), writer.upsert(3, 30), writer.delete(3, 30))
    assert scene.rows(writer.target) == [(1, 10), (2, 20), (3, 30)]
    assert scene.marks(writer.target) == {1: False, 2: False, 3: True}
    writer.commit(writer.upsert(2, 21), writer.delete(2, 21), writer.delete(4, 40), writer.upsert(3, 31))
    assert scene.rows(writer.target) == [(1, 10), (2, 21), (3, 31), (4, 40)]
    assert scene.marks(writer.target) == {1: False, 2: True, 3: False, 4: True}


def test_in_soft_delete_mode_a_truncate_marks_what_is_there(scene: WarehouseScene) -> None:
    writer = Writer(scene, Mode.SOFT_DELETE)
    writer.commit(writer.upsert(1, 10), writer.upsert(2, 20), writer.delete(2, 20))
    writer.commit(writer.truncate())
    assert scene.rows(writer.target) == [(1, 10), (2, 20)]
    assert scene.marks(writer.target) == {1: True, 2: True}
    writer.commit(writer.upsert(2, 21))
    assert scene.rows(writer.target) == [(1, 10), (2, 21)]
    assert scene.marks(writer.target) == {1: True, 2: False}


def test_in_soft_delete_mode_a_lost_row_is_marked_where_it_was_and_absent_where_it_is(scene: WarehouseScene) -> None:
    writer = Writer(scene, Mode.SOFT_DELETE)
    writer.commit(*(writer.upsert(number, 10) for number in (1, 2, 3)))
    writer.commit(writer.lost(Op.DELETE, 1), writer.lost(Op.UPDATE, 2), writer.upsert(3, 11), writer.lost(Op.DELETE, 4))
    assert scene.rows(writer.target) == [(1, 10), (3, 11)]
    assert scene.marks(writer.target) == {1: True, 3: False}


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE])
def test_a_commit_says_which_target_is_gone_and_that_one_is_made_again(scene: WarehouseScene, mode: Mode) -> None:
    writer = Writer(scene, mode)
    writer.commit(writer.upsert(1, 10), writer.upsert(2, 20))
    scene.drop(writer.target)
    for changes in ([writer.upsert(3, 30)], [writer.truncate()]):
        writer.session.ensure_target(writer.target, writer.fence, renewing=False)
        with pytest.raises(Unfit, match=f"{writer.target.schema}.orders is gone from the warehouse") as refused:
            writer.commit(*changes)
        assert refused.value.fields["topic"] == TOPIC
    held = scene.warehouse().read_state(0)
    assert (held.fence.commit_no, held.offsets[TOPIC].next_offset, len(scene.ledger())) == (1, 2, 1)
    writer.session.ensure_target(writer.target, writer.fence, renewing=True, afresh=True)
    writer.commit(writer.truncate())
    writer.commit(writer.upsert(3, 30))
    assert scene.rows(writer.target) == [(3, 30)]


def test_a_dropped_table_whose_source_was_altered_is_not_made_again_without_its_rows(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    writer.commit(writer.upsert(1, 10))
    scene.drop(writer.target)
    altered = replace(writer.schema, columns=(*writer.schema.columns, Column("w", Kind.INT)))
    target = target_table(TOPIC, altered, TargetNaming(), Mode.MERGE)
    writer.take()
    with pytest.raises(Unfit, match="is gone from the warehouse"):
        writer.session.ensure_target(target, writer.fence, renewing=False)
    writer.session.ensure_target(target, writer.fence, renewing=True)


def test_a_dropped_append_table_is_nobodys_to_make_again(scene: WarehouseScene) -> None:
    writer = Writer(scene, Mode.APPEND)
    writer.commit(writer.upsert(1, 10))
    scene.drop(writer.target)
    with pytest.raises(Invalid, match="is gone from the warehouse") as refused:
        writer.commit(writer.upsert(2, 20))
    assert not isinstance(refused.value, Unfit)
    if isinstance(scene, RealWarehouseScene):
        for statement in re.findall("CREATE SCHEMA[^;]*|CREATE TABLE.*? SORTKEY AUTO", refused.value.message):
            scene.do(statement)
        writer.take()
        writer.session.ensure_target(writer.target, writer.fence, renewing=False)
        writer.commit(writer.upsert(2, 20))
        assert scene.rows(writer.target) == [(2, 20)]


@pytest.mark.parametrize("renewing", [False, True])
def test_a_dropped_append_table_whose_source_was_altered_is_not_made_again_without_its_events(
    scene: WarehouseScene, renewing: bool
) -> None:
    writer = Writer(scene, Mode.APPEND)
    writer.commit(writer.upsert(1, 10))
    scene.drop(writer.target)
    altered = replace(writer.schema, columns=(*writer.schema.columns, Column("w", Kind.INT)))
    target = target_table(TOPIC, altered, TargetNaming(), Mode.APPEND)
    writer.take()
    with pytest.raises(Invalid, match=r"is gone from the warehouse, and its events with it.*CREATE TABLE IF NOT EXISTS") as refused:
        writer.session.ensure_target(target, writer.fence, renewing=renewing)
    assert not isinstance(refused.value, Unfit)


NAMINGS = [TargetNaming("{db}_2"), TargetNaming(table_template="{table}_2")]


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("mode", list(Mode))
def test_another_name_for_a_target_halts_and_makes_no_table_without_its_rows(
    scene: WarehouseScene, mode: Mode, naming: TargetNaming
) -> None:
    writer = Writer(scene, mode)
    former = writer.target
    writer.commit(writer.upsert(1, 10))
    writer.take()
    writer.target = target_table(TOPIC, writer.schema, naming, mode)
    # Of rows that are read anew, some may be in the former target already.
    for renewing in (False, True):
        with pytest.raises(Invalid, match=f"so far are in {former.schema}.{former.name}") as refused:
            writer.session.ensure_target(writer.target, writer.fence, renewing=renewing)
        assert not isinstance(refused.value, Unfit)
    writer.session.ensure_target(writer.target.bare, writer.fence, renewing=True)
    scene.move(former, writer.target)
    writer.session.ensure_target(writer.target, writer.fence, renewing=False)
    writer.commit(writer.upsert(2, 20))
    assert scene.rows(writer.target) == [(1, 10), (2, 20)]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_target_of_another_name_is_made_where_what_was_loaded_goes_first(scene: WarehouseScene, mode: Mode) -> None:
    writer = Writer(scene, mode)
    writer.commit(writer.upsert(1, 10))
    writer.take()
    writer.target = target_table(TOPIC, writer.schema, NAMINGS[0], mode)
    if not mode.keyed:
        with pytest.raises(Invalid, match="so far are in"):
            writer.session.ensure_target(writer.target, writer.fence, renewing=True, afresh=True)
        return
    writer.session.ensure_target(writer.target, writer.fence, renewing=True, afresh=True)
    writer.take()
    writer.session.ensure_target(writer.target, writer.fence, renewing=False)
    writer.commit(writer.upsert(2, 20))
    assert scene.rows(writer.target) == [(2, 20)]


def test_a_former_target_that_still_stands_is_not_taken_for_the_present_one(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    first = writer.target
    writer.commit(writer.upsert(1, 10))
    writer.take()
    writer.target = target_table(TOPIC, writer.schema, NAMINGS[0], Mode.MERGE)
    writer.session.ensure_target(writer.target, writer.fence, renewing=True, afresh=True)
    writer.commit(writer.upsert(2, 20))
    writer.take()
    with pytest.raises(Invalid, match="is there, too"):
        writer.session.ensure_target(first, writer.fence, renewing=False)
    scene.drop(writer.target)
    writer.session.ensure_target(first, writer.fence, renewing=False)


@pytest.mark.stack
def test_what_was_loaded_under_another_name_is_known_where_the_table_is_now(stack: Stack, unused_name: str) -> None:
    scene = RealWarehouseScene(stack, unused_name)
    writer = Writer(scene, Mode.APPEND)
    first, columns = writer.target, writer.schema.columns
    with_w, with_x = (replace(writer.schema, columns=(*columns, Column(name, Kind.INT))) for name in "wx")
    schemas = {one.fingerprint: one for one in (writer.schema, with_w, with_x)}
    knowing = scene.warehouse(lambda topic, fingerprint: target_table(topic, schemas[fingerprint], TargetNaming(), Mode.APPEND))
    there = target_table(TOPIC, with_w, NAMINGS[0], Mode.APPEND)
    back = target_table(TOPIC, with_x, TargetNaming(), Mode.APPEND)
    writer.commit(writer.upsert(1, 10))
    scene.move(first, there)
    knowing.ensure_target(there, writer.fence, renewing=False)
    scene.move(there, back)
    for target in (back, first):
        knowing.ensure_target(target, writer.fence, renewing=False)
    assert scene.rows(back) == [(1, 10)]
    scene.close()


@pytest.mark.stack
@pytest.mark.parametrize("harm", ["ALTER TABLE {} OWNER TO {}", "ALTER TABLE {} DROP COLUMN v"])
@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE, Mode.APPEND])
def test_a_commit_says_whose_rights_or_column_are_gone(stack: Stack, unused_name: str, mode: Mode, harm: str) -> None:
    login = {"user": f"loader_{unused_name}", "password": "Loader-1"}
    with stack.redshift.connect(ssl=False) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"CREATE USER {login['user']} PASSWORD '{login['password']}'")
        cursor.execute(f"GRANT CREATE ON DATABASE {stack.redshift.database} TO {login['user']}")
    scene = RealWarehouseScene(stack, unused_name, login)
    writer = Writer(scene, mode)
    writer.commit(writer.upsert(1, 10))
    scene.do(harm.format(qualified(writer.target.schema, writer.target.name), stack.redshift.user))
    with pytest.raises(Invalid, match=f"{writer.target.schema}.orders doesn't take the rows of") as refused:
        writer.commit(writer.upsert(1, 11))
    assert isinstance(refused.value, Unfit) == (mode.keyed and "COLUMN" in harm)
    assert refused.value.fields["topic"] == TOPIC
    scene.close()


@pytest.mark.stack
@pytest.mark.parametrize(
    "harm",
    [
        ("ALTER TABLE {} DROP COLUMN v", "ALTER TABLE {} ADD COLUMN v SMALLINT"),
        ("ALTER TABLE {} DROP COLUMN v", "ALTER TABLE {} ADD COLUMN v DATE"),
        ("ALTER TABLE {} RENAME TO before", "CREATE VIEW {} AS SELECT * FROM {schema}.before UNION ALL SELECT * FROM {schema}.before"),
    ],
)
@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE, Mode.APPEND])
def test_a_commit_says_whose_table_is_another_now(stack: Stack, unused_name: str, mode: Mode, harm: tuple[str, ...]) -> None:
    scene = RealWarehouseScene(stack, unused_name)
    writer = Writer(scene, mode)
    writer.commit(writer.upsert(1, 10))
    for statement in harm:
        scene.do(statement.format(qualified(writer.target.schema, writer.target.name), schema=quote(writer.target.schema)))
    with pytest.raises(Invalid, match=f"{writer.target.schema}.orders doesn't take the rows of.*Make it take them") as refused:
        writer.commit(writer.upsert(1, 1 << 30))
    assert isinstance(refused.value, Unfit) == mode.keyed
    assert refused.value.fields["topic"] == TOPIC
    scene.close()


def test_who_lost_the_epoch_commits_nothing(scene: WarehouseScene) -> None:
    zombie, successor = Writer(scene), Writer(scene)
    with pytest.raises(Fenced):
        zombie.commit(zombie.upsert(1, 10))
    assert (scene.rows(zombie.target), scene.ledger()) == ([], [])
    successor.commit(successor.upsert(1, 11))
    assert scene.rows(successor.target) == [(1, 11)]


def test_the_same_commit_is_not_made_twice(scene: WarehouseScene) -> None:
    writer = Writer(scene, Mode.APPEND)
    plan = writer.commit(writer.upsert(1, 10))
    load = plan.loads[0].staged
    assert load is not None
    writer.session.stage([load])
    with pytest.raises(Fenced):
        writer.session.commit(plan)
    assert scene.rows(writer.target) == [(1, 10)]
    assert len(scene.ledger()) == 1


def test_a_commit_prepared_before_another_one_is_refused(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    early = writer.plan(writer.upsert(1, 10))
    writer.commit(writer.upsert(1, 11))
    load = early.loads[0].staged
    assert load is not None
    writer.session.stage([load])
    with pytest.raises(Fenced):
        writer.session.commit(early)
    assert scene.rows(writer.target) == [(1, 11)]


def test_staging_is_the_sessions_own_and_may_be_done_again(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    plan = writer.plan(writer.upsert(1, 10))
    load = plan.loads[0].staged
    assert load is not None
    writer.session.stage([load])
    scene.warehouse().stage([load])
    writer.session.commit(plan)
    assert scene.rows(writer.target) == [(1, 10)]


def test_copied_rows_are_counted(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    load = writer.plan(writer.upsert(1, 10)).loads[0].staged
    assert load is not None
    with pytest.raises(Corrupt):
        writer.session.stage([replace(load, rows=2)])


def test_a_missing_object_fails_the_copy(scene: WarehouseScene) -> None:
    writer = Writer(scene)
    load = writer.plan(writer.upsert(1, 10)).loads[0].staged
    assert load is not None
    key = "gone.manifest"
    scene.store.put(key, Manifest((ManifestEntry(scene.store.url("gone.parquet"), 10),)).encode())
    with pytest.raises(Unavailable) as raised:
        writer.session.stage([replace(load, manifest_url=scene.store.url(key))])
    assert (raised.value.fields["manifest"], raised.value.fields["code"]) == (scene.store.url(key), "XX000")
