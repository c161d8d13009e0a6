"""COPY's cases: what loads from Parquet, and what must not."""

from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.conformance.case import Case, Refused, Rows
from tests.conformance.statements import LOADED, T


def rows(**changes: Any) -> dict[str, Any]:
    return {"id": pa.array([1, 2], pa.int64()), "v": pa.array(["a", None]), **changes}


def decimals(precision: int, scale: int) -> dict[str, Any]:
    return {"d": pa.array([Decimal(1).scaleb(-scale)], pa.decimal128(precision, scale))}


COPIES: tuple[Case, ...] = (
    Case(
        "a manifest loads", "loading-data-files-using-manifest", (T, "COPY {s}.t {copy}", LOADED), Rows([[1, "a"], [2, None]]), parquet=rows
    ),
    Case(
        "pg_last_copy_count is the rows loaded",
        "PG_LAST_COPY_COUNT",
        (T, "COPY {s}.t {copy}", "SELECT pg_last_copy_count()"),
        Rows([[2]]),
        parquet=rows,
    ),
    Case("a COPY rolls back", "r_COPY", (T, "COMMIT", "COPY {s}.t {copy}", "ROLLBACK", LOADED), Rows([]), parquet=rows),
    Case(
        "a column list chooses columns",
        "open",
        (T, "COPY {s}.t (id) {copy}", LOADED),
        Rows([[5, None]]),
        parquet=lambda: {"x": pa.array([5], pa.int64())},
    ),
    Case(
        "columns load by position, not name",
        "copy-usage_notes-copy-from-columnar",
        (T, "COPY {s}.t {copy}", LOADED),
        Rows([[1, "a"]]),
        parquet=lambda: {"v": pa.array([1], pa.int64()), "id": pa.array(["a"])},
    ),
    Case(
        "the number of columns must match",
        "copy-usage_notes-copy-from-columnar",
        (T, "COPY {s}.t {copy}"),
        Refused("XX000"),
        parquet=lambda: rows(z=pa.array([1, 2])),
    ),
    Case(
        "int32 does not load into BIGINT",
        "open",
        (T, "COPY {s}.t {copy}"),
        Refused("XX000", "incompatible Parquet schema"),
        parquet=lambda: rows(id=pa.array([1, 2], pa.int32())),
    ),
    Case(
        "a long value fails the COPY",
        "open",
        (T, "COPY {s}.t {copy}"),
        Refused("XX000", "longer than the length defined in the table"),
        parquet=lambda: rows(v=pa.array(["ééé", ""])),
    ),
    Case(
        "a DECIMAL of the table's precision loads",
        "open",
        ("CREATE TABLE {s}.t (d DECIMAL(20, 4))", "COPY {s}.t {copy}", "SELECT d FROM {s}.t"),
        Rows([[Decimal("0.0001")]]),
        parquet=lambda: decimals(20, 4),
    ),
    Case(
        "a DECIMAL of another precision does not",
        "open",
        ("CREATE TABLE {s}.t (d DECIMAL(29, 4))", "COPY {s}.t {copy}"),
        Refused("XX000"),
        parquet=lambda: decimals(20, 4),
    ),
    Case(
        "the manifest's size must be true",
        "loading-data-files-using-manifest",
        (T, "COPY {s}.t {copy}"),
        Refused(),
        parquet=rows,
        manifest=lambda e: {**e, "meta": {"content_length": 1}},
    ),
    Case(
        "Parquet needs the size",
        "loading-data-files-using-manifest",
        (T, "COPY {s}.t {copy}"),
        Refused(text="content_length"),
        parquet=rows,
        manifest=lambda e: {"url": e["url"], "mandatory": True},
    ),
    Case(
        "a mandatory file must be there",
        "loading-data-files-using-manifest",
        (T, "COPY {s}.t {copy}"),
        Refused(),
        parquet=rows,
        manifest=lambda e: {**e, "url": e["url"] + ".gone"},
    ),
    Case(
        "MAXERROR is not for Parquet", "copy-usage_notes-copy-from-columnar", (T, "COPY {s}.t {copy} MAXERROR 5"), Refused(), parquet=rows
    ),
    Case(
        "nested values need SERIALIZETOJSON",
        "ingest-super",
        ("CREATE TABLE {s}.t (j SUPER)", "COPY {s}.t {copy}"),
        Refused("XX000"),
        parquet=lambda: {"j": pa.array([{"a": 1}])},
    ),
    Case(
        "and load with it",
        "ingest-super",
        ("CREATE TABLE {s}.t (j SUPER)", "COPY {s}.t {copy} SERIALIZETOJSON", "SELECT JSON_SERIALIZE(j) FROM {s}.t"),
        Rows([['{"a":1}']]),
        parquet=lambda: {"j": pa.array([{"a": 1}])},
    ),
    Case(
        "a string stays one string in SUPER",
        "open",
        ("CREATE TABLE {s}.t (j SUPER)", "COPY {s}.t {copy} SERIALIZETOJSON", "SELECT JSON_TYPEOF(j) FROM {s}.t"),
        Rows([["string"]]),
        parquet=lambda: {"j": pa.array(['{"a":1}'])},
    ),
)
