"""A shard goes on with what Kafka holds now; what was lost is named, never skipped without a word."""

from dataclasses import replace

import pytest

from contracts.errors import Gone
from contracts.ledger import TopicOffset
from contracts.progress import TableState
from loader.adoption import Adoption, adopt, not_let_go, proposed, told
from loader.core.records import Record, Records
from loader.core.shard import start_of_progress
from loader.ports import ShardState
from tests.loader.actors import Journal, Log, Shelf, Time
from tests.loader.core.reading import ORDERS, PROGRESS, named, row

HELD = TopicOffset(ORDERS, 0, "id-1", 10, 10, TableState.OK, 0, "shop.orders", '"shop"."orders"')
RESYNC = "streamer snapshot -t shop.orders --resync"


class Bench:
    """A shard that has loaded seqs 0 to 9 of a topic and barriers before offset 5, and what Kafka holds now."""

    def __init__(self, *records: Records, topic_id: str = "id-1", low: int = 0, progress_low: int = 0) -> None:
        by_topic: dict[str, list[Record]] = {PROGRESS: [], ORDERS: []}
        for of_topic in records:
            by_topic[of_topic.topic] += of_topic
        self.log = Log(Journal(), by_topic)
        self.log.ids[ORDERS], self.log.low[ORDERS], self.log.low[PROGRESS] = topic_id, low, progress_low
        self.shelf, self.clock = Shelf(Journal()), Time()
        self.shelf.state = ShardState(replace(self.shelf.fence, progress_offset=5, barrier_no=4), {ORDERS: HELD})

    def proposed(self, *, keyed: bool = True) -> Adoption:
        state = self.shelf.read_state(0)
        return proposed(state, state.offsets, PROGRESS, self.log, lambda _: keyed)


def barriers(first: int, *, offset: int) -> Records:
    return Records.of(Record(PROGRESS, offset, None, replace(named(offset), n=first).encode()))


def test_a_shard_that_lost_nothing_is_left_as_it_is() -> None:
    bench = Bench(row(10, 10), barriers(5, offset=5))
    assert bench.proposed() == Adoption((), 5, barriers_lost=False)


def test_a_shard_whose_last_barriers_expired_with_their_marker_lost_nothing() -> None:
    assert Bench(row(10, 10), progress_low=6).proposed() == Adoption((), 5, barriers_lost=False)


@pytest.mark.parametrize(("captured", "gone", "looked_at"), [(True, True, True), (False, True, False), (False, False, True)])
def test_only_the_deleted_topic_of_a_table_that_has_left_is_let_go(captured: bool, gone: bool, looked_at: bool) -> None:
    bench = Bench()
    bench.log.gone = {ORDERS} if gone else set()
    assert not_let_go({ORDERS: HELD}, bench.log, lambda _: captured) == ({ORDERS: HELD} if looked_at else {})


def test_a_topic_made_again_without_loss_goes_on_where_its_seqs_do() -> None:
    bench = Bench(row(0, 9), row(3, 10), barriers(5, offset=5), topic_id="id-2")
    adoption = bench.proposed()
    assert adoption.moves == ((HELD, replace(HELD, topic_id="id-2", next_offset=3)),)
    assert adoption.skipped == ()


def test_a_topic_made_again_and_still_empty_goes_on_at_its_end() -> None:
    bench = Bench(barriers(5, offset=5), topic_id="id-2")
    assert bench.proposed().moves == ((HELD, replace(HELD, topic_id="id-2", next_offset=0)),)


def test_a_table_never_loaded_that_lacks_nothing_gets_no_row_that_would_call_it_ok() -> None:
    bench = Bench(barriers(5, offset=5), topic_id="id-2")
    unloaded = replace(HELD, topic_id="", next_offset=0, next_seq=0)
    assert proposed(bench.shelf.read_state(0), {ORDERS: unloaded}, PROGRESS, bench.log, lambda _: True).moves == ()
    lacking = Bench(row(0, 2), barriers(5, offset=5), topic_id="id-2")
    (now,) = proposed(lacking.shelf.read_state(0), {ORDERS: unloaded}, PROGRESS, lacking.log, lambda _: True).parked
    assert (now.next_offset, now.next_seq) == (0, 2)


def test_a_gap_behind_what_was_loaded_is_a_loss_though_its_offset_is_there() -> None:
    bench = Bench(row(9, 9), row(10, 14), barriers(5, offset=5))
    (now,) = bench.proposed().parked
    assert (now.next_offset, now.next_seq) == (10, 14)
    assert "seq 10 to 13" in now.because


def test_a_table_that_lost_rows_is_parked_and_says_which_and_what_to_run() -> None:
    bench = Bench(row(30, 14), barriers(5, offset=5), low=30)
    adoption = bench.proposed()
    (now,) = adoption.parked
    assert (now.next_offset, now.next_seq, now.state) == (30, 14, TableState.PARKED)
    assert now.because == f"rows of it, seq 10 to 13, were lost in Kafka: {RESYNC}"
    (line,) = told(0, adoption)
    assert "seq 10 to 13 are lost" in line
    assert RESYNC in line


def test_a_table_of_events_goes_on_without_those_that_are_lost_for_ever() -> None:
    adoption = Bench(row(30, 14), barriers(5, offset=5), low=30).proposed(keyed=False)
    assert adoption.skipped == ((HELD, replace(HELD, next_offset=30, next_seq=14)),)


def test_with_barriers_lost_every_table_may_lack_rows() -> None:
    adoption = Bench(row(10, 10), barriers(9, offset=8), progress_low=8).proposed()
    assert (adoption.progress_offset, adoption.barriers_lost) == (7, True)
    (now,) = adoption.parked
    assert (now.next_offset, now.next_seq) == (10, 10)


@pytest.mark.parametrize(("n", "expected"), [(4, 3), (5, 2)])
def test_barriers_of_a_log_that_became_shorter_are_read_from_the_first_new_one(n: int, expected: int) -> None:
    assert Bench(row(10, 10), barriers(n, offset=3)).proposed().progress_offset == expected


def test_a_barrier_that_a_shard_was_to_go_on_with_is_missed_when_it_expires() -> None:
    progress_offset = Bench(row(10, 10), barriers(9, offset=8), progress_low=8).proposed().progress_offset
    assert start_of_progress(PROGRESS, progress_offset, 8, 10) == 8
    with pytest.raises(Gone, match="barriers 7 to 8"):
        start_of_progress(PROGRESS, progress_offset, 9, 10)


def test_a_shard_is_taken_before_it_is_moved() -> None:
    bench = Bench(row(3, 10), barriers(5, offset=5), topic_id="id-2")
    adopt(bench.shelf, 0, "adopt-topic", lambda _: bench.proposed(), bench.clock)
    (committed,) = bench.shelf.plans
    assert (committed.expected.epoch, committed.expected.owner, committed.fence.commit_no) == (1, "adopt-topic", 1)
    assert committed.offsets == (replace(HELD, topic_id="id-2", next_offset=3),)
