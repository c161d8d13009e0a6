"""What a scrape sees of a stream that stands still: nobody tells the gauges any more, and two of them must move all the same."""

import subprocess
import sys

import pytest

from runtime.metrics import REGISTRY
from streamer.edges import metrics
from streamer.ports import Tally


class Hands:
    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def time(self) -> float:
        return self.seconds


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    made = Hands()
    monkeypatch.setattr(metrics, "time", made)
    return made


def test_the_lag_grows_and_the_headroom_falls_while_nothing_is_committed(hands: Hands) -> None:
    now_us = int(hands.seconds * 1_000_000)
    metrics.observe(Tally(newest_commit_us=now_us - 5_000_000, purged_at_us=now_us + 60_000_000))
    assert shown("lag") == 5
    assert shown("binlog_headroom") == 60
    hands.seconds += 20
    assert shown("lag") == 25
    assert shown("binlog_headroom") == 40
    hands.seconds += 100
    assert shown("binlog_headroom") == 0


def test_a_server_whose_clock_is_ahead_shows_no_negative_lag(hands: Hands) -> None:
    metrics.observe(Tally(newest_commit_us=int(hands.seconds * 1_000_000) + 3_000_000))
    assert shown("lag") == 0


def test_a_streamer_that_has_committed_nothing_says_nothing_of_the_source() -> None:
    """0 would be the best lag there is, and the worst headroom: of a standby for as long as it waits."""
    started = "import prometheus_client as p; from streamer.edges import metrics; print(p.generate_latest(metrics.REGISTRY).decode())"
    told = subprocess.run([sys.executable, "-c", started], check=True, capture_output=True, text=True).stdout.splitlines()
    for name in ("lag_seconds", "binlog_headroom_seconds", "behind_transactions"):
        assert f"tidemark_streamer_{name} NaN" in told


def test_nothing_of_what_was_said_is_kept_while_another_streamer_leads(hands: Hands) -> None:
    now_us = int(hands.seconds * 1_000_000)
    metrics.observe(Tally(newest_commit_us=now_us, behind=3, rereads=2, purged_at_us=now_us + 60_000_000))
    assert behind() == 3
    metrics.stand_by()
    hands.seconds += 20
    assert [str(value) for value in (shown("lag"), shown("binlog_headroom"), behind())] == ["nan"] * 3
    assert REGISTRY.get_sample_value("tidemark_streamer_tables_reading") == 0
    metrics.observe(Tally(newest_commit_us=now_us, purged_at_us=now_us + 60_000_000))
    assert (shown("lag"), shown("binlog_headroom"), behind()) == (20, 40, 0)


def shown(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"tidemark_streamer_{name}_seconds")


def behind() -> float | None:
    return REGISTRY.get_sample_value("tidemark_streamer_behind_transactions")
