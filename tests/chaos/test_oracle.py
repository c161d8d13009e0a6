"""The oracle tells a row that is missing, one too many, one that is another, and one that is there twice."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.chaos.cut import Target
from tests.chaos.oracle import Comparison, Row, difference, events_difference, plain

ROWS = [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (ROWS[::-1], Comparison(2, 0, 0, 0)),
        (ROWS[:1], Comparison(2, 1, 0, 0)),
        ([*ROWS, (3, "c")], Comparison(2, 0, 1, 0)),
        ([(1, "a"), (2, "B")], Comparison(2, 1, 1, 0)),
        ([*ROWS, (2, "b")], Comparison(2, 0, 1, 1)),
    ],
)
def test_every_difference_is_counted(target: list[Row], found: Comparison) -> None:
    assert difference(ROWS, target, [0]) == found
    assert found.is_equal == (target == ROWS[::-1])


@pytest.mark.parametrize(
    ("events", "found"),
    [
        (["0c1", "1c1", "2c2"], Comparison(3, 0, 0, 0)),
        (["9c2", "0c7", "1t0", "2c1", "3c1", "4c1", "5d1"], Comparison(3, 0, 0, 0)),
        (["0c1", "2c2"], Comparison(3, 1, 0, 0)),
        (["0c1", "1c1", "2c2", "3d2"], Comparison(3, 1, 0, 0)),
        (["0c1", "1c1", "2c2", "3d3"], Comparison(3, 1, 0, 0)),
        (["0c1", "1c1", "2c2", "3c3"], Comparison(3, 0, 1, 0)),
        (["0c1", "1c1", "2c2", "2c2"], Comparison(3, 0, 1, 1)),
    ],
)
def test_a_table_of_events_is_what_they_come_to(events: list[str], found: Comparison) -> None:
    rows: list[Row] = [(int(event[2]), event[1], int(event[0])) for event in events]
    target = Target(("n", "_tidemark_op", "_tidemark_seq"), rows)
    assert events_difference([(1,), (1,), (2,)], target, [("n", "int")]) == found


@pytest.mark.parametrize(
    ("kind", "mysql", "warehouse"),
    [
        ("time", timedelta(hours=-1, microseconds=5), -3_599_999_995),
        ("bit", b"\x01\x02", 258),
        ("varbinary", b"\xab", "AB"),
        ("json", '{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ("decimal", Decimal("1.50"), Decimal("1.50")),
        ("timestamp", datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None), datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_both_drivers_values_become_one(kind: str, mysql: Any, warehouse: Any) -> None:
    assert plain(mysql, kind) == plain(warehouse, kind) is not None


def test_values_that_only_look_alike_stay_apart() -> None:
    assert plain(Decimal("1.5"), "decimal") != plain(Decimal("1.50"), "decimal")
    assert plain(0.0, "double") != plain(-0.0, "double")
