from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.devstack.redshift.standin import BUCKET, ROLE, Client, Lake, StandIn

pytestmark = pytest.mark.stack
COLUMNS = "a BIGINT NOT NULL, v VARCHAR(4), d DECIMAL(18, 4)"


def good(**changes: Any) -> dict[str, Any]:
    return {
        "a": pa.array([1, 2, 3], pa.int64()),
        "v": pa.array(["x", None, "éé"]),
        "d": pa.array([Decimal("1.5000"), None, Decimal("-99999999999999.9999")], pa.decimal128(18, 4)),
        **changes,
    }


def test_a_manifest_of_several_files_loads_into_the_clients_transaction(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TABLE {table} ({COLUMNS})")
    client.commit()
    entries = [lake.entry(lake.parquet(good())) for _ in range(3)]
    assert client.run(f"COPY {table} {lake.manifest(*entries)}") in (-1, 0)
    assert client.value("SELECT pg_last_copy_count()") == 9
    assert client.value(f"SELECT COUNT(*) FROM {table}") == 9
    client.rollback()
    assert client.value(f"SELECT COUNT(*) FROM {table}") == 0
    assert client.value("SELECT pg_last_copy_count()") == 9


def test_a_temporary_table_takes_a_copy_of_chosen_columns(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TEMP TABLE {table} ({COLUMNS}, n INT)")
    client.run(f"COPY {table} (v, a) {lake.copy({'x': pa.array(['p']), 'y': pa.array([5], pa.int64())})}")
    assert client.rows(f"SELECT * FROM {table}") == [[5, "p", None, None]]


def test_every_loadable_type_arrives_unchanged(client: Client, lake: Lake, table: str) -> None:
    client.run(
        f"CREATE TEMP TABLE {table} (a SMALLINT, b INT, c BIGINT, d DECIMAL(38, 0), e REAL, f DOUBLE PRECISION, "
        "g BOOLEAN, h CHAR(2), i VARCHAR(9), j DATE, k TIMESTAMP, l TIMESTAMPTZ, m VARBYTE(4))"
    )
    columns = {
        "a": pa.array([-(2**15)], pa.int16()), "b": pa.array([2**31 - 1], pa.int32()), "c": pa.array([-(2**63)], pa.int64()),
        "d": pa.array([Decimal(10**38 - 1)], pa.decimal128(38, 0)), "e": pa.array([0.25], pa.float32()), "f": pa.array([1 / 4]),
        "g": pa.array([False]), "h": pa.array(["ab"]), "i": pa.array(["é😀"]), "j": pa.array([0], pa.int32()).cast(pa.date32()),
        "k": pa.array([-1], pa.timestamp("us")), "l": pa.array([1], pa.timestamp("us", "UTC")), "m": pa.array([b"\x00\xff"]),
    }  # fmt: skip
    client.run(f"COPY {table} {lake.copy(columns)}")
    row = client.rows(f"SELECT a, b, c, d, e, f, g, h, i, j::VARCHAR, k::VARCHAR, l::VARCHAR, TO_HEX(m) FROM {table}")[0]
    assert row == [
        -(2**15), 2**31 - 1, -(2**63), Decimal(10**38 - 1), 0.25, 0.25, False, "ab", "é😀", "1970-01-01", "1969-12-31 23:59:59.999999",
        "1970-01-01 00:00:00.000001+00", "00ff",
    ]  # fmt: skip


def test_a_prefix_loads_all_objects_under_it(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TEMP TABLE {table} (a BIGINT)")
    for part in (1, 2):
        key = lake.parquet({"a": pa.array([part], pa.int64())})
        lake.client.copy_object(Bucket=BUCKET, CopySource=f"{BUCKET}/{key}", Key=f"{table}/{part}.parquet")
    client.run(f"COPY {table} FROM 's3://{BUCKET}/{table}/' {ROLE} FORMAT AS PARQUET")
    assert client.rows(f"SELECT a FROM {table} ORDER BY a") == [[1], [2]]


def test_nested_values_and_unparsed_strings_load_into_super(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TEMP TABLE {table} (s SUPER, t SUPER)")
    columns = {"s": pa.array([{"k": [1, 2]}]), "t": pa.array(['{"k": 1}'])}
    client.run(f"COPY {table} {lake.copy(columns)} SERIALIZETOJSON")
    assert client.rows(f"SELECT JSON_TYPEOF(s), JSON_TYPEOF(t), JSON_SERIALIZE(s) FROM {table}") == [["object", "string", '{"k":[1,2]}']]


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("a wider integer", good(a=pa.array([1, 2, 3], pa.int32())), "incompatible Parquet schema for column 'a'"),
    ("an unsigned integer", good(a=pa.array([1, 2, 3], pa.uint64())), "incompatible Parquet schema for column 'a'"),
    ("another scale", good(d=pa.array([None] * 3, pa.decimal128(18, 2))), "incompatible Parquet schema for column 'd'"),
    ("another precision", good(d=pa.array([None] * 3, pa.decimal128(19, 4))), "incompatible Parquet schema for column 'd'"),
    ("bytes for text", good(v=pa.array([b"x", b"y", b"z"])), "incompatible Parquet schema for column 'v'"),
    ("one column too many", good(z=pa.array([1, 2, 3])), "Unmatched number of columns"),
    ("columns in another order", dict(reversed(good().items())), "incompatible Parquet schema for column 'a'"),
    ("a long value", good(v=pa.array(["ééé", "", ""])), "Table: 4, Data: 6"),
    ("a NULL", good(a=pa.array([1, None, 3], pa.int64())), "Missing data for not-null field"),
    ("NUL in text", good(v=pa.array(["a\0b", "", ""])), "unsupported UTF8"),
]


def test_a_row_over_4_mb_fails_the_copy_and_one_below_loads(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TABLE {table} (a VARBYTE(4000000), b VARBYTE(4000000))")
    client.commit()
    sizes = (2_000_000, 2_000_000), (3_999_999, 1)
    client.run(f"COPY {table} {lake.copy({'a': pa.array([bytes(a) for a, _ in sizes]), 'b': pa.array([bytes(b) for _, b in sizes])})}")
    assert client.value(f"SELECT COUNT(*) FROM {table}") == 2
    refusal = client.refused(f"COPY {table} {lake.copy({'a': pa.array([bytes(2_000_001)]), 'b': pa.array([bytes(2_000_000)])})}")
    assert (refusal["C"], refusal["M"]) == ("XX000", "Spectrum Scan Error")
    assert "Row of 4000001 bytes is over 4 MB" in refusal["D"]


@pytest.mark.parametrize(("columns", "reason"), [pytest.param(c, r, id=name) for name, c, r in REFUSALS])
def test_a_file_that_does_not_fit_is_refused_and_recorded_though_rolled_back(
    client: Client, lake: Lake, table: str, columns: dict[str, Any], reason: str
) -> None:
    client.run(f"CREATE TABLE {table} ({COLUMNS})")
    client.commit()
    refusal = client.refused(f"COPY {table} {lake.copy(columns)}")
    assert refusal["C"] == "XX000"
    assert reason in refusal["D"]
    for view, message, at in (
        ("stl_load_errors", "err_reason", "tbl = c.oid"),
        ("sys_load_error_detail", "error_message", "table_id = c.oid"),
    ):
        found = client.rows(f"SELECT {message} FROM {view} e JOIN pg_class c ON e.{at} WHERE c.relname = %s", (table,))
        assert len(found) == 1
        assert reason in found[0][0]
    assert client.value(f"SELECT COUNT(*) FROM {table}") == 0


def test_a_manifest_must_tell_the_true_size(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TABLE {table} ({COLUMNS})")
    client.commit()
    key = lake.parquet(good())
    wrong = lake.entry(key, meta={"content_length": lake.size(key) + 1})
    assert "content_length" in client.refused(f"COPY {table} {lake.manifest(wrong)}")["D"]
    missing = {"url": f"s3://{BUCKET}/{key}", "mandatory": True}
    assert "content_length" in client.refused(f"COPY {table} {lake.manifest(missing)}")["D"]


def test_a_missing_file_fails_the_copy_only_when_it_is_mandatory(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TABLE {table} ({COLUMNS})")
    client.commit()
    there = lake.entry(lake.parquet(good()))
    gone = {"url": f"s3://{BUCKET}/gone.parquet", "meta": {"content_length": 9}}
    assert "404" in client.refused(f"COPY {table} {lake.manifest(there, {**gone, 'mandatory': True})}")["D"]
    client.run(f"COPY {table} {lake.manifest(there, gone)}")
    assert client.value("SELECT pg_last_copy_count()") == 3
    client.rollback()
    assert client.refused(f"COPY {table} {lake.manifest(gone)}")["C"] == "XX000"


def test_a_missing_manifest_or_prefix_is_refused(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TABLE {table} ({COLUMNS})")
    client.commit()
    for clauses in (
        f"FROM 's3://{BUCKET}/none.manifest' {ROLE} FORMAT AS PARQUET MANIFEST",
        f"FROM 's3://{BUCKET}/none/' {ROLE} FORMAT AS PARQUET",
    ):
        assert client.refused(f"COPY {table} {clauses}")["C"] == "XX000"


def test_a_copy_that_is_refused_fails_the_transaction(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TABLE {table} ({COLUMNS})")
    client.commit()
    client.run(f"INSERT INTO {table} VALUES (9, 'x', 1)")
    assert client.refused(f"COPY {table} {lake.copy(good(a=pa.array([1, 2, 3], pa.int32())))}")["C"] == "XX000"
    assert client.value(f"SELECT COUNT(*) FROM {table}") == 0


def test_an_unknown_column_in_the_list_is_refused(client: Client, lake: Lake, table: str) -> None:
    client.run(f"CREATE TABLE {table} ({COLUMNS})")
    client.commit()
    assert client.refused(f"COPY {table} (a, nope) {lake.copy(good())}")["C"] == "42703"


def test_outside_of_a_block_a_copy_commits_by_itself_and_is_in_the_history(
    snapshot: StandIn, client: Client, lake: Lake, table: str
) -> None:
    auto = Client(snapshot, autocommit=True)
    auto.run(f"CREATE TABLE {table} ({COLUMNS})")
    auto.run(f"COPY {table} {lake.copy(good())}")
    assert client.value(f"SELECT COUNT(*) FROM {table}") == 3
    query = auto.value("SELECT pg_last_copy_id()")
    assert auto.rows("SELECT loaded_rows, source_file_count, status FROM sys_load_history WHERE query_id = %s", (query,)) == [
        [3, 1, "completed"]
    ]
    assert auto.value("SELECT lines_scanned FROM stl_load_commits WHERE query = %s", (query,)) == 3
    auto.close()
