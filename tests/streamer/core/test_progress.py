"""Seqs, GTID sets, commit times, and the transaction in progress: what ends a Kafka transaction."""

from dataclasses import replace

import pytest

from contracts.errors import Refused
from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.progress import Barrier, InProgress, Position, Reread, Standing, TableState
from contracts.table import TableId
from contracts.topics import Topics
from streamer.core.commit_times import SourceCommits
from streamer.core.progress import OpenTransaction

SERVER = "11111111-2222-3333-4444-555555555555"
TOPICS = Topics("p")


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


@pytest.mark.parametrize(("shards", "kept"), [(1, {}), (3, {"p.s.old": 1, "p.s.a": 2})])
def test_a_pipeline_of_several_shards_remembers_those_of_its_tables(shards: int, kept: dict[str, int]) -> None:
    before = replace(start(), shards={"p.s.old": 1} if shards > 1 else {})
    going = OpenTransaction(before, TOPICS, shards=shards)
    going.took("p.s.a", 2)
    ending = going.end()
    assert ending.position.shards == kept
    records = {topic.encode(): ending.position.encode_topic(topic) for topic in ending.position.next_seqs}
    assert Position.decode({**records, Position.KEY: ending.position.encode()}) == ending.position


@pytest.mark.parametrize("rows_first", [False, True])
def test_rows_that_come_behind_the_end_of_a_reading_are_none_of_it(rows_first: bool) -> None:
    """Its last chunk may be empty. Whoever made the target again for what comes then would lose all that was read."""
    reading = {"p.s.a": Reread(TableId("s", "a"), Standing(TableState.REREADING, 1))}
    going = OpenTransaction(replace(start(), rereads=reading), TOPICS)
    if rows_first:
        going.took("p.s.a", 0)
    going.reread("p.s.a", None)
    going.took("p.s.a", 0)
    (barrier,) = (Barrier.decode(m.value) for m in going.end().messages if m.topic == TOPICS.progress)
    assert barrier.renewing == ({"p.s.a"} if rows_first else set())


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
