"""COPY's cases: what loads from Parquet, and what must not."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa

from tests.conformance.case import Case, Refused, Rows
from tests.conformance.statements import LOADED, STAGE, TWO, T


def rows(**changes: Any) -> dict[str, Any]:
    return {"id": pa.array([1, 2], pa.int64()), "v": pa.array(["a", None]), **changes}


def decimals(precision: int, scale: int) -> dict[str, Any]:
    return {"d": pa.array([Decimal(1).scaleb(-scale)], pa.decimal128(precision, scale))}


def _column(array: pa.Array) -> dict[str, Any]:
    return {"a": array}


FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001 - a TIMESTAMP has no zone
AS_TEXT = "CAST(a AS VARCHAR)"
TYPED: tuple[tuple[str, pa.Array, str, Any], ...] = (
    ("BOOLEAN", pa.array([True]), "a", True),
    ("SMALLINT", pa.array([-(2**15)], pa.int16()), "a", -(2**15)),
    ("INTEGER", pa.array([2**31 - 1], pa.int32()), "a", 2**31 - 1),
    ("BIGINT", pa.array([-(2**63)], pa.int64()), "a", -(2**63)),
    ("REAL", pa.array([0.1], pa.float32()), "a = CAST(0.1 AS REAL)", True),
    ("DOUBLE PRECISION", pa.array([1e300]), "a = 1e300", True),
    ("DECIMAL(38,10)", pa.array([Decimal(10) ** 27], pa.decimal128(38, 10)), "a", Decimal(10) ** 27),
    ("DATE", pa.array([FIRST.date()]), AS_TEXT, "0001-01-01"),
    ("TIMESTAMP", pa.array([FIRST], pa.timestamp("us")), AS_TEXT, "0001-01-01 00:00:00"),
    ("TIMESTAMP", pa.array([LAST], pa.timestamp("us")), AS_TEXT, "9999-12-31 23:59:59.999999"),
    ("TIMESTAMPTZ", pa.array([LAST], pa.timestamp("us", "UTC")), "a = TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'", True),
    ("VARCHAR(65535)", pa.array(["é" * 32767]), "OCTET_LENGTH(a)", 65534),
    ("VARCHAR(4)", pa.array(["a   "]), "OCTET_LENGTH(a)", 4),
)
"""A type, the one Arrow column the loader writes for it, and how its value is looked at."""


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
        manifest=lambda e: [{**e, "meta": {"content_length": 1}}],
    ),
    Case(
        "Parquet needs the size",
        "loading-data-files-using-manifest",
        (T, "COPY {s}.t {copy}"),
        Refused(text="content_length"),
        parquet=rows,
        manifest=lambda e: [{"url": e["url"], "mandatory": True}],
    ),
    Case(
        "a mandatory file must be there",
        "loading-data-files-using-manifest",
        (T, "COPY {s}.t {copy}"),
        Refused(),
        parquet=rows,
        manifest=lambda e: [e, {**e, "url": e["url"] + ".gone"}],
    ),
    Case(
        "one that is not mandatory may be missing, and nobody is told",
        "loading-data-files-using-manifest",
        (T, "COPY {s}.t {copy}", "SELECT pg_last_copy_count()"),
        Rows([[2]]),
        parquet=rows,
        manifest=lambda e: [e, {**e, "url": e["url"] + ".gone", "mandatory": False}],
    ),
    Case(
        "a COPY that fails takes the transaction with it",
        "r_COPY",
        (T, "COMMIT", TWO, "? COPY {s}.t {copy}", "ROLLBACK", LOADED),
        Rows([]),
        parquet=lambda: rows(v=pa.array(["ok", "too long"])),
    ),
    Case(
        "a file without rows loads none",
        "open",
        (T, "COPY {s}.t {copy}", "SELECT pg_last_copy_count()"),
        Rows([[0]]),
        parquet=lambda: rows(id=pa.array([], pa.int64()), v=pa.array([], pa.string())),
    ),
    Case(
        "NULL does not load where none may be",
        "t_Defining_constraints",
        (T, "COPY {s}.t {copy}"),
        Refused("XX000"),
        parquet=lambda: rows(id=pa.array([1, None], pa.int64())),
    ),
    Case(
        "into a temp table, by a name that hides no other",
        "r_CREATE_TABLE_NEW",
        (T, TWO, STAGE, "COPY stage {copy}", "DELETE FROM {s}.t USING stage WHERE {s}.t.id = stage.id", LOADED),
        Rows([]),
        parquet=rows,
    ),
    Case(
        "bytes load into VARBYTE",
        "r_VARBYTE_type",
        ("CREATE TABLE {s}.t (b VARBYTE(4))", "COPY {s}.t {copy}", "SELECT TO_HEX(b) FROM {s}.t"),
        Rows([["00ff"]]),
        parquet=lambda: {"b": pa.array([b"\x00\xff"])},
    ),
    Case(
        "too many bytes do not",
        "open",
        ("CREATE TABLE {s}.t (b VARBYTE(1))", "COPY {s}.t {copy}"),
        Refused("XX000"),
        parquet=lambda: {"b": pa.array([b"\x00\xff"])},
    ),
    Case(
        "a row over 4 MB fails the COPY",
        "open",
        ("CREATE TABLE {s}.t (a VARBYTE(4000000), b VARBYTE(4000000))", "COPY {s}.t {copy}"),
        Refused("XX000"),
        parquet=lambda: {"a": pa.array([bytes(2_200_000)]), "b": pa.array([bytes(2_200_000)])},
    ),
    *(
        Case(
            f"{sql} loads {str(text)[:30]} from Parquet's {array.type}",
            "copy-usage_notes-copy-from-columnar",
            (f"CREATE TABLE {{s}}.t (a {sql})", "COPY {s}.t {copy}", f"SELECT {shown} FROM {{s}}.t"),
            Rows([[text]]),
            parquet=partial(_column, array),
        )
        for sql, array, shown, text in TYPED
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
