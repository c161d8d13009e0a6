"""A row that is more than COPY takes loses its largest values, and each of them is kept."""

import base64
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Op, Row
from contracts.table import Column, Kind, TableSchema
from loader.core.column_type import ColumnType
from loader.core.columns import read_column
from loader.core.encode import encode
from loader.core.fit import fit
from loader.core.plan import EncodedBatch, Mode
from loader.core.records import Change
from loader.core.row_limit import RECORD_BYTES_UNSEEN, ROW_BYTES_MAX, giving_way, value_sizes
from loader.core.target import COLUMNS_MAX
from tests.loader.core.rowmaker import GTID, ORDERS, batch_of, change, delete, staged, target_of, upsert
from tests.loader.core.typecases import CASES, TypeCase, b64

FILES = TableSchema(
    ORDERS.table,
    (
        Column("id", Kind.INT, nullable=False),
        Column("a", Kind.BLOB, length=16_777_215),
        Column("b", Kind.BLOB, length=16_777_215),
        Column("name", Kind.VARCHAR, length=20, charset="utf8mb4"),
    ),
    ("id",),
)
FIXED_BYTES = 4 + 1  # the INT, and _tidemark_deleted


def file(number: int, a: int | None, b: int | None, name: str | None = "é") -> Row:
    """A row whose BLOBs have so many bytes."""
    return {"id": number, "a": None if a is None else b64(bytes(a)), "b": None if b is None else b64(bytes(b)), "name": name}


def loaded(*changes: Change, mode: Mode = Mode.MERGE, required: tuple[str, ...] = ()) -> EncodedBatch:
    target = target_of(FILES, mode)
    columns = tuple(replace(c, nullable=c.nullable and c.name not in required) for c in target.columns)
    return encode(batch_of(changes, FILES), replace(target, columns=columns))


def sizes(encoded: EncodedBatch) -> list[tuple[int, int | None, int | None, str | None]]:
    lengths = [[None if row[name] is None else len(row[name]) for name in ("a", "b")] for row in staged(encoded)]
    return [(row["id"], a, b, row["name"]) for row, (a, b) in zip(staged(encoded), lengths, strict=True)]


def test_a_value_too_large_for_any_row_is_null_and_kept_with_its_true_size() -> None:
    encoded = loaded(upsert(0, file(1, 5_000_000, 7), schema=FILES), upsert(1, file(2, 1, 2), schema=FILES))
    assert sizes(encoded) == [(1, None, 7, "é"), (2, 1, 2, "é")]
    (entry,) = encoded.quarantine
    assert (entry.offset, entry.key, entry.column) == (0, '{"id":1}', "a")
    assert entry.reason == "the row takes 5000014 bytes, more than the 4000000 that COPY takes of a row; this value is among its largest"
    assert (len(entry.raw), entry.raw_size_bytes) == (65_535, len(base64.b64encode(bytes(5_000_000))) + 2)
    assert (encoded.applied, encoded.quarantined, encoded.values_nulled) == (2, 0, 1)


@pytest.mark.parametrize("mode", Mode)
def test_no_more_values_are_lost_than_must_be_and_the_largest_first(mode: Mode) -> None:
    encoded = loaded(upsert(0, file(1, 2_900_000, 3_000_000), schema=FILES), mode=mode)
    assert sizes(encoded) == [(1, 2_900_000, None, "é")]
    assert [q.column for q in encoded.quarantine] == ["b"]
    encoded = loaded(upsert(0, file(1, 5_000_000, 4_000_000), schema=FILES), mode=mode)
    assert sizes(encoded) == [(1, None, None, "é")]
    assert [q.column for q in encoded.quarantine] == ["a", "b"]


def test_a_row_of_just_so_many_bytes_is_loaded_whole() -> None:
    room = ROW_BYTES_MAX - FIXED_BYTES - 2
    encoded = loaded(upsert(0, file(1, room - 9, 9), schema=FILES), upsert(1, file(2, room - 8, 9), schema=FILES))
    assert sizes(encoded) == [(1, room - 9, 9, "é"), (2, None, 9, "é")]
    assert encoded.quarantine[0].reason.startswith("the row takes 4000001 bytes, more than")


