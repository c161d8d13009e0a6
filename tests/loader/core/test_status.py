"""How long Kafka still keeps what a shard has not loaded."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.ledger import Fence
from contracts.position import GtidSet
from loader.core.status import headroom

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)
WEEK = timedelta(hours=168)


def fence(age: timedelta) -> Fence:
    return Fence(0, 1, 1, "", 5, 5, GtidSet(), False, round((NOW - age).timestamp() * 1_000_000))


@pytest.mark.parametrize(
    ("age", "behind", "expected"),
    [
        (timedelta(hours=2), 3, timedelta(hours=166)),
        (timedelta(hours=2), 2, timedelta(hours=166)),
        (timedelta(hours=2), 1, WEEK),
        (timedelta(days=9), 3, timedelta(0)),
    ],
)
def test_what_is_unread_is_kept_from_the_watermark_on(age: timedelta, behind: int, expected: timedelta) -> None:
    assert headroom(fence(age), behind, WEEK, NOW) == expected


def test_what_is_kept_for_ever_or_was_never_loaded_has_no_end() -> None:
    assert headroom(fence(timedelta(days=9)), 3, None, NOW) is None
    assert headroom(Fence(0, 1, 0, "", 0, 0, GtidSet(), False, 0), 3, WEEK, NOW) is None
