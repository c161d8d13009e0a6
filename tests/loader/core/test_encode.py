from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Op, Row
from contracts.errors import Invalid
from contracts.ledger import LedgerEntry
from contracts.table import Column, Kind, TableSchema
from loader.core.column_type import ColumnType
from loader.core.encode import encode
from loader.core.plan import EncodedBatch, Mode, TableBatch, TargetColumn
from loader.core.records import Change
from loader.core.target import staging_columns
from tests.loader.core.rowmaker import GTID, ORDERS, batch_of, change, delete, staged, target_of, upsert
from tests.loader.core.typecases import CASES


def row(number: int, name: object = "a", total: object = "1.00") -> Row:
    return {"id": number, "name": name, "total": total}  # type: ignore[dict-item]  # wrong values are the point


def merged(*changes: Change) -> EncodedBatch:
    return encode(batch_of(changes), target_of())


def counts(encoded: EncodedBatch) -> tuple[int, int, int, int, int]:
    return encoded.records, encoded.superseded, encoded.applied, encoded.quarantined, encoded.values_nulled


def test_the_last_change_of_each_key_is_staged_in_offset_order() -> None:
    encoded = merged(upsert(0, row(1, "a")), upsert(1, row(2, "b")), upsert(2, row(1, "c")), upsert(3, row(3)), delete(4, row(3)))
    assert staged(encoded) == [
        {"id": 2, "name": "b", "total": Decimal("1.00"), "_tidemark_deleted": False},
        {"id": 1, "name": "c", "total": Decimal("1.00"), "_tidemark_deleted": False},
        {"id": 3, "name": None, "total": None, "_tidemark_deleted": True},
    ]
    assert counts(encoded) == (5, 2, 3, 0, 0)
    assert (encoded.rows, encoded.quarantine) == (3, ())


@pytest.mark.parametrize("op", [Op.CREATE, Op.UPDATE, Op.READ])
def test_created_updated_and_read_rows_are_staged_alike(op: Op) -> None:
    assert staged(merged(change(0, op, row(1)))) == staged(merged(upsert(0, row(1))))


def test_a_delete_is_staged_from_its_key_alone() -> None:
    assert staged(merged(delete(0, {"id": 1}))) == [{"id": 1, "name": None, "total": None, "_tidemark_deleted": True}]
    assert staged(merged(change(0, Op.DELETE, None, key=b'{"id":1}')))[0]["id"] == 1


def test_a_value_that_does_not_fit_loads_as_null_and_is_kept() -> None:
    encoded = merged(upsert(0, row(1, "toolong", "1000.00")), upsert(1, row(2)))
    assert [r["name"] for r in staged(encoded)] == ["toolong", "a"]
    encoded = merged(upsert(0, row(1, "much too long")), upsert(1, row(2, "a\x00", "1000.00")), upsert(2, row(3)))
    assert [(r["id"], r["name"], r["total"], r["_tidemark_deleted"]) for r in staged(encoded)] == [
        (1, None, Decimal("1.00"), False),
        (2, None, None, False),
        (3, "a", Decimal("1.00"), False),
    ]
    assert counts(encoded) == (3, 0, 3, 0, 3)
    assert [(q.offset, q.key, q.column, q.reason, q.raw) for q in encoded.quarantine] == [
        (0, '{"id":1}', "name", "13 bytes do not fit VARCHAR(8)", '"much too long"'),
        (1, '{"id":2}', "name", "holds the character U+0000", '"a\\u0000"'),
        (1, '{"id":2}', "total", "not a number as text that fits DECIMAL(5,2)", '"1000.00"'),
    ]


def test_what_json_cannot_carry_is_null_and_kept_but_a_date_that_is_none_is_only_null() -> None:
    text = Column("t", Kind.VARCHAR, length=9, charset="cp1256")
    schema = TableSchema(
        ORDERS.table, (Column("id", Kind.INT, nullable=False), text, Column("v", Kind.VECTOR, length=1), Column("d", Kind.DATE)), ("id",)
    )
    raws = [{"t": "0x418A", "v": "0x0000C07F", "d": "0000-00-00"}, {"d": "2024-00-00"}, {}]
    changes = [upsert(at, {"id": at, "t": None, "v": None, "d": None}, schema=schema, raw=raw) for at, raw in enumerate(raws)]
    encoded = encode(batch_of(changes, schema), target_of(schema))
    assert [(r["id"], r["t"], r["v"], r["d"]) for r in staged(encoded)] == [(at, None, None, None) for at in range(3)]
    assert counts(encoded) == (3, 0, 3, 0, 2)
    assert [(q.offset, q.column, q.reason, q.raw) for q in encoded.quarantine] == [
        (0, "t", "holds bytes that stand for no character of cp1256", '"0x418A"'),
        (0, "v", "is no finite number", '"0x0000C07F"'),
    ]


