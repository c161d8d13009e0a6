"""An entry of quarantine takes away from the source's rows what it names, and nothing else."""

from typing import Any

import pytest

from auditor.core.canonical import from_envelope, from_mysql
from auditor.core.withheld import Withheld, Withholdings
from contracts.envelope import encode_key
from contracts.table import Column, Kind, TableId, TableSchema

SCHEMA = TableSchema(
    TableId("shop", "parts"),
    (Column("region", Kind.VARCHAR), Column("id", Kind.BINARY, length=2), Column("note", Kind.TEXT), Column("size", Kind.INT)),
    ("region", "id"),
)
ROW = ["eu", "00ff", "text", "7"]


def expected(*entries: tuple[str, str | None, str]) -> tuple[list[list[str | None]], list[Withheld]]:
    withholdings = Withholdings(SCHEMA, entries)
    rows = [list(row) for row in withholdings.expected([ROW, ["us", "00ff", None, None]])]
    return rows, withholdings.met


KEY = (encode_key(("region", "id"), {"region": "eu", "id": "AP8="}) or b"").decode()


def test_a_value_in_quarantine_is_expected_as_null() -> None:
    rows, met = expected((KEY, "note", "too long"))
    assert rows == [["eu", "00ff", None, "7"], ["us", "00ff", None, None]]
    assert met == [Withheld(("eu", "00ff"), "note", "too long")]


def test_a_row_in_quarantine_is_not_expected() -> None:
    rows, met = expected((KEY, "note", "too long"), (KEY, None, "oversize"))
    assert rows == [["us", "00ff", None, None]]
    assert met == [Withheld(("eu", "00ff"), None, "oversize")]


@pytest.mark.parametrize(
    ("key", "column"),
    [
        (KEY, "dropped since"),
        (KEY.replace("eu", "asia"), "note"),
        (KEY.replace("region", "area"), "note"),
        (KEY.replace("AP8=", "no base64!"), "note"),
        (KEY.replace('"AP8="', "1"), "note"),
        ("[1]", "note"),
        ('{"region":"e… sha256:00', "note"),
        ('{"region":"us","id":"AP8="}', "note"),
    ],
)
def test_an_entry_that_names_no_row_or_takes_nothing_changes_nothing(key: str, column: str) -> None:
    rows, met = expected((key, column, "too long"))
    assert (rows[0], met) == (ROW, [])


@pytest.mark.parametrize(
    ("kind", "rest", "carried", "mysql"),
    [
        (Kind.BIGINT, {"unsigned": True}, "18446744073709551615", 2**64 - 1),
        (Kind.INT, {}, -5, -5),
        (Kind.YEAR, {}, 2024, 2024),
        (Kind.BIT, {"length": 1}, True, 1),
        (Kind.BIT, {"length": 12}, "AQg=", 0x801),
        (Kind.DECIMAL, {"precision": 12, "scale": 2}, "-0.50", "-0.50"),
        (Kind.FLOAT, {}, 1.1, 1.100000023841858),
        (Kind.DOUBLE, {}, 1e300, 1e300),
        (Kind.DATE, {}, 19782, "2024-02-29"),
        (Kind.DATETIME, {"fraction": 3}, 1709251199120, "2024-02-29 23:59:59.120"),
        (Kind.DATETIME, {"fraction": 6}, -1, "1969-12-31 23:59:59.999999"),
        (Kind.TIMESTAMP, {"fraction": 1}, "2024-01-01T00:00:00.500Z", "2024-01-01 00:00:00.5"),
        (Kind.TIME, {"fraction": 6}, -3020398000001, "-838:59:58.000001"),
        (Kind.VARBINARY, {}, "AP8=", "00FF"),
        (Kind.ENUM, {}, "grün", "grün"),
    ],
)
def test_a_key_of_every_kind_names_the_row_that_mysql_shows(kind: Kind, rest: dict[str, Any], carried: Any, mysql: Any) -> None:
    column = Column("c", kind, **rest)
    assert from_envelope(column)(carried) == from_mysql(column)(mysql) is not None
