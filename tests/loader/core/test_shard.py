from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from contracts.errors import Gone
from contracts.ledger import Fence, LedgerEntry, TopicOffset
from contracts.position import GtidSet
from contracts.progress import Standing, TableState
from loader.core.cut import Cut, CutReason
from loader.core.lane import Start
from loader.core.plan import Mode, QuarantinedValue, TableLoad
from loader.core.shard import Tenure, start_of_progress, start_of_rows
from loader.core.target import TargetNaming, target_table
from tests.loader.core.reading import ITEMS, NOW, ORDERS, SCHEMA, SERVER, barrier, named, open_batch, row, snapshotting, start

BEFORE = GtidSet.parse(f"{SERVER}:1-3")
FENCE = Fence(
    shard=2, epoch=7, commit_no=40, owner="me", progress_offset=5, barrier_no=3, gtid_set=BEFORE, partial=False, commit_ts_us=2500
)
HELD = TopicOffset(ORDERS, 0, "id-1", 10, 10, TableState.OK, 17, "shop.orders", '"shop"."orders"')
LONG_AGO = datetime(2026, 1, 1, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=2)))


def tenure(*offsets: TopicOffset, open_keys: dict[str, frozenset[str]] | None = None) -> Tenure:
    return Tenure.begin(FENCE, {offset.topic: offset for offset in offsets}, open_keys or {}, LONG_AGO)


def loads(held: Tenure, cut: Cut, *, quarantined: str | None = None, closes: tuple[str, ...] = ()) -> list[TableLoad]:
    made = []
    for part in cut.parts:
        target = target_table(part.topic, SCHEMA, TargetNaming(), None)
        key = held.key(part.topic, part.offsets, "0123abcd")
        count = len(part.changes)
        entry = LedgerEntry("0123abcd", part.topic, 0, "id-1", 7, part.offsets, count, 0, count, 0, 0, "", "", NOW)
        kept = (QuarantinedValue(part.topic, 0, 0, quarantined, "note", "too long", "x", 1),) if quarantined else ()
        truncate = part.changes.truncate
        made.append(TableLoad(target, key, None, truncate, entry, kept, closes))
    return made


def test_a_session_is_stamped_when_its_epoch_was_granted_in_utc() -> None:
    assert tenure().session == datetime(2026, 1, 1, 21, 59, 59, tzinfo=UTC)


def test_a_commit_moves_fence_and_offsets_together() -> None:
    cut = open_batch(row(10), row(11), barrier(5, orders=12), starts={ORDERS: start(10, next_seq=10)}).cut(CutReason.AGE, NOW)
    held = tenure(HELD)
    plan = held.plan(cut, loads(held, cut), {ORDERS: "id-1"}, NOW)
    last = named(5)
    assert plan.expected == FENCE
    assert plan.fence == replace(
        FENCE, commit_no=41, progress_offset=6, barrier_no=last.n, gtid_set=last.gtid_set, commit_ts_us=last.commit_ts_us
    )
    assert plan.offsets == (replace(HELD, next_offset=12, next_seq=12),)
    assert plan.new_topics == frozenset()
    after = held.after(plan)
    assert (after.fence, after.offsets, after.number) == (plan.fence, {ORDERS: plan.offsets[0]}, 2)


def test_a_barrier_inside_a_transaction_leaves_set_and_time_at_the_last_whole_one() -> None:
    held = tenure()
    cut = open_batch(row(0), barrier(5, partial=True, orders=1)).cut(CutReason.ROWS, NOW)
    fence = held.plan(cut, loads(held, cut), {ORDERS: "id-1"}, NOW).fence
    assert (fence.partial, fence.gtid_set, fence.commit_ts_us, fence.barrier_no) == (True, BEFORE, 2500, 6)


def test_the_watermark_never_falls() -> None:
    cut = open_batch(barrier(0)).cut(CutReason.AGE, NOW)
    assert named(0).commit_ts_us < FENCE.commit_ts_us
    assert tenure().plan(cut, [], {}, NOW).fence.commit_ts_us == FENCE.commit_ts_us


def test_a_topics_first_batch_makes_its_row() -> None:
    held = tenure(HELD)
    cut = open_batch(row(0, topic=ITEMS), barrier(5, items=1)).cut(CutReason.AGE, NOW)
    plan = held.plan(cut, loads(held, cut), {ITEMS: "id-9"}, NOW)
    assert plan.new_topics == {ITEMS}
    (new,) = plan.offsets
    assert (new.topic_id, new.next_offset, new.next_seq, new.state, new.state_since_us) == ("id-9", 1, 1, TableState.OK, 1_000_000)


