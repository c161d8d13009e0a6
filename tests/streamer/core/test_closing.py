"""When a Kafka transaction closes."""

from datetime import timedelta

import pytest

from streamer.core.closing import ClosePolicy, CloseReason, must_split, reason_to_close

POLICY = ClosePolicy()
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


def test_inside_a_source_transaction_only_a_great_many_rows_or_bytes_or_a_great_age_close_it() -> None:
    assert not must_split(249_999, (100 << 20) - 1, timedelta(seconds=19), POLICY)
    assert must_split(250_000, 0, timedelta(0), POLICY)
    assert must_split(1, 100 << 20, timedelta(0), POLICY)
    assert must_split(1, 0, timedelta(seconds=20), POLICY)
    assert not must_split(0, 0, timedelta(seconds=90), POLICY)
