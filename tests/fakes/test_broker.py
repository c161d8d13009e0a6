"""What Kafka does to those who trust it too much."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import Fenced
from tests.fakes.broker import Broker, Group

START = datetime(2025, 8, 14, tzinfo=UTC)


def values(broker: Broker, topic: str = "t") -> list[bytes | None]:
    return [entry.value for _, entry in broker.partition(topic).committed()]


def test_an_end_that_comes_late_ends_the_next_transaction_of_the_same_producer() -> None:
    broker = Broker()
    broker.create("t")
    epoch = broker.init("p")
    broker.send("p", epoch, "t", 0, None, b"first")
    broker.end("p", epoch, commit=True)
    broker.send("p", epoch, "t", 0, None, b"half")
    broker.end("p", epoch, commit=True)  # the copy of the first one
    assert values(broker) == [b"first", b"half"]


def test_an_end_that_comes_late_is_refused_once_there_is_a_new_producer() -> None:
    broker = Broker()
    broker.create("t")
    old = broker.init("p")
    broker.send("p", old, "t", 0, None, b"open")
    new = broker.init("p")
    with pytest.raises(Fenced):
        broker.end("p", old, commit=True)
    broker.send("p", new, "t", 0, None, b"new")
    broker.end("p", new, commit=True)
    assert values(broker) == [b"new"]


def test_a_transactions_partitions_hear_of_its_end_one_after_the_other() -> None:
    waiting: list[Callable[[], None]] = []
    broker = Broker(defer=waiting.append)
    broker.create("t")
    broker.create("u")
    epoch = broker.init("p")
    for topic in ("t", "u"):
        broker.send("p", epoch, topic, 0, None, b"row")
    broker.end("p", epoch, commit=True)
    assert (values(broker, "t"), values(broker, "u")) == ([], [])
    waiting.pop(0)()
    assert (values(broker, "t"), values(broker, "u")) == ([b"row"], [])


def test_a_member_silent_for_the_session_timeout_loses_everything_to_the_others() -> None:
    group = Group(2, timedelta(seconds=10))
    group.poll("a", 0, START)
    assert group.poll("b", 0, START) == {1}
    assert group.poll("b", 0, START + timedelta(seconds=11)) == {0, 1}
    assert group.poll("a", 0, START + timedelta(seconds=12)) == {0}


def test_a_second_process_under_a_members_name_puts_the_first_out() -> None:
    group = Group(1, timedelta(seconds=10))
    group.poll("a", 0, START)
    assert group.poll("a", 1, START) == {0}
    with pytest.raises(Fenced):
        group.poll("a", 0, START)
