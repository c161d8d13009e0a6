from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Op
from contracts.errors import Corrupt, Gone
from contracts.offsets import OffsetRange
from contracts.progress import Standing
from loader.core.changes import DecodedChanges
from loader.core.cut import Cut, CutReason, OpenBatch
from loader.core.lane import Part
from loader.core.records import Change, Record, Records
from tests.loader.core.reading import ITEMS, NEVER, NOW, ORDERS, PROGRESS, barrier, named, open_batch, row, snapshotting, start

OLD = NOW + timedelta(days=2)


def cut(batch: OpenBatch, reason: CutReason = CutReason.AGE) -> Cut:
    return batch.cut(reason, NOW)


def changes(part: Part) -> list[Change]:
    assert isinstance(part.changes, DecodedChanges)
    return list(part.changes.changes)


def schema_of(part: Part) -> str:
    return changes(part)[0].envelope.source.schema


def ranges(made: Cut) -> dict[str, OffsetRange]:
    return {part.topic: part.offsets for part in made.parts}


def test_a_barrier_is_reached_when_every_partition_it_names_was_read_up_to_its_seq() -> None:
    batch = open_batch(barrier(0, orders=2, items=1), row(0), row(1))
    assert batch.reason_to_cut(NEVER, OLD) is None
    assert batch.awaited == {ITEMS: 1}
    batch.add(row(0, topic=ITEMS), NOW)
    assert batch.reason_to_cut(NEVER, OLD) is CutReason.AGE
    assert batch.awaited == {}


def test_a_cut_takes_what_lies_before_the_last_barrier_reached_and_leaves_the_rest() -> None:
    batch = open_batch(row(0), row(1), row(2), barrier(0, orders=1), barrier(1, orders=2), barrier(2, orders=4))
    made = cut(batch)
    assert (made.barrier, made.progress_offset, ranges(made)) == (named(1, orders=2), 2, {ORDERS: OffsetRange(0, 2)})
    assert (made.parts[0].next_seq, batch.rows) == (2, 1)
    batch.add(row(3), NOW)
    assert ranges(cut(batch)) == {ORDERS: OffsetRange(2, 4)}


def test_ranges_tile_over_control_records_and_aborted_transactions() -> None:
    batch = open_batch(row(3, 0), barrier(0, orders=1), starts={ORDERS: start()})
    assert ranges(cut(batch)) == {ORDERS: OffsetRange(0, 4)}
    for record in (row(9, 1), barrier(4, orders=2)):
        batch.add(record, NOW)
    assert ranges(cut(batch)) == {ORDERS: OffsetRange(4, 10)}


def test_rows_behind_an_expired_beginning_still_tile_from_what_was_loaded() -> None:
    batch = open_batch(row(50, 7), barrier(0, orders=8), starts={ORDERS: start(40, next_offset=12, next_seq=7)})
    assert ranges(cut(batch)) == {ORDERS: OffsetRange(12, 51)}


def test_rows_that_expired_before_they_were_loaded_are_gone() -> None:
    batch = open_batch(starts={ORDERS: start(40, next_offset=12, next_seq=7)})
    with pytest.raises(Gone, match="seq 7 to 8 expired"):
        batch.add(row(50, 9), NOW)


@pytest.mark.parametrize("seq", [0, 3])
def test_a_seq_that_does_not_follow_is_corrupt(seq: int) -> None:
    with pytest.raises(Corrupt, match=f"seq {seq} where 1 must follow"):
        open_batch(row(0), row(1, seq))


def test_a_barrier_whose_number_does_not_grow_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="barrier 1 follows barrier 2"):
        open_batch(barrier(1), replace(barrier(0), offsets=[2]))


@pytest.mark.parametrize("topic", [PROGRESS, ORDERS])
@pytest.mark.parametrize("value", [None, b"", b"{}", b"[1]", b'{"v":2}', b"\xff"])
def test_what_is_neither_row_nor_barrier_is_corrupt(topic: str, value: bytes | None) -> None:
    with pytest.raises(Corrupt, match=f"{topic} at offset 0"):
        open_batch(Records.of(Record(topic, 0, None, value)))


def test_a_topic_a_barrier_names_and_nobody_reads_is_read_from_its_beginning_before_the_cut() -> None:
    batch = open_batch(barrier(0, orders=1), starts={})
    assert batch.unread == {ORDERS}
    assert batch.reason_to_cut(NEVER, OLD) is None
    batch.open(ORDERS, start(next_offset=0))
    assert batch.unread == frozenset()
    batch.add(row(0), NOW)
    assert ranges(cut(batch)) == {ORDERS: OffsetRange(0, 1)}


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (replace(NEVER, rows_max=2), CutReason.ROWS),
        (replace(NEVER, size_bytes_max=500), CutReason.BYTES),
        (replace(NEVER, memory_bytes_max=3000), CutReason.MEMORY),
        (replace(NEVER, age_max=timedelta(0)), CutReason.AGE),
        (NEVER, None),
    ],
)
def test_a_batch_closes_when_it_is_full_or_old(policy: object, reason: CutReason | None) -> None:
    batch = open_batch(row(0), row(1), barrier(0, orders=2))
    assert batch.reason_to_cut(policy, NOW) is reason  # type: ignore[arg-type]  # a parameter of any type


