from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from contracts.errors import Corrupt, Fenced, Gone, OutcomeUnknown, PipelineError, Unavailable
from contracts.ledger import TopicOffset
from contracts.progress import TableState
from contracts.topics import Topics
from loader.committer import Committer
from loader.core.changes import OpenDecodedChanges
from loader.core.cut import CutPolicy
from loader.core.records import Record, Records
from loader.core.target import TargetNaming, target_table
from loader.destinations import Destinations
from loader.ports import ShardState
from loader.service import Loader
from loader.service.reading import end_of_progress
from tests.loader.actors import Book, Group, Inline, Journal, Log, Shelf, Store, Time, encode_all
from tests.loader.core.reading import NEVER, ORDERS, PROGRESS, barrier, row

AT_ONCE = replace(NEVER, age_max=timedelta(0))
TURN = timedelta(milliseconds=100)
ASSIGN = ["bump", "read", "seek"]


class Bench:
    """A loader, its group, and the log of shard 0."""

    def __init__(self, records: Sequence[Records] = (), *, policy: CutPolicy = AT_ONCE) -> None:
        self.journal, self.clock = Journal(), Time()
        self.left: set[str] = set()
        self.worker = Inline(self.journal)
        self.shelf, self.group = Shelf(self.journal), Group(self.journal, 0)
        by_topic: dict[str, list[Record]] = {PROGRESS: [], ORDERS: []}
        for record in records:
            by_topic[record.topic] += record
        self.log = Log(self.journal, by_topic)
        nonces = iter(f"{n:08x}" for n in range(100))
        self.committer = Committer(
            store=Store(self.journal),
            warehouse=self.shelf,
            encode=encode_all,
            clock=self.clock,
            nonce=lambda: next(nonces),
            jitter=lambda: 0.0,
        )
        self.loader = Loader(
            owner="me",
            topics=Topics("tm"),
            policy=policy,
            membership=self.group,
            open_log=lambda shard: self.log,
            warehouse=self.shelf,
            destinations=Destinations(
                Book(), lambda topic, schema: target_table(topic, schema, TargetNaming(), None), lambda _, __: OpenDecodedChanges()
            ),
            committer=self.committer,
            worker=self.worker,
            clock=self.clock,
            jitter=lambda: 0.0,
            captured=lambda held: held.source_table not in self.left,
        )

    def turns(self, count: int) -> list[str]:
        """The effects of so many turns."""
        before = len(self.journal.effects)
        for _ in range(count):
            self.loader.step(TURN)
        return self.journal.effects[before:]


def loaded(next_offset: int, *, topic_id: str = "id-1") -> TopicOffset:
    return TopicOffset(ORDERS, 0, topic_id, next_offset, next_offset, TableState.OK, 0, "shop.orders", '"shop"."orders"')


def test_a_shard_is_assigned_sought_read_committed_and_mirrored() -> None:
    bench = Bench([row(0), barrier(0, orders=1)])
    write = ["ensure", "put parquet", "put manifest", "stage orders", "commit"]
    # The first poll reads the barrier and so learns of the topic, the second reads its rows.
    assert bench.turns(4) == [*ASSIGN, "poll", f"add {ORDERS}", "poll", *write, "mirror", "poll"]
    assert bench.group.mirrored_notes == [(0, {PROGRESS: 1, ORDERS: 1}, "1970-01-01T00:00:00.001000+00:00 commit 1 epoch 1")]
    assert (bench.shelf.state.fence.commit_no, bench.shelf.state.offsets[ORDERS].next_seq) == (1, 1)


def test_reading_goes_on_from_what_the_warehouse_says_not_from_what_was_read() -> None:
    bench = Bench([row(0), barrier(0, orders=1), row(1), barrier(1, orders=2)])
    bench.shelf.state = ShardState(replace(bench.shelf.fence, progress_offset=1, barrier_no=1), {ORDERS: loaded(1)})
    bench.turns(2)
    assert [(p.expected.commit_no, p.offsets[0].next_offset) for p in bench.shelf.plans] == [(0, 2)]


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), Fenced("newer")])
def test_after_any_doubt_the_shard_is_taken_again_before_anything_else(error: PipelineError) -> None:
    bench = Bench([barrier(0)])
    bench.journal.fail("commit", error)
    assert bench.turns(3) == [*ASSIGN, "poll", "commit"]
    assert bench.turns(1) == []
    bench.clock.sleep(timedelta(seconds=1))
    assert bench.turns(3) == [*ASSIGN, "poll", "commit", "mirror", "poll"]