def test_what_an_event_says_beside_its_row_counts_too() -> None:
    room = ROW_BYTES_MAX - 4 - (1 + 8 + 8 + len(GTID)) - 2
    changes = [upsert(0, file(1, room - 9, 9), schema=FILES), upsert(1, file(2, room - 8, 9), schema=FILES)]
    assert sizes(loaded(*changes, mode=Mode.APPEND)) == [(1, room - 9, 9, "é"), (2, None, 9, "é")]


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE])
def test_a_row_with_too_much_where_no_null_may_be_is_bare_and_kept_whole(mode: Mode) -> None:
    whole = upsert(0, file(1, 5_000_000, 1_000_000), schema=FILES)
    encoded = loaded(whole, upsert(1, file(2, 1, 2), schema=FILES), mode=mode, required=("a",))
    assert sizes(encoded) == [(1, None, None, None), (2, 1, 2, "é")]
    bare = "_tidemark_deleted" if mode is Mode.MERGE else "_tidemark_bare"
    assert [row[bare] for row in staged(encoded)] == [True, False]
    (entry,) = encoded.quarantine
    assert (entry.column, entry.raw_size_bytes) == (None, len(whole.envelope.encode()))
    assert entry.reason.startswith("the row takes 60000")
    assert entry.reason.endswith("more than the 4000000 that COPY takes of a row, and not enough of them where the target takes NULL")
    assert (encoded.applied, encoded.quarantined, encoded.values_nulled) == (1, 1, 0)


def test_an_event_with_too_much_where_no_null_may_be_is_left_out_and_kept_whole() -> None:
    changes = [upsert(0, file(1, 5_000_000, None), schema=FILES), upsert(1, file(2, 1, 2), schema=FILES)]
    encoded = loaded(*changes, mode=Mode.APPEND, required=("a",))
    assert sizes(encoded) == [(2, 1, 2, "é")]
    assert [(q.offset, q.column) for q in encoded.quarantine] == [(0, None)]


def test_a_delete_that_needs_its_key_alone_is_not_looked_at() -> None:
    encoded = loaded(delete(0, file(1, 5_000_000, None), schema=FILES))
    assert sizes(encoded) == [(1, None, None, None)]
    assert encoded.quarantine == ()
    kept = loaded(delete(0, file(1, 5_000_000, 8), schema=FILES), mode=Mode.SOFT_DELETE)
    assert (sizes(kept), [q.column for q in kept.quarantine]) == ([(1, None, 8, "é")], ["a"])


def test_an_update_of_a_large_row_to_a_small_one_is_a_row_like_any_other() -> None:
    made = change(0, Op.UPDATE, file(1, 1, 2), schema=FILES)
    envelope = replace(made.envelope, before=file(1, 5_000_000, None))
    encoded = loaded(replace(made, envelope=envelope, size_bytes=len(envelope.encode())))
    assert (sizes(encoded), encoded.quarantine) == ([(1, 1, 2, "é")], ())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_value_takes_little_more_in_a_row_than_in_a_record(case: TypeCase) -> None:
    """So that no record is overlooked whose row is over the limit, though it have as many columns as Redshift allows."""
    margin = (ROW_BYTES_MAX - RECORD_BYTES_UNSEEN) / COLUMNS_MAX
    for value in case.values:
        read, _ = read_column(case.column, [value])
        array, _ = fit(read, case.column, ColumnType.of(case.column))
        assert value_sizes([array], 0)[0] <= len(orjson.dumps(value)) + margin


@given(st.lists(st.integers(0, 3 * ROW_BYTES_MAX), max_size=8), st.sets(st.integers(0, 7)))
def test_what_is_left_fits_and_nothing_more_could_stay(sizes: list[int], may: set[int]) -> None:
    may_be_null = sorted(place for place in may if place < len(sizes))
    places = giving_way(sizes, may_be_null)
    if places is None:
        assert sum(size for place, size in enumerate(sizes) if place not in may_be_null) > ROW_BYTES_MAX
        return
    assert set(places) <= set(may_be_null)
    left = sum(size for place, size in enumerate(sizes) if place not in places)
    assert left <= ROW_BYTES_MAX
    if places:
        assert left + sizes[places[-1]] > ROW_BYTES_MAX
        assert min(sizes[place] for place in places) >= max((sizes[p] for p in may_be_null if p not in places), default=0)
