"""A value is one text, whichever side it came from."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from auditor.core.canonical import from_mysql, from_warehouse
from contracts.table import Column, Kind


def column(kind: Kind, **rest: Any) -> Column:
    return Column("c", kind, **rest)


@pytest.mark.parametrize(
    ("kind", "rest", "mysql", "warehouse", "text"),
    [
        (Kind.BIGINT, {"unsigned": True}, 2**64 - 1, Decimal(2**64 - 1), "18446744073709551615"),
        (Kind.TINYINT, {}, -128, -128, "-128"),
        (Kind.BIT, {"length": 1}, 1, True, "1"),
        (Kind.BIT, {"length": 64}, 2**64 - 1, Decimal(2**64 - 1), "18446744073709551615"),
        (Kind.DECIMAL, {"precision": 12, "scale": 2}, "-0.50", Decimal("-0.5"), "-0.50"),
        (Kind.DECIMAL, {"precision": 12, "scale": 2}, "0.00", Decimal("-0.00"), "0.00"),
        (Kind.DECIMAL, {"precision": 65, "scale": 30}, "1." + "1" * 30, "1." + "1" * 30, "1." + "1" * 30),
        (Kind.FLOAT, {}, 1.100000023841858, 1.1, "3f8ccccd"),
        (Kind.DOUBLE, {}, -0.0, -0.0, "8000000000000000"),
        (Kind.DATE, {}, "2024-02-29", date(2024, 2, 29), "2024-02-29"),
        (
            Kind.DATETIME,
            {"fraction": 3},
            "2024-02-29 23:59:59.120",
            datetime.fromisoformat("2024-02-29T23:59:59.120"),
            "2024-02-29 23:59:59.120000",
        ),
        (Kind.TIMESTAMP, {}, "2024-01-01 00:00:00", datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01 00:00:00.000000"),
        (Kind.TIME, {"fraction": 6}, "-838:59:58.000001", -3020398000001, "-3020398000001"),
        (Kind.BLOB, {}, "00FF", "00ff", "00ff"),
        (Kind.VECTOR, {"length": 2}, "0000803F000000C0", "[1.0,-2.0]", "0000803f000000c0"),
        (Kind.VARCHAR, {"charset": "utf8mb4"}, "né\n", "né\n", "né\n"),
    ],
)
def test_both_sides_give_the_same_text(kind: Kind, rest: dict[str, Any], mysql: Any, warehouse: Any, text: str) -> None:
    assert from_mysql(column(kind, **rest))(mysql) == text
    assert from_warehouse(column(kind, **rest))(warehouse) == text


@pytest.mark.parametrize("kind", list(Kind))
def test_null_is_none_on_both_sides_for_every_kind(kind: Kind) -> None:
    assert from_mysql(column(kind))(None) is None
    assert from_warehouse(column(kind))(None) is None


@pytest.mark.parametrize("text", ["0000-00-00", "2024-00-10 00:00:00", "2024-05-00", "0000-00-00 00:00:00.000000"])
def test_a_day_that_is_none_reads_as_none(text: str) -> None:
    assert from_mysql(column(Kind.DATETIME))(text) is None


def test_midnight_is_not_mistaken_for_a_zero_date() -> None:
    assert from_mysql(column(Kind.DATETIME))("2000-10-10 00:00:00") == "2000-10-10 00:00:00.000000"
