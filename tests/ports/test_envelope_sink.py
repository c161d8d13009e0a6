"""EnvelopeSink and PositionStore: the fake broker and Kafka."""

from collections.abc import Iterator, Mapping

import pytest

from contracts.errors import Fenced
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Position
from streamer.core.decoder import Record, Records
from streamer.ports import EnvelopeSink, Message
from tests.ports.conftest import BOTH
from tests.ports.kafka_scenes import FakeKafka, KafkaScene, RealKafka

UUID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(params=BOTH)
def kafka(request: pytest.FixtureRequest, unused_name: str) -> Iterator[KafkaScene]:
    scene: KafkaScene = FakeKafka(unused_name) if request.param == "fake" else RealKafka(request.getfixturevalue("stack"), unused_name)
    scene.create(scene.topics.position)
    scene.create(rows(scene))
    yield scene
    scene.close()


def rows(kafka: KafkaScene) -> str:
    return f"{kafka.topics.prefix}.shop.orders"


def position(n: int, next_seqs: Mapping[str, int] | None = None) -> Position:
    return Position(n, UUID, GtidSet.parse(f"{UUID}:1-{n}"), n, n, 0, BinlogPosition("binlog.000001", 4), None, next_seqs or {})


def transaction(kafka: KafkaScene, sink: EnvelopeSink, n: int) -> None:
    """A row and the position behind it, not ended."""
    sink.begin()
    sink.send(Message(rows(kafka), b"k", f"row {n}".encode()))
    sink.send(Message(kafka.topics.position, rows(kafka).encode(), position(n, {rows(kafka): n}).encode_topic(rows(kafka))))
    sink.send(Message(kafka.topics.position, Position.KEY, position(n).encode()))


def begun(kafka: KafkaScene) -> EnvelopeSink:
    sink = kafka.sink()
    sink.init()
    return sink


def test_rows_and_position_become_visible_together(kafka: KafkaScene) -> None:
    sink = begun(kafka)
    assert kafka.positions().read() is None
    transaction(kafka, sink, 1)
    assert kafka.committed(rows(kafka)) == []
    sink.commit()
    assert kafka.committed(rows(kafka)) == [b"row 1"]
    found = kafka.positions().read()
    assert found is not None
    assert (found.n, found.gtid_set, found.next_seqs) == (1, position(1).gtid_set, {rows(kafka): 1})


def test_the_last_committed_position_counts(kafka: KafkaScene) -> None:
    sink = begun(kafka)
    for n in (1, 2, 3):
        transaction(kafka, sink, n)
        sink.commit()
    found = kafka.positions().read()
    assert found is not None
    assert (found.n, found.next_seqs) == (3, {rows(kafka): 3})


def test_what_was_aborted_never_shows(kafka: KafkaScene) -> None:
    sink = begun(kafka)
    transaction(kafka, sink, 1)
    sink.commit()
    transaction(kafka, sink, 2)
    sink.abort()
    sink.recycle()
    sink.init()
    transaction(kafka, sink, 3)
    sink.commit()
    assert kafka.committed(rows(kafka)) == [b"row 1", b"row 3"]


def test_a_successor_aborts_what_its_predecessor_left_open_and_fences_it(kafka: KafkaScene) -> None:
    first = begun(kafka)
    transaction(kafka, first, 1)
    second = begun(kafka)
    assert kafka.positions().read() is None
    with pytest.raises(Fenced):
        first.commit()
    transaction(kafka, second, 2)
    second.commit()
    assert kafka.committed(rows(kafka)) == [b"row 2"]


def test_a_settled_producer_says_so(kafka: KafkaScene) -> None:
    sink = begun(kafka)
    transaction(kafka, sink, 1)
    sink.commit()
    assert not sink.unsettled()


def test_barriers_go_to_their_shards_partition(kafka: KafkaScene) -> None:
    progress = kafka.topics.progress
    kafka.create(progress, partitions=2)
    sink = begun(kafka)
    sink.begin()
    sink.send(Message(progress, None, b"of shard 1", partition=1))
    sink.commit()
    assert (kafka.committed(progress, 0), kafka.committed(progress, 1)) == ([], [b"of shard 1"])


def batch(kafka: KafkaScene, count: int, size: int = 10) -> Records:
    records: list[Record] = [{"key": b"%d" % number, "value": b"%d " % number + b"x" * size} for number in range(count)]
    return Records(rows(kafka), records, count * size)


def test_the_rows_of_a_batch_keep_their_order_and_show_with_the_commit(kafka: KafkaScene) -> None:
    sink = begun(kafka)
    sink.begin()
    sink.send_rows(batch(kafka, 3))
    assert kafka.committed(rows(kafka)) == []
    sink.commit()
    assert kafka.committed(rows(kafka)) == [b"0 xxxxxxxxxx", b"1 xxxxxxxxxx", b"2 xxxxxxxxxx"]


@pytest.mark.parametrize(
    ("queue_bytes_max", "count"),
    [pytest.param(1 << 20, 1_500, id="while the queue is full"), pytest.param(64 << 20, 12_000, id="while a batch is on its way")],
)
def test_rows_wait_and_none_is_lost_or_doubled(kafka: KafkaScene, queue_bytes_max: int, count: int) -> None:
    sink = kafka.sink(queue_bytes_max)
    sink.init()
    sink.begin()
    for _ in range(2):
        sink.send_rows(batch(kafka, count, 1000))
    sink.commit()
    numbers = [int(value.split()[0]) for value in kafka.committed(rows(kafka))]
    assert numbers == [*range(count), *range(count)]


def test_others_work_is_done_while_a_commit_is_awaited_until_there_is_no_more(kafka: KafkaScene) -> None:
    sink = begun(kafka)
    transaction(kafka, sink, 1)
    left = [True, True, False]
    sink.commit(lambda: left.pop(0) if left else False)
    assert kafka.committed(rows(kafka)) == [b"row 1"]
    assert len(left) < 3


def test_a_commit_that_fails_says_so_although_work_was_done_meanwhile(kafka: KafkaScene) -> None:
    first = begun(kafka)
    transaction(kafka, first, 1)
    begun(kafka)
    with pytest.raises(Fenced):
        first.commit(lambda: False)