def test_a_superseded_value_is_not_looked_at() -> None:
    assert counts(merged(upsert(0, row(1, "much too long")), upsert(1, row(1)))) == (2, 1, 1, 0, 0)


def test_a_row_too_large_for_a_message_is_deleted_and_named() -> None:
    encoded = merged(upsert(0, row(1)), change(1, Op.UPDATE, None, key=b'{"id":1}', oversize=9_000_000), upsert(2, row(2)))
    assert [(r["id"], r["_tidemark_deleted"]) for r in staged(encoded)] == [(1, True), (2, False)]
    assert counts(encoded) == (3, 1, 1, 1, 0)
    (entry,) = encoded.quarantine
    assert (entry.column, entry.key, entry.raw_size_bytes) == (None, '{"id":1}', 9_000_000)
    assert "9000000 bytes" in entry.reason


def test_the_delete_of_a_row_too_large_for_a_message_is_a_delete_like_any_other() -> None:
    encoded = merged(change(0, Op.DELETE, None, key=b'{"id":1}', oversize=9_000_000))
    assert [(r["id"], r["_tidemark_deleted"]) for r in staged(encoded)] == [(1, True)]
    assert counts(encoded) == (1, 0, 1, 0, 0)
    assert counts(merged(change(0, Op.DELETE, None, oversize=9_000_000))) == (1, 0, 0, 1, 0)


def test_a_key_that_does_not_fit_quarantines_its_change_and_stages_nothing() -> None:
    encoded = merged(upsert(0, row(2**40)), delete(1, row(2**41)), upsert(2, row(1)))
    assert [r["id"] for r in staged(encoded)] == [1]
    assert counts(encoded) == (3, 0, 1, 2, 0)
    assert [(q.offset, q.column, q.reason) for q in encoded.quarantine] == [
        (0, None, "column id: does not fit INTEGER"),
        (1, None, "column id: does not fit INTEGER"),
    ]