def test_a_tables_state_is_what_the_last_barrier_says_of_it() -> None:
    held = tenure(HELD, replace(HELD, topic=ITEMS, state=TableState.REREADING, state_since_us=3))
    cut = open_batch(barrier(5, standings=snapshotting(ORDERS, 99))).cut(CutReason.AGE, NOW)
    moved = {offset.topic: (offset.state, offset.state_since_us) for offset in held.plan(cut, [], {}, NOW).offsets}
    assert moved == {ORDERS: (TableState.SNAPSHOTTING, 99), ITEMS: (TableState.OK, named(5).commit_ts_us)}


def test_a_table_that_stays_ok_keeps_since_when() -> None:
    cut = open_batch(barrier(5)).cut(CutReason.AGE, NOW)
    assert tenure(HELD).plan(cut, [], {}, NOW).offsets == ()


def test_keys_with_open_entries_are_known_from_commit_to_commit() -> None:
    held = tenure(HELD, open_keys={ORDERS: frozenset({"1", "2"})})
    cut = open_batch(row(10), barrier(5, orders=11), starts={ORDERS: start(10, next_seq=10)}).cut(CutReason.AGE, NOW)
    plan = held.plan(cut, loads(held, cut, quarantined="3", closes=("1",)), {ORDERS: "id-1"}, NOW)
    assert held.after(plan).open_keys == {ORDERS: frozenset({"2", "3"})}
    # No event supersedes another: what of them is in quarantine stays there, and needs no memory.
    (load,) = plan.loads
    events = replace(plan, loads=(replace(load, target=replace(load.target, mode=Mode.APPEND)),))
    assert held.after(events).open_keys == {}


@pytest.mark.parametrize(
    ("held", "low", "expected"),
    [
        (None, 0, Start("id-1", 0, 0, 0)),
        (None, 30, Start("id-1", 30, 0, 0)),
        (HELD, 0, Start("id-1", 10, 10, 10)),
        (HELD, 30, Start("id-1", 30, 10, 10)),
    ],
)
def test_rows_are_read_from_where_the_warehouse_is_or_where_kafka_begins(held: TopicOffset | None, low: int, expected: Start) -> None:
    assert start_of_rows(ORDERS, "id-1", held, low, 40) == expected


def test_a_topic_made_again_is_gone_though_its_offsets_look_right() -> None:
    with pytest.raises(Gone, match="deleted and made again"):
        start_of_rows(ORDERS, "id-2", HELD, 0, 40)


def test_a_topic_shorter_than_what_was_loaded_is_gone() -> None:
    with pytest.raises(Gone, match="ends at offset 9, but was loaded up to 10"):
        start_of_rows(ORDERS, "id-1", HELD, 0, 9)
    assert start_of_rows(ORDERS, "id-1", HELD, 0, 10).offset == 10


def test_barriers_that_expired_unread_are_gone() -> None:
    assert start_of_progress("tm.progress", 5, 5, 9) == 5
    with pytest.raises(Gone, match="barriers 5 to 6"):
        start_of_progress("tm.progress", 5, 7, 9)
    with pytest.raises(Gone, match="barriers 0 to 0"):
        start_of_progress("tm.progress", 0, 1, 9)
    with pytest.raises(Gone, match="ends at offset 4"):
        start_of_progress("tm.progress", 5, 0, 4)


def test_the_marker_right_behind_the_last_barrier_may_expire() -> None:
    assert start_of_progress("tm.progress", 5, 6, 6) == 6


def test_a_table_that_was_altered_for_a_commit_that_did_not_come_about_is_not_ok_before_its_rows_come() -> None:
    altered = replace(HELD, state=TableState.REREADING, because="altered")
    held = tenure(altered)
    before_the_alter = open_batch(row(0, topic=ITEMS), barrier(5, items=1)).cut(CutReason.AGE, NOW)
    plan = held.plan(before_the_alter, loads(held, before_the_alter), {ITEMS: "id-2"}, NOW)
    assert [offset.topic for offset in plan.offsets] == [ITEMS]
    said = replace(before_the_alter.barrier, standings={ORDERS: Standing(TableState.SNAPSHOTTING, 700)})
    plan = held.plan(replace(before_the_alter, barrier=said), loads(held, before_the_alter), {ITEMS: "id-2"}, NOW)
    follows = next(offset for offset in plan.offsets if offset.topic == ORDERS)
    assert (follows.state, follows.state_since_us, follows.because) == (TableState.SNAPSHOTTING, 700, "altered")
    with_rows = open_batch(row(10), barrier(5, orders=11), starts={ORDERS: start(10, next_seq=10)}).cut(CutReason.AGE, NOW)
    (moved,) = held.plan(with_rows, loads(held, with_rows), {ORDERS: "id-1"}, NOW).offsets
    assert (moved.state, moved.because) == (TableState.OK, "")