def test_rows_beyond_the_reached_barriers_do_not_fill_a_batch() -> None:
    batch = open_batch(row(0), row(1), row(2), barrier(0, orders=1))
    assert batch.reason_to_cut(replace(NEVER, rows_max=2), NOW) is None
    batch.add(barrier(1, orders=2), NOW)
    assert batch.reason_to_cut(replace(NEVER, rows_max=2), NOW) is CutReason.ROWS
    cut(batch)
    assert (batch.reached_rows, batch.reached_bytes) == (0, 0)


def test_nothing_is_cut_before_a_barrier_however_full_or_old() -> None:
    batch = open_batch(row(0), row(1))
    assert batch.reason_to_cut(replace(NEVER, rows_max=1, size_bytes_max=1, memory_bytes_max=1), OLD) is None


def test_barriers_without_rows_are_committed_for_age_alone() -> None:
    batch = open_batch(barrier(0), barrier(1))
    policy = replace(NEVER, rows_max=1, age_max=timedelta(seconds=30))
    assert batch.reason_to_cut(policy, NOW + timedelta(seconds=29)) is None
    assert batch.reason_to_cut(policy, NOW + timedelta(seconds=30)) is CutReason.AGE
    made = cut(batch)
    assert (made.parts, made.progress_offset, made.whole) == ((), 2, named(1))


def test_age_counts_anew_from_a_cut() -> None:
    batch = open_batch(row(0), barrier(0, orders=1))
    batch.cut(CutReason.AGE, OLD)
    assert batch.reason_to_cut(NEVER, OLD + timedelta(days=9)) is None
    batch.add(barrier(1), OLD + timedelta(days=9))
    assert batch.reason_to_cut(NEVER, OLD + timedelta(days=9)) is None


def test_a_new_schema_begins_a_new_batch_at_the_barrier_before_it() -> None:
    batch = open_batch(row(0), row(1, schema="b"), barrier(0, orders=1), barrier(1, orders=2))
    assert batch.reason_to_cut(NEVER, NOW) is CutReason.SCHEMA
    first = cut(batch)
    assert [(schema_of(p), p.offsets) for p in first.parts] == [("a", OffsetRange(0, 1))]
    assert batch.reason_to_cut(NEVER, NOW) is None
    assert [(schema_of(p), p.offsets) for p in cut(batch).parts] == [("b", OffsetRange(1, 2))]


def test_a_truncate_stands_alone_between_the_rows_before_and_after_it() -> None:
    batch = open_batch(row(0), row(1, op=Op.TRUNCATE), row(2), row(3), *(barrier(n, orders=n + 1) for n in range(4)))
    sizes = []
    while batch.reason_to_cut(NEVER, NOW) is CutReason.TRUNCATE:
        sizes.append([change.envelope.op for change in changes(cut(batch).parts[0])])
    assert sizes == [[Op.CREATE], [Op.TRUNCATE]]
    assert [change.offset for change in changes(cut(batch).parts[0])] == [2, 3]


def test_two_truncates_do_not_share_a_batch() -> None:
    batch = open_batch(row(0, op=Op.TRUNCATE), row(1, op=Op.TRUNCATE), barrier(0, orders=1), barrier(1, orders=2))
    assert len(cut(batch, CutReason.TRUNCATE).parts[0].changes) == 1


@pytest.mark.parametrize("first", [Op.CREATE, Op.TRUNCATE])
def test_of_two_tables_that_part_a_batch_the_first_by_name_gives_the_reason(first: Op) -> None:
    second = Op.TRUNCATE if first is Op.CREATE else Op.CREATE
    rows = [row(0, topic=ITEMS), row(0), row(1, schema="b", topic=ITEMS, op=first), row(1, schema="b", op=second)]
    batch = open_batch(*rows, barrier(0, orders=1, items=1), barrier(1, orders=2, items=2))
    assert batch.reason_to_cut(NEVER, NOW) is (CutReason.SCHEMA if first is Op.CREATE else CutReason.TRUNCATE)


def test_schemas_not_parted_by_a_barrier_are_corrupt() -> None:
    batch = open_batch(row(0), row(1, schema="b"), barrier(0, orders=2))
    assert batch.reason_to_cut(NEVER, NOW) is CutReason.SCHEMA
    with pytest.raises(Corrupt, match="two schemas"):
        cut(batch, CutReason.SCHEMA)


def test_a_cut_prefers_the_last_whole_barrier() -> None:
    batch = open_batch(row(0), row(1), barrier(0, orders=1), barrier(1, partial=True, orders=2))
    made = cut(batch, CutReason.ROWS)
    assert (made.barrier, made.whole) == (named(0, orders=1), named(0, orders=1))


