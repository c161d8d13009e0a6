"""That the suite can tell: what MySQL and the warehouse give has one form, and what is not due is a fault."""

import struct
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.types.canonical import FORMS, NULL, Due, Family, bytes_max
from tests.types.comparison import Entry, verdict

LONDON = datetime(2024, 6, 30, 12, 0, 0, 5, tzinfo=UTC)
POINT = "0101000000000000000000f03f0000000000000040"

ALIKE = [
    (Family.WHOLE, "18446744073709551615", Decimal(2**64 - 1)),
    (Family.BITS, "1", True),
    (Family.DECIMAL, "-0.10", Decimal("-0.10")),
    (Family.DECIMAL, "9" * 65, "9" * 65),
    (Family.FLOAT, 1.100000023841858, 1.1),
    (Family.DOUBLE, -0.0, -0.0),
    (Family.DATE, "0001-01-01", date(1, 1, 1)),
    (Family.DATETIME, "9999-12-31 23:59:59.5", datetime(9999, 12, 31, 23, 59, 59, 500000, tzinfo=UTC).replace(tzinfo=None)),
    (Family.TIMESTAMP, "2024-06-30 12:00:00.000005", LONDON),
    (Family.TIME, "-838:59:59", -3_020_399_000_000),
    (Family.TIME, "-00:00:00.000001", -1),
    (Family.TEXT, "=a ?", "a ?"),
    (Family.JSON, '{"a": 1.50}', '{"a": 1.50}'),
    (Family.BYTES, "00FF", "00ff"),
    (Family.GEOMETRY, f"4326;{POINT}", f"E6100000{POINT}"),
    (Family.VECTOR, struct.pack("<2f", 0.1, -0.0).hex(), "[0.1,-0.0]"),
]


@pytest.mark.parametrize(("family", "mysql", "held"), ALIKE)
def test_both_sides_of_a_value_have_one_form(family: Family, mysql: Any, held: Any) -> None:
    due = FORMS[family].due(mysql, 65_535)
    assert due.text is not None
    assert verdict(due, FORMS[family].found(held)) == "equal"


UNLIKE = [
    (Family.DECIMAL, "1.50", Decimal("1.5")),
    (Family.FLOAT, 1e-45, 0.0),
    (Family.DOUBLE, 0.0, -0.0),
    (Family.DATETIME, "2024-06-30 12:00:00.000001", datetime(2024, 6, 30, 12, tzinfo=UTC).replace(tzinfo=None)),
    (Family.TIME, "-00:00:01", 1_000_000),
    (Family.TEXT, "=a ", "a"),
    (Family.TEXT, "=é", "e\u0301"),
    (Family.GEOMETRY, f"0;{POINT}", f"E6100000{POINT}"),
    (Family.VECTOR, struct.pack("<f", 0.1).hex(), "[0.10000001]"),
    (Family.BYTES, "00", None),
]


@pytest.mark.parametrize(("family", "mysql", "held"), UNLIKE)
def test_another_value_is_a_fault(family: Family, mysql: Any, held: Any) -> None:
    assert verdict(FORMS[family].due(mysql, 65_535), FORMS[family].found(held)) == ""


WHOLE = "the row takes 4000014 bytes, more than the 4000000 that COPY takes of a row; this value is among its largest"
BEYOND = [
    (Family.TEXT, "=" + "é" * 11, "22 bytes do not fit VARCHAR(20)", f'"{"é" * 11}"'),
    (Family.TEXT, "=a\0", "holds the character U+0000", '"a\\u0000"'),
    (Family.TEXT, "!418A", "holds bytes that stand for no character of cp1256", '"0x418A"'),
    (Family.JSON, "[" + "1" * 30 + "]", "32 bytes do not fit VARCHAR(20)", f'"[{"1" * 30}]"'),
    (Family.BYTES, "00" * 21, "21 bytes do not fit VARBYTE(20)", "anything"),
    (Family.VECTOR, struct.pack("<9f", *[0.1] * 9).hex(), "37 bytes do not fit VARCHAR(20)", "anything"),
]


def test_bytes_that_fit_their_column_and_no_row_are_null_and_named() -> None:
    beyond, within = (FORMS[Family.BYTES].due("00" * size, 16_777_216) for size in (4_000_001, 4_000_000))
    assert verdict(beyond, None, Entry(WHOLE, "anything", 8)) == "quarantined"
    assert verdict(beyond, None) == verdict(within, None, Entry(WHOLE, "anything", 8)) == ""


@pytest.mark.parametrize(("family", "mysql", "reason", "kept"), BEYOND)
def test_what_the_target_cannot_hold_is_null_and_named(family: Family, mysql: str, reason: str, kept: str) -> None:
    due, entry = FORMS[family].due(mysql, 20), Entry(reason, kept, len(kept.encode()))
    assert verdict(due, None, entry) == "quarantined"
    assert verdict(due, None) == verdict(due, None, entry._replace(reason="another")) == verdict(due, "a", entry) == ""
    for other in (entry._replace(raw="x"), entry._replace(size_bytes=0)):
        assert verdict(due, None, other) == ("" if due.kept else "quarantined")


def test_quarantine_keeps_what_a_varchar_holds_of_a_value_and_its_size() -> None:
    kept = f'"{"é" * 40_000}"'
    due = FORMS[Family.TEXT].due("=" + "é" * 40_000, 65_535)
    entry = Entry("80000 bytes do not fit VARCHAR(65535)", kept[:32_768], 80_002)
    assert verdict(due, None, entry) == "quarantined"
    assert verdict(due, None, entry._replace(raw=kept[:32_767])) == ""


@pytest.mark.parametrize("text", ["0000-00-00", "2024-00-00", "0000-01-01", "2023-02-29"])
def test_a_date_that_is_none_is_null_and_not_named(text: str) -> None:
    named = Entry("outside the years 1 to 9999", "", 0)
    for due in (FORMS[Family.DATE].due(text, 0), FORMS[Family.DATETIME].due(f"{text} 00:00:00", 0)):
        assert verdict(due, None, raw=due.no_date) == "no_date"
        assert verdict(due, "1970-01-01", raw=due.no_date) == verdict(due, None, named, due.no_date) == ""
        assert verdict(due, None, raw="1970-01-01") == verdict(due, None) == ""


def test_null_is_null_and_nothing_else() -> None:
    assert verdict(NULL, None) == "equal"
    assert verdict(NULL, "") == verdict(Due(""), None) == verdict(NULL, None, Entry("a reason", "", 0)) == ""


def test_a_type_counts_bytes_or_does_not() -> None:
    assert [bytes_max(sql) for sql in ("VARCHAR(20)", "VARBYTE(16777216)", "DECIMAL(20,0)")] == [20, 16777216, 0]