def test_an_epoch_granted_to_somebody_else_meanwhile_means_assign_again() -> None:
    bench = Bench()
    real = bench.shelf.read_state

    def read_state(shard: int) -> ShardState:
        bench.shelf.bump_epoch(0, "somebody else")
        return real(shard)

    bench.shelf.read_state = read_state  # type: ignore[method-assign]  # one answer is changed
    assert bench.turns(1) == ["bump", "bump", "read"]
    assert bench.loader.shards[0].tenure is None


def test_a_loader_is_at_work_while_it_has_every_shard_that_it_was_given() -> None:
    bench = Bench([barrier(0)])
    bench.journal.fail("bump", Unavailable("the fence stays locked"), None)
    bench.journal.fail("commit", Fenced("newer"))
    bench.turns(1)
    seen = [bench.loader.at_work]
    bench.clock.sleep(timedelta(seconds=1))
    for count in (1, 2):
        bench.turns(count)
        seen.append(bench.loader.at_work)
    bench.group.shards = frozenset()
    bench.turns(1)
    assert [*seen, bench.loader.at_work] == [False, True, False, True]


def test_a_shard_taken_away_is_abandoned_with_what_was_read() -> None:
    bench = Bench([row(0), barrier(0, orders=1)], policy=NEVER)
    bench.turns(3)
    bench.group.shards = frozenset()
    assert bench.turns(1) == []
    assert bench.log.closed
    assert bench.loader.shards == {}


def test_a_shard_taken_away_before_the_worker_came_to_take_it_keeps_its_epoch() -> None:
    bench = Bench()
    bench.worker.busy = True
    bench.turns(1)
    bench.group.shards = frozenset()
    bench.turns(1)
    bench.worker.busy = False
    assert [job.wait(TURN) for job in bench.worker.started] == [True]
    assert bench.journal.effects == []


def test_a_shard_taken_away_during_its_commit_is_not_committed() -> None:
    bench = Bench([row(0), barrier(0, orders=1)])
    put = bench.committer._store.put

    def put_and_lose(key: str, data: bytes) -> None:
        put(key, data)
        bench.loader.shards[0].close("was given to another loader")

    bench.committer._store.put = put_and_lose  # type: ignore[method-assign]  # the loop hears of it at this moment
    assert "commit" not in bench.turns(4)


def test_a_loader_that_ends_waits_for_the_worker_before_it_leaves_the_group() -> None:
    bench = Bench([row(0), barrier(0, orders=1)])
    bench.turns(1)
    bench.loader.close()
    assert bench.journal.effects[-3:] == ["worker ends", "leave", "close warehouse"]
    assert bench.loader.shards == {}


def test_the_next_batch_is_read_while_one_is_committed_and_cut_when_it_is() -> None:
    bench = Bench([barrier(0)], policy=AT_ONCE)
    bench.turns(1)
    bench.worker.busy = True
    assert bench.turns(2) == ["poll", "poll"]
    bench.log.records[PROGRESS] += barrier(1)
    assert bench.turns(2) == ["poll", "poll"]
    bench.worker.busy = False
    assert bench.turns(2) == ["commit", "mirror", "commit", "poll", "mirror", "poll"]
    assert [plan.fence.progress_offset for plan in bench.shelf.plans] == [1, 2]


def test_a_full_batch_waits_for_the_commit_of_the_one_before_it() -> None:
    bench = Bench([barrier(0)], policy=replace(NEVER, memory_bytes_max=1))
    bench.turns(1)
    bench.worker.busy = True
    bench.turns(1)
    bench.log.records[PROGRESS] += barrier(1)
    bench.turns(1)
    bench.log.records[PROGRESS] += barrier(2)
    assert bench.turns(3) == []
    bench.worker.busy = False
    bench.turns(4)
    assert [plan.fence.progress_offset for plan in bench.shelf.plans] == [1, 2, 3]


