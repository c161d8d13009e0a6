"""Seqs, GTID sets, commit times, and the transaction in progress: what ends a Kafka transaction."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Corrupt, Refused
from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.progress import Barrier, InProgress, Position
from contracts.topics import Topics
from streamer.core.progress import (
    ClosePolicy,
    CloseReason,
    CommitTimes,
    OpenTransaction,
    SourceCommits,
    SplitTransaction,
    idle_time,
    must_split,
    reason_to_close,
)

SERVER = "11111111-2222-3333-4444-555555555555"
TOPICS = Topics("p")
POLICY = ClosePolicy()


def gtid(number: int) -> Gtid:
    return Gtid(SERVER, number)


def start(in_progress: InProgress | None = None) -> Position:
    done = GtidSet.parse(f"{SERVER}:1-9")
    return Position(4, SERVER, done, 500, 600, 100, BinlogPosition("b.1", 4), in_progress, {"p.s.old": 7, "p.s.a": 3})


def test_seqs_go_on_where_the_position_left_them_and_begin_at_zero() -> None:
    going = OpenTransaction(start(), TOPICS)
    assert [going.took("p.s.a", 0, 2), going.took("p.s.new", 0), going.took("p.s.a", 0)] == [3, 0, 5]
    assert going.end().position.next_seqs == {"p.s.old": 7, "p.s.a": 6, "p.s.new": 1}


def test_the_ending_names_only_what_was_touched_each_in_its_shard() -> None:
    going = OpenTransaction(start(), TOPICS)
    going.took("p.s.a", 2)
    going.took("p.s.b", 1)
    going.source_committed(SourceCommits.one(gtid(10), 700, BinlogPosition("b.1", 99)))
    ending = going.end(due={1, 3})
    barriers = {m.partition: Barrier.decode(m.value) for m in ending.messages if m.topic == TOPICS.progress}
    assert {shard: barrier.next_seqs for shard, barrier in barriers.items()} == {1: {"p.s.b": 1}, 2: {"p.s.a": 4}, 3: {}}
    assert {barrier.n for barrier in barriers.values()} == {5}
    assert all(str(barrier.gtid_set) == f"{SERVER}:1-10" and not barrier.partial for barrier in barriers.values())
    kept = {m.key: m.value for m in ending.messages if m.topic == TOPICS.position}
    assert kept.keys() == {b"p.s.a", b"p.s.b", Position.KEY}
    before = {topic.encode(): start().encode_topic(topic) for topic in start().next_seqs}
    assert Position.decode({**before, **{key: value for key, value in kept.items() if key is not None}}) == ending.position
    assert ending.position.binlog == BinlogPosition("b.1", 99)


def test_a_split_makes_every_barrier_partial_and_keeps_the_set_before_the_transaction() -> None:
    going = OpenTransaction(start(), TOPICS)
    going.took("p.s.a", 0)
    going.source_split(InProgress(gtid(10), 1, "h"))
    ending = going.end(due={1})
    barriers = [Barrier.decode(m.value) for m in ending.messages if m.topic == TOPICS.progress]
    assert [(barrier.partial, str(barrier.gtid_set)) for barrier in barriers] == [(True, f"{SERVER}:1-9")] * 2
    after = OpenTransaction(ending.position, TOPICS)
    after.source_committed(SourceCommits.one(gtid(10), 700, BinlogPosition("b.1", 99)))
    assert after.end().position.in_progress is None
    assert Barrier.decode(after.end(due={0}).messages[0].value).partial is False


def test_it_stays_partial_until_the_split_transaction_itself_is_committed() -> None:
    going = OpenTransaction(start(in_progress=InProgress(gtid(11), 1, "h")), TOPICS)
    going.source_committed(SourceCommits.one(gtid(10), 700, BinlogPosition("b.1", 99)))
    assert Barrier.decode(going.end(due={0}).messages[0].value).partial is True
    with pytest.raises(Refused, match="replica_preserve_commit_order"):
        going.source_split(InProgress(gtid(12), 1, "h"))


@given(st.lists(st.integers(0, 10_000), min_size=1))
def test_the_promise_never_falls_and_is_never_ahead_of_the_newest_time_less_the_greatest_step_back(commits: list[int]) -> None:
    times, newest, backstep, promised = CommitTimes(), 0, 0, 0
    for commit in commits:
        times = times.seen(commit)
        backstep = max(backstep, newest - commit)
        newest = max(newest, commit)
        assert (times.newest_us, times.backstep_us) == (newest, backstep)
        assert times.promised_us >= promised
        assert times.promised_us == max(promised, newest - backstep)
        promised = times.promised_us


def test_an_idle_clock_counts_only_when_nothing_was_executed_between_two_looks_and_all_of_it_is_ours() -> None:
    one, two = GtidSet.parse(f"{SERVER}:1"), GtidSet.parse(f"{SERVER}:1-2")
    assert idle_time(77, two, two, two) == 77
    assert idle_time(77, one, two, two) is None
    assert idle_time(77, two, two, one) is None
    assert idle_time(77, one, one, two) is None


def rows(split: SplitTransaction, *values: bytes) -> list[bytes]:
    """Those that are to be handed on."""
    handed = []
    for value in values:
        if not split.next_is_out:
            handed.append(value)
        split.take(value)
    return handed


def test_a_split_transaction_taken_up_again_hands_on_the_rest() -> None:
    first = SplitTransaction(gtid(1))
    assert rows(first, b"a", b"b") == [b"a", b"b"]
    again = SplitTransaction(gtid(1), first.so_far())
    assert rows(again, b"a", b"b", b"c") == [b"c"]
    again.finish()
    done = again.so_far()
    assert done is not None
    assert done.rows_done == 3


def test_what_is_out_stays_out_while_it_is_taken_up_again() -> None:
    first = SplitTransaction(gtid(1))
    assert first.so_far() is None
    rows(first, b"a", b"b")
    again = SplitTransaction(gtid(1), first.so_far())
    rows(again, b"a")
    assert again.so_far() == first.so_far()


@given(st.lists(st.lists(st.integers(0, 10_000), min_size=1), min_size=1))
def test_a_run_of_commits_promises_no_more_than_its_commits_one_by_one_and_ends_the_same(runs: list[list[int]]) -> None:
    single, joined = CommitTimes(), CommitTimes()
    for run in runs:
        backstep = max(max(run[: place + 1]) - commit for place, commit in enumerate(run))
        joined = joined.after(min(run), max(run), backstep)
        for commit in run:
            single = single.seen(commit)
        assert (joined.newest_us, joined.backstep_us) == (single.newest_us, single.backstep_us)
        assert joined.newest_us - joined.backstep_us <= joined.promised_us <= single.promised_us


@pytest.mark.parametrize("others", [(b"a", b"x"), (b"b", b"a"), (b"ab", b"")])
def test_other_rows_or_another_order_are_noticed_before_a_row_is_handed_on(others: tuple[bytes, bytes]) -> None:
    first = SplitTransaction(gtid(1))
    rows(first, b"a", b"b")
    again = SplitTransaction(gtid(1), first.so_far())
    with pytest.raises(Corrupt, match="other rows or in another order"):
        rows(again, *others)


def test_fewer_rows_than_are_out_are_noticed_at_the_end() -> None:
    first = SplitTransaction(gtid(1))
    rows(first, b"a", b"b")
    again = SplitTransaction(gtid(1), first.so_far())
    rows(again, b"a")
    with pytest.raises(Corrupt, match="only 1"):
        again.finish()


MS = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("count", "age", "caught_up", "reason"),
    [
        (1, 0 * MS, False, None),
        (9_999, 199 * MS, False, None),
        (1, 0 * MS, True, CloseReason.CAUGHT_UP),
        (1, 200 * MS, False, CloseReason.AGE),
        (30_000, 0 * MS, False, CloseReason.ROWS),
    ],
)
def test_a_kafka_transaction_closes_at_a_commit_by_rows_age_or_nothing_more_to_read(
    count: int, age: timedelta, caught_up: bool, reason: CloseReason | None
) -> None:
    assert reason_to_close(count, age, caught_up=caught_up, policy=POLICY) is reason


def test_inside_a_source_transaction_only_a_great_many_rows_or_a_great_age_close_it() -> None:
    assert not must_split(249_999, timedelta(seconds=19), POLICY)
    assert must_split(250_000, timedelta(0), POLICY)
    assert must_split(1, timedelta(seconds=20), POLICY)
    assert not must_split(0, timedelta(seconds=90), POLICY)
