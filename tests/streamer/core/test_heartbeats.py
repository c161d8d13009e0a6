"""Every shard gets its barrier in time."""

from datetime import UTC, datetime, timedelta

from streamer.core.heartbeats import Heartbeats

SECOND = timedelta(seconds=1)
NOW = datetime(2025, 8, 14, tzinfo=UTC)


def test_every_shard_is_due_at_once_and_then_after_the_interval() -> None:
    beats = Heartbeats(3, SECOND)
    assert beats.due(NOW) == {0, 1, 2}
    assert beats.next(NOW) == NOW
    beats.sent({0, 2}, NOW, partial=False)
    assert beats.due(NOW) == {1}
    assert beats.next(NOW) == NOW
    beats.sent({1}, NOW + SECOND / 2, partial=False)
    assert beats.next(NOW + SECOND / 2) == NOW + SECOND
    assert beats.due(NOW + SECOND) == {0, 2}
    assert beats.due(NOW + 2 * SECOND) == {0, 1, 2}


def test_a_shard_with_a_partial_barrier_stays_due_until_a_whole_one() -> None:
    beats = Heartbeats(2, SECOND)
    beats.sent({0, 1}, NOW, partial=False)
    beats.sent({1}, NOW, partial=True)
    waits = beats.partial
    assert waits
    assert beats.due(NOW) == {1}
    beats.sent({1}, NOW, partial=False)
    waits = beats.partial
    assert not waits
    assert beats.due(NOW) == frozenset()