def test_a_reader_that_lost_its_place_is_sought_again_once_the_commit_under_way_is_over() -> None:
    bench = Bench([barrier(0)])
    bench.turns(1)
    bench.worker.busy = True
    bench.turns(1)
    bench.journal.fail("poll", Gone("out of range"))
    assert bench.turns(3) == ["poll"]
    bench.worker.busy = False
    assert bench.turns(2) == ["commit", "mirror", "seek", "poll"]


def test_the_owner_halts_when_rows_are_gone() -> None:
    bench = Bench([row(5), barrier(0, orders=6)])
    bench.shelf.state = ShardState(bench.shelf.fence, {ORDERS: loaded(2)})
    bench.log.low[ORDERS] = 5
    with pytest.raises(Gone, match="seq 2 to 4 expired"):
        bench.turns(2)


def test_the_topic_of_a_table_that_has_left_may_be_deleted_once_no_barrier_names_it() -> None:
    bench = Bench([barrier(0)])
    bench.left, bench.log.gone = {"shop.orders"}, {ORDERS}
    bench.shelf.state = ShardState(bench.shelf.fence, {ORDERS: loaded(2)})
    assert "commit" in bench.turns(2)
    assert bench.shelf.state.offsets == {ORDERS: loaded(2)}
    # What was sent of it before it left is still to be loaded.
    bench.log.records[PROGRESS] += barrier(1, orders=3)
    with pytest.raises(Gone, match=f"there is no topic {ORDERS}"):
        bench.turns(2)


def test_the_topic_of_a_table_that_has_not_left_may_not() -> None:
    bench = Bench([barrier(0)])
    bench.log.gone = {ORDERS}
    bench.shelf.state = ShardState(bench.shelf.fence, {ORDERS: loaded(2)})
    with pytest.raises(Gone, match=f"there is no topic {ORDERS}"):
        bench.turns(1)


def test_rows_of_a_table_that_has_left_are_loaded_from_where_they_were_when_a_barrier_names_them() -> None:
    bench = Bench([row(1), row(2), barrier(0, orders=3)])
    bench.left = {"shop.orders"}
    bench.shelf.state = ShardState(bench.shelf.fence, {ORDERS: loaded(2)})
    assert f"add {ORDERS}" in bench.turns(3)
    assert [(load.entry.records, load.entry.offsets.start) for load in bench.shelf.plans[-1].loads] == [(1, 2)]


def test_a_zombie_never_halts_for_rows_its_successor_has_loaded() -> None:
    bench = Bench([row(5), barrier(0, orders=6)])
    bench.shelf.state = ShardState(bench.shelf.fence, {ORDERS: loaded(2)})
    bench.log.low[ORDERS] = 5
    bench.turns(1)
    bench.shelf.bump_epoch(0, "successor")
    with capture_logs() as logs:
        bench.turns(1)
    assert [entry["error"] for entry in logs if entry["event"] == "shard.restarted"] == ["Fenced"]


def test_rows_a_barrier_names_and_nobody_can_read_any_more_are_a_loss() -> None:
    bench = Bench([barrier(0, orders=3)])
    bench.shelf.state = ShardState(bench.shelf.fence, {ORDERS: loaded(2)})
    bench.log.low[ORDERS] = 3
    bench.turns(2)
    bench.clock.sleep(timedelta(seconds=5))
    with pytest.raises(Gone, match="up to seq 2, but the topic ends at offset 3 without them"):
        bench.turns(1)


def test_rows_still_on_their_way_are_waited_for() -> None:
    bench = Bench([row(2), barrier(0, orders=3)])
    bench.shelf.state = ShardState(bench.shelf.fence, {ORDERS: loaded(2)})
    bench.log.hold(frozenset({ORDERS}))
    bench.turns(2)
    bench.clock.sleep(timedelta(seconds=5))
    bench.turns(1)
    bench.log.hold(frozenset())
    assert "commit" in bench.turns(1)