def test_when_nothing_can_be_staged_there_is_no_file() -> None:
    encoded = merged(upsert(0, row(2**40)))
    assert (encoded.parquet, encoded.rows, counts(encoded)) == (None, 0, (1, 0, 0, 1, 0))
    assert merged() == EncodedBatch(None, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("image", [{"id": 1, "name": "a"}, {**row(1), "extra": 1}, {"id": 1, "name": "a", "totel": "1.00"}, None])
def test_a_row_that_is_not_of_its_schema_is_deleted_and_named(image: Row | None) -> None:
    encoded = merged(change(0, Op.UPDATE, image, key=b'{"id":1}'))
    assert [(r["id"], r["name"], r["_tidemark_deleted"]) for r in staged(encoded)] == [(1, None, True)]
    assert counts(encoded) == (1, 0, 0, 1, 0)
    assert encoded.quarantine[0].column is None


def test_a_whole_change_is_one_entry_whatever_else_is_wrong_with_it() -> None:
    encoded = merged(upsert(0, row(2**40, "much too long", "1000.00")))
    assert [q.column for q in encoded.quarantine] == [None]


def test_a_zero_date_loads_as_null_and_is_no_fault() -> None:
    schema = TableSchema(ORDERS.table, (Column("id", Kind.INT, nullable=False), Column("day", Kind.DATE)), ("id",))
    encoded = encode(batch_of([upsert(0, {"id": 1, "day": None}, schema=schema, raw={"day": "0000-00-00"})], schema), target_of(schema))
    assert staged(encoded)[0]["day"] is None
    assert counts(encoded) == (1, 0, 1, 0, 0)


def test_a_zero_date_in_the_key_quarantines_each_such_row_for_itself() -> None:
    schema = TableSchema(ORDERS.table, (Column("day", Kind.DATE, nullable=False),), ("day",))
    zero = [upsert(i, {"day": None}, schema=schema, raw={"day": text}) for i, text in enumerate(["0000-00-00", "2024-00-00"])]
    encoded = encode(batch_of([*zero, upsert(2, {"day": 5}, schema=schema)], schema), target_of(schema))
    assert counts(encoded) == (3, 0, 1, 2, 0)
    assert [q.reason for q in encoded.quarantine] == [
        f"column day: NULL where the target takes none; MySQL holds '{text}'" for text in ("0000-00-00", "2024-00-00")
    ]


def test_a_target_column_that_takes_no_null_quarantines_the_whole_change() -> None:
    target = target_of()
    strict = replace(target, columns=(target.columns[0], replace(target.columns[1], nullable=False), target.columns[2]))
    encoded = encode(batch_of([upsert(0, row(1, "much too long")), upsert(1, row(2, None)), upsert(2, row(3)), delete(3, row(4))]), strict)
    assert [(r["id"], r["name"], r["total"], r["_tidemark_deleted"]) for r in staged(encoded)] == [
        (1, None, None, True),
        (2, None, None, True),
        (3, "a", Decimal("1.00"), False),
        (4, None, None, True),
    ]
    assert counts(encoded) == (4, 0, 2, 2, 0)


def test_a_truncate_of_a_merged_table_stages_nothing_and_counts() -> None:
    assert merged(change(0, Op.TRUNCATE, None)) == EncodedBatch(None, 0, 1, 0, 1, 0, 0)
    with pytest.raises(ValueError, match="TRUNCATE is a batch of its own"):
        merged(upsert(0, row(1)), change(1, Op.TRUNCATE, None))


def test_append_keeps_every_event_with_where_it_came_from() -> None:
    changes = [upsert(0, row(1)), change(1, Op.UPDATE, row(1, "b")), delete(2, row(1, "b")), change(3, Op.TRUNCATE, None)]
    encoded = encode(batch_of(changes), target_of(mode=Mode.APPEND))
    assert [(r["_tidemark_op"], r["_tidemark_seq"], r["id"], r["name"]) for r in staged(encoded)] == [
        ("c", 0, 1, "a"),
        ("u", 1, 1, "b"),
        ("d", 2, 1, "b"),
        ("t", 3, None, None),
    ]
    assert {r["_tidemark_gtid"] for r in staged(encoded)} == {GTID}
    assert staged(encoded)[2]["_tidemark_commit_ts"] == datetime(2023, 11, 14, 22, 13, 20, 2, tzinfo=UTC).replace(tzinfo=None)
    assert counts(encoded) == (4, 0, 4, 0, 0)


def test_append_leaves_out_what_can_not_be_formed_and_nulls_what_does_not_fit() -> None:
    changes = [upsert(0, row(2**40)), change(1, Op.UPDATE, None, key=b'{"id":1}', oversize=5), upsert(2, {"id": 1}), delete(3, {"id": 1})]
    encoded = encode(batch_of(changes), target_of(mode=Mode.APPEND))
    assert [(r["_tidemark_op"], r["id"]) for r in staged(encoded)] == [("c", None), ("d", 1)]
    assert counts(encoded) == (4, 0, 2, 2, 1)
    assert [(q.offset, q.column) for q in encoded.quarantine] == [(0, "id"), (1, None), (2, None)]


def test_a_column_dropped_at_the_source_stays_null_in_the_target() -> None:
    target = target_of()
    kept = replace(target, columns=(*target.columns[:2], TargetColumn("gone", "gone", "VARCHAR(5)"), target.columns[2]))
    (found,) = staged(encode(batch_of([upsert(0, row(1))]), kept))
    assert list(found.items())[1:4] == [("name", "a"), ("gone", None), ("total", Decimal("1.00"))]


def test_a_target_that_lacks_a_column_or_has_another_key_is_refused() -> None:
    target = target_of()
    with pytest.raises(Invalid, match=r"no column for \['total'\]"):
        encode(batch_of([upsert(0, row(1))]), replace(target, columns=target.columns[:2]))
    for schema in (replace(ORDERS, key=("name",)), replace(ORDERS, key=("id", "name")), replace(ORDERS, key=())):
        with pytest.raises(Invalid, match="its key is"):
            encode(batch_of([upsert(0, row(1))], schema), target)


@pytest.mark.parametrize("mode", Mode)
def test_the_file_has_the_staging_tables_columns_in_its_order_and_of_its_types(mode: Mode) -> None:
    columns = (Column("id", Kind.INT, nullable=False), *(replace(case.column, name=f"C{i}") for i, case in enumerate(CASES)))
    schema = TableSchema(ORDERS.table, columns, ("id",))
    images: list[Row] = [{"id": 0, **{f"C{i}": case.held[0][0] for i, case in enumerate(CASES)}}]
    target = target_of(schema, mode)
    encoded = encode(batch_of([upsert(0, images[0], schema=schema)], schema), target)
    assert encoded.quarantine == ()
    assert encoded.parquet is not None
    arrow = pq.read_schema(pa.BufferReader(encoded.parquet))
    assert list(zip(arrow.names, arrow.types, strict=True)) == [
        (column.name, ColumnType.parse(column.sql_type).arrow) for column in staging_columns(target)
    ]


def test_duckdb_reads_every_value_of_every_type_as_it_was_meant(tmp_path: Path) -> None:
    for case in CASES:
        schema = TableSchema(ORDERS.table, (Column("id", Kind.INT, nullable=False), case.column), ("id",))
        changes = [upsert(i, {"id": i, "c": value}, schema=schema) for i, value in enumerate(case.values)]
        encoded = encode(batch_of(changes, schema), target_of(schema))
        assert encoded.parquet is not None
        path = tmp_path / "types.parquet"
        path.write_bytes(encoded.parquet)
        with duckdb.connect() as database:
            # Without its ICU extension DuckDB makes no Python value of a time with zone, but it hands one over as Arrow.
            found = database.sql("SELECT c FROM read_parquet(?) ORDER BY id", params=[str(path)]).to_arrow_table()
        assert found is not None
        assert found.column("c").to_pylist() == case.expected, str(case)


def test_the_same_batch_gives_the_same_bytes() -> None:
    changes = [upsert(i, row(i % 50, f"n{i}"[:2])) for i in range(500)]
    assert merged(*changes).parquet == merged(*changes).parquet


NAMES = st.none() | st.text(st.sampled_from("aé名\x00"), max_size=5)
TOTALS = st.none() | st.decimals(-9999, 9999, places=2).map(str)
EVENTS = st.lists(
    st.tuples(st.integers(0, 3) | st.just(2**40), NAMES, TOTALS, st.sampled_from(["upsert", "upsert", "delete", "oversize", "partial"])),
    max_size=20,
)
Event = tuple[int, str | None, str | None, str]


def changes_of(events: Sequence[Event]) -> list[Change]:
    found = []
    for at, (number, name, total, what) in enumerate(events):
        key = b'{"id":%d}' % number
        match what:
            case "upsert":
                found.append(upsert(at, row(number, name, total)))
            case "delete":
                found.append(delete(at, row(number, name, total)))
            case "oversize":
                found.append(change(at, Op.UPDATE, None, key=key, oversize=9_000_000))
            case _:
                found.append(change(at, Op.UPDATE, {"id": number, "name": name}, key=key))
    return found


@given(EVENTS)
def test_a_staged_key_is_what_its_last_event_says_or_absent_and_named(events: list[Event]) -> None:
    encoded = merged(*changes_of(events))
    last = {number: (at, name, total, what) for at, (number, name, total, what) in enumerate(events)}
    found = {r["id"]: r for r in staged(encoded)}
    kept = {(q.offset, q.column) for q in encoded.quarantine}
    assert set(found) == {number for number in last if number < 2**31}
    assert len(found) == encoded.rows
    for number, (at, name, total, what) in last.items():
        if number >= 2**31:
            assert (at, None) in kept
            continue
        got = found[number]
        assert got["_tidemark_deleted"] == (what != "upsert")
        assert ((at, None) in kept) == (what in ("oversize", "partial"))
        if what == "upsert":
            assert got["name"] == name or (got["name"] is None and (at, "name") in kept)
            assert got["total"] == (total and Decimal(total)) or (got["total"] is None and (at, "total") in kept)
        else:
            assert (got["name"], got["total"]) == (None, None)
    assert {at for at, _ in kept} <= {at for at, *_ in last.values()}


@given(EVENTS, st.sampled_from(Mode))
def test_every_record_is_superseded_applied_or_quarantined(events: list[Event], mode: Mode) -> None:
    batch: TableBatch = batch_of(changes_of(events))
    encoded = encode(batch, target_of(mode=mode))
    assert encoded.records == len(events)
    assert encoded.quarantined == sum(q.column is None for q in encoded.quarantine)
    assert encoded.values_nulled == sum(q.column is not None for q in encoded.quarantine)
    at = datetime(2025, 8, 14, tzinfo=UTC)
    # The ledger itself refuses counts that don't add up.
    LedgerEntry("0123abcd", "t", 0, "id", 1, batch.offsets, *counts(encoded), "key", "sha", at)
    if mode is Mode.APPEND:
        assert (encoded.superseded, encoded.rows) == (0, encoded.applied)
