"""ShardLog and Membership: the fake broker and Kafka."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka.cimpl import NewTopic

from contracts.errors import Gone
from devstack.stack import Stack
from loader.core.records import Record
from loader.ports import Membership, ShardLog
from tests.ports.conftest import BOTH
from tests.ports.kafka_scenes import PATIENCE, FakeKafka, KafkaScene, RealKafka

POLL = timedelta(milliseconds=500)


@pytest.fixture(params=BOTH)
def kafka(request: pytest.FixtureRequest, unused_name: str) -> Iterator[KafkaScene]:
    scene: KafkaScene = FakeKafka(unused_name) if request.param == "fake" else RealKafka(request.getfixturevalue("stack"), unused_name)
    yield scene
    scene.close()


@pytest.fixture
def rows(kafka: KafkaScene) -> str:
    topic = f"{kafka.topics.prefix}.shop.orders"
    kafka.create(topic)
    return topic


def read(log: ShardLog, done: Callable[[list[Record]], bool]) -> list[Record]:
    """Polls until enough has come."""
    found: list[Record] = []
    deadline = datetime.now(UTC) + PATIENCE
    while not done(found):
        assert datetime.now(UTC) < deadline, f"only {found} came"
        for records in log.poll(10, POLL):
            found += records
    return found


def passed(log: ShardLog, topic: str, offset: int) -> Callable[[list[Record]], bool]:
    return lambda found: log.position(topic) >= offset


def test_committed_records_come_in_order_and_aborted_ones_never(kafka: KafkaScene, rows: str) -> None:
    kafka.publish(rows, b"a", b"b")
    kafka.publish(rows, b"lost", commit=False)
    kafka.publish(rows, b"c")
    log = kafka.log()
    log.seek({rows: 0})
    found = read(log, passed(log, rows, 7))
    assert [(record.offset, record.value) for record in found] == [(0, b"a"), (1, b"b"), (5, b"c")]
    assert log.position(rows) == 7  # markers have offsets of their own


def test_an_open_transaction_is_not_delivered_and_holds_the_stable_end(kafka: KafkaScene, rows: str) -> None:
    kafka.publish(rows, b"a")
    kafka.leave_open(rows, b"open")
    log = kafka.log()
    log.seek({rows: 0})
    found = read(log, passed(log, rows, 2))
    assert log.poll(10, POLL) == []
    assert [record.value for record in found] == [b"a"]
    bounds = log.bounds(rows)
    assert (bounds.low, bounds.stable_end, bounds.end) == (0, 2, 3)


def test_reading_goes_on_where_it_is_told(kafka: KafkaScene, rows: str) -> None:
    kafka.publish(rows, b"a", b"b", b"c")
    log = kafka.log()
    log.seek({rows: 2})
    assert [record.value for record in read(log, passed(log, rows, 4))] == [b"c"]
    log.seek({rows: 1})
    assert [record.value for record in read(log, passed(log, rows, 4))] == [b"b", b"c"]


def test_a_topic_more_is_read_beside_the_others(kafka: KafkaScene, rows: str) -> None:
    other = f"{kafka.topics.prefix}.shop.items"
    kafka.create(other)
    kafka.publish(rows, b"a")
    kafka.publish(other, b"x")
    log = kafka.log()
    log.seek({rows: 0})
    read(log, passed(log, rows, 2))
    log.add(other, 0)
    assert [record.topic for record in read(log, passed(log, other, 2))] == [other]


def test_a_held_topic_keeps_its_place(kafka: KafkaScene, rows: str) -> None:
    other = f"{kafka.topics.prefix}.shop.items"
    kafka.create(other)
    log = kafka.log()
    log.seek({rows: 0, other: 0})
    log.hold(frozenset({rows}))
    kafka.publish(rows, b"a")
    kafka.publish(other, b"x")
    assert [record.value for record in read(log, passed(log, other, 2))] == [b"x"]
    assert log.position(rows) == 0
    log.hold(frozenset())
    assert [record.value for record in read(log, passed(log, rows, 2))] == [b"a"]


def test_the_shards_own_partition_of_progress_is_read(kafka: KafkaScene) -> None:
    progress = kafka.topics.progress
    kafka.create(progress, partitions=2)
    kafka.publish(progress, b"zero", partition=0)
    kafka.publish(progress, b"one", partition=1)
    log = kafka.log(shard=1)
    log.seek({progress: 0})
    assert [record.value for record in read(log, passed(log, progress, 2))] == [b"one"]


def test_offsets_that_expired_are_gone_and_said_so(kafka: KafkaScene, rows: str) -> None:
    kafka.publish(rows, b"a", b"b", b"c")
    kafka.expire(rows, 2)
    log = kafka.log()
    assert log.bounds(rows).low == 2
    log.seek({rows: 0})
    with pytest.raises(Gone):
        read(log, passed(log, rows, 4))


def test_a_topic_made_again_has_another_id_and_a_missing_one_is_gone(kafka: KafkaScene, rows: str) -> None:
    log = kafka.log()
    first = log.topic_id(rows)
    assert log.topic_id(rows) == first
    kafka.delete(rows)
    with pytest.raises(Gone):
        log.topic_id(rows)
    kafka.create(rows)
    assert log.topic_id(rows) != first


def owned(member: Membership, *others: Membership, count: int) -> frozenset[int]:
    """What a member is given once it is `count` shards; the others stay alive."""
    deadline = datetime.now(UTC) + PATIENCE
    while len(shards := member.poll(POLL)) != count:
        assert datetime.now(UTC) < deadline, f"{shards}"
        for other in others:
            other.poll(timedelta(0))
    return shards


def test_one_member_owns_every_shard_and_two_share_them(kafka: KafkaScene) -> None:
    kafka.create(kafka.topics.progress, partitions=2)
    first = kafka.member("a")
    assert owned(first, count=2) == {0, 1}
    second = kafka.member("b")
    theirs = owned(second, first, count=1)
    assert owned(first, second, count=1) | theirs == {0, 1}


def test_offsets_are_mirrored_with_the_watermark(kafka: KafkaScene, rows: str) -> None:
    kafka.create(kafka.topics.progress)
    member = kafka.member("a")
    owned(member, count=1)
    assert member.mirrored(0) == ""
    member.mirror(0, {kafka.topics.progress: 3, rows: 7}, "2025-08-14T15:00:00+00:00")
    for _ in range(3):
        member.poll(POLL)
    assert kafka.mirrored(rows) == (7, "2025-08-14T15:00:00+00:00")
    assert kafka.mirrored(kafka.topics.progress) == (3, "2025-08-14T15:00:00+00:00")
    assert member.mirrored(0) == "2025-08-14T15:00:00+00:00"


@pytest.mark.stack
def test_the_shortest_retention_counts_and_the_longest_there_is_means_for_ever(stack: Stack, unused_name: str) -> None:
    kafka = RealKafka(stack, unused_name)
    long, short = f"{unused_name}.shop.long", f"{unused_name}.shop.short"
    for topic, kept_ms in ((long, 2**63 - 1), (short, 3_600_000)):
        new = NewTopic(topic, num_partitions=1, replication_factor=1, config={"retention.ms": str(kept_ms)})
        kafka.admin.create_topics([new])[topic].result()
    log = kafka.log()
    assert log.retention([long]) is None
    assert log.retention([long, short]) == timedelta(hours=1)
    kafka.close()