def test_an_offset_lost_under_the_reader_is_judged_by_the_rule_of_seek() -> None:
    bench = Bench([barrier(0)], policy=NEVER)
    bench.journal.fail("poll", Gone("out of range"))
    assert bench.turns(4) == [*ASSIGN, "poll", "seek", "poll"]
    bench.journal.fail("poll", Gone("out of range"))
    bench.shelf.state = ShardState(bench.shelf.state.fence, {})
    bench.log.low[PROGRESS] = 1
    with pytest.raises(Gone, match="barriers 0 to 0"):
        bench.turns(2)


def test_bytes_that_break_the_contract_halt_the_owner() -> None:
    bench = Bench([Records.of(Record(PROGRESS, 0, None, b"{}"))])
    with pytest.raises(Corrupt):
        bench.turns(2)


def test_two_loaders_throwing_each_other_out_are_told_of() -> None:
    bench = Bench()
    bench.journal.fail("read", *[Unavailable("away")] * 9)
    with capture_logs() as logs:
        for _ in range(4):
            bench.turns(1)
            bench.clock.sleep(timedelta(seconds=10))
    assert [entry["epoch_bumps"] for entry in logs if entry["event"] == "shard.contested"] == [4]


def test_waits_grow_until_a_commit_succeeds() -> None:
    bench = Bench()
    bench.journal.fail("bump", *[Unavailable("away")] * 3)
    with capture_logs() as logs:
        for _ in range(3):
            bench.turns(1)
            bench.clock.sleep(timedelta(seconds=30))
        bench.log.records[PROGRESS] += barrier(0)
        bench.turns(3)
        bench.log.records[PROGRESS] += barrier(1)
        bench.journal.fail("commit", OutcomeUnknown("lost"))
        bench.turns(2)
    assert [entry["pause_ms"] for entry in logs if entry["event"] == "shard.restarted"] == [250, 500, 1000, 250]


def test_a_full_memory_holds_the_topics_that_are_ahead() -> None:
    bench = Bench([row(0), barrier(0, orders=2)], policy=replace(NEVER, memory_bytes_max=1))
    bench.shelf.state = ShardState(bench.shelf.fence, {ORDERS: loaded(0)})
    bench.turns(3)
    assert bench.log.held == {PROGRESS}


def test_the_end_of_progress_is_behind_the_last_barrier_there_is() -> None:
    bench = Bench([barrier(0), barrier(4)])
    assert end_of_progress(bench.log, PROGRESS, 0) == 5
    assert end_of_progress(bench.log, PROGRESS, 5) == 5


def test_a_warehouse_that_lacks_commits_it_had_is_not_loaded_into() -> None:
    bench = Bench([row(0), barrier(0, orders=1)])
    bench.group.mirror(0, {PROGRESS: 9}, "2026-11-20T14:00:00+00:00 commit 7 epoch 3")
    with pytest.raises(Gone, match="lacks commits 1 to 7 of shard 0"):
        bench.turns(3)
    assert bench.shelf.plans == []


def test_a_topic_made_again_is_known_by_a_first_commit_that_was_under_way() -> None:
    bench = Bench([row(0, 0), row(1, 5), barrier(0, orders=6)])
    bench.turns(1)
    bench.shelf.state = ShardState(replace(bench.shelf.fence, epoch=1), {ORDERS: loaded(2)})
    bench.log.ids[ORDERS] = "id-2"
    with pytest.raises(Gone, match=r"was deleted and made again \(id id-2.*loader adopt-topic -t shop.orders"):
        bench.turns(2)


def test_records_of_a_topic_made_again_are_told_from_a_broken_promise() -> None:
    bench = Bench([row(2, 7), barrier(0, orders=8)])
    bench.shelf.state = ShardState(bench.shelf.fence, {ORDERS: loaded(2)})
    bench.log.ids[ORDERS] = "id-1"
    bench.turns(1)
    bench.log.ids[ORDERS] = "id-2"
    with pytest.raises(Gone, match=r"was deleted and made again \(id id-2.*loader adopt-topic -t shop.orders"):
        bench.turns(2)
