"""What a shard's loader shows of itself between commits."""

from datetime import timedelta
from math import isnan

from loader.telling import Teller
from runtime.metrics import REGISTRY
from tests.fakes.clock import DAWN, FakeClock, Time


def shown(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"tidemark_loader_{name}", {"shard": "7"})


def test_how_far_behind_it_is_and_how_long_kafka_keeps_move_while_nothing_is_committed() -> None:
    clock = FakeClock(Time())
    teller = Teller(7, clock)
    teller.reached(int((DAWN - timedelta(seconds=2)).timestamp() * 1_000_000), timedelta(hours=1))
    assert (shown("lag_seconds"), shown("kafka_headroom_seconds")) == (2.0, 3598.0)
    clock.sleep(timedelta(minutes=30))
    assert (shown("lag_seconds"), shown("kafka_headroom_seconds")) == (1802.0, 1798.0)
    teller.close()
    assert (shown("lag_seconds"), shown("kafka_headroom_seconds")) == (None, None)


def test_a_shard_that_is_not_taken_yet_is_behind_for_ever() -> None:
    teller = Teller(7, FakeClock(Time()))
    assert shown("lag_seconds") == float("inf")
    teller.reached(int(DAWN.timestamp() * 1_000_000), None)
    assert shown("lag_seconds") == 0.0
    teller.close()


def test_nothing_is_said_of_how_far_behind_it_is_before_anything_was_loaded() -> None:
    teller = Teller(7, FakeClock(Time()))
    teller.reached(0, timedelta(hours=1))
    assert isnan(shown("lag_seconds") or 0.0)
    assert shown("kafka_headroom_seconds") == float("inf")
    teller.close()