def test_age_alone_does_not_stop_inside_a_transaction_but_size_and_memory_do() -> None:
    batch = open_batch(row(0), barrier(0, partial=True, orders=1))
    assert batch.reason_to_cut(NEVER, OLD) is None
    assert batch.reason_to_cut(replace(NEVER, memory_bytes_max=1), OLD) is CutReason.MEMORY
    assert batch.reason_to_cut(replace(NEVER, rows_max=1), OLD) is CutReason.ROWS
    made = cut(batch, CutReason.ROWS)
    assert (made.barrier.partial, made.whole, made.rows) == (True, None, 1)


def test_reading_is_held_back_but_for_what_the_next_barrier_awaits() -> None:
    tight = replace(NEVER, memory_bytes_max=1)
    batch = open_batch(row(0), row(1), row(2))
    assert batch.ahead(NEVER) == frozenset()
    assert batch.ahead(tight) == {ORDERS, ITEMS}
    batch.add(barrier(0, orders=1, items=1), NOW)
    assert batch.ahead(tight) == {ORDERS, PROGRESS}


def test_memory_is_given_back_by_a_cut() -> None:
    batch = open_batch(row(0), row(1), barrier(0, orders=2))
    assert batch.memory_bytes > 3000
    cut(batch)
    assert batch.memory_bytes == 0


@given(
    st.lists(st.tuples(st.sampled_from([ORDERS, ITEMS]), st.integers(0, 3), st.booleans()), max_size=40),
    st.lists(st.booleans(), min_size=1),
)
def test_any_cuts_together_hold_each_record_once_in_order_and_tile(steps: list[tuple[str, int, bool]], when: list[bool]) -> None:
    batch, seqs, offsets = open_batch(), {ORDERS: 0, ITEMS: 0}, {ORDERS: 0, ITEMS: 0}
    fed: dict[str, list[int]] = {ORDERS: [], ITEMS: []}
    got: dict[str, list[int]] = {ORDERS: [], ITEMS: []}
    ends = {ORDERS: 0, ITEMS: 0}

    def take(made: Cut) -> None:
        for part in made.parts:
            assert part.offsets.start == ends[part.topic]
            assert part.changes.stop_offset == part.offsets.stop
            assert len({change.envelope.source.schema for change in changes(part)}) == 1
            ends[part.topic] = part.offsets.stop
            got[part.topic] += [change.offset for change in changes(part)]

    for n, (topic, gap, new_schema) in enumerate(steps):
        offsets[topic] += gap
        batch.add(row(offsets[topic], seqs[topic], topic=topic, schema=str(n) if new_schema else "a"), NOW)
        fed[topic].append(offsets[topic])
        seqs[topic], offsets[topic] = seqs[topic] + 1, offsets[topic] + 1
        batch.add(barrier(n, orders=seqs[ORDERS]) if topic == ORDERS else barrier(n, items=seqs[ITEMS]), NOW)
        if when[n % len(when)] and (reason := batch.reason_to_cut(NEVER, OLD)):
            take(batch.cut(reason, NOW))
    while reason := batch.reason_to_cut(NEVER, OLD):
        take(batch.cut(reason, NOW))
    assert got == fed
    assert (batch.rows, batch.reached_rows, batch.reached_bytes, batch.memory_bytes) == (0, 0, 0, 0)


OK: dict[str, Standing] = {}
ANEW = snapshotting(ORDERS, 7)


@pytest.mark.parametrize(
    ("told", "renewing"),
    [
        ([OK], False),
        ([ANEW], True),
        ([ANEW, OK], True),
        ([OK, ANEW], False),  # the first row was there before the reading began
    ],
)
def test_a_part_knows_whether_its_table_was_read_anew_from_its_first_row_on(told: list[dict[str, Standing]], renewing: bool) -> None:
    records = [record for n, standings in enumerate(told) for record in (row(n), barrier(n, standings=standings, orders=n + 1))]
    assert [part.renewing for part in cut(open_batch(*records)).parts] == [renewing]


def test_what_is_read_says_nothing_of_rows_that_come_before_or_after_it() -> None:
    batch = open_batch(barrier(0, standings=ANEW), row(0), barrier(1, orders=1))
    assert [part.renewing for part in cut(batch).parts] == [False]
    batch.add(row(1), NOW)
    batch.add(barrier(2, standings=ANEW, orders=2), NOW)
    assert [part.renewing for part in cut(batch).parts] == [True]
    batch.add(row(2), NOW)
    batch.add(barrier(3, orders=3), NOW)
    assert [part.renewing for part in cut(batch).parts] == [False]


def test_a_table_that_is_read_in_part_is_not_renewed() -> None:
    """It isn't ok, and the rows that don't match the condition of the reading, or have other keys, don't come."""
    told = replace(named(0, standings=ANEW, orders=1), renewing=frozenset())
    batch = open_batch(row(0), Records.of(Record(PROGRESS, 0, None, told.encode())))
    assert [part.renewing for part in cut(batch).parts] == [False]


def test_a_table_read_anew_says_nothing_of_another() -> None:
    both = (row(0), row(0, topic=ITEMS), barrier(0, standings=ANEW, orders=1, items=1))
    assert {part.topic: part.renewing for part in cut(open_batch(*both)).parts} == {ORDERS: True, ITEMS: False}
