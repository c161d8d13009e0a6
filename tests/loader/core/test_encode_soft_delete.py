"""What soft_delete mode stages: rows whole, a delete's as its last, and keys alone where a row can't be formed."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Op, Row
from contracts.table import Column, Kind, TableSchema
from loader.core.encode import encode
from loader.core.plan import EncodedBatch, Mode
from loader.core.records import Change
from tests.loader.core.rowmaker import ORDERS, batch_of, change, delete, staged, target_of, upsert

TARGET = target_of(mode=Mode.SOFT_DELETE)


def row(number: int, name: str | None = "a", total: str | None = "1.00") -> Row:
    return {"id": number, "name": name, "total": total}


def soft(*changes: Change) -> EncodedBatch:
    return encode(batch_of(changes), TARGET)


def brief(found: Mapping[str, Any]) -> tuple[Any, ...]:
    return found["id"], found["name"], found["_tidemark_deleted"], found["_tidemark_bare"]


def test_a_delete_is_staged_as_the_last_row_of_its_key() -> None:
    encoded = soft(upsert(0, row(1, "a")), delete(1, row(2, "b", "2.00")), upsert(2, row(3, "c")), delete(3, row(3, "c")))
    assert [brief(found) for found in staged(encoded)] == [(1, "a", False, False), (2, "b", True, False), (3, "c", True, False)]
    assert staged(encoded)[1]["total"] == Decimal("2.00")
    assert (encoded.records, encoded.superseded, encoded.applied, encoded.quarantined) == (4, 1, 3, 0)


def test_a_row_inserted_again_is_a_row_like_any_other() -> None:
    assert [brief(found) for found in staged(soft(delete(0, row(1, "a")), upsert(1, row(1, "b"))))] == [(1, "b", False, False)]


@pytest.mark.parametrize(
    "gone",
    [
        change(0, Op.DELETE, None, key=b'{"id":1}', oversize=9_000_000),
        change(0, Op.DELETE, {"id": 1}),
        change(0, Op.DELETE, {"id": 1, "name": "a"}),
        change(0, Op.DELETE, {**row(1), "extra": 1}),
        change(0, Op.DELETE, None, key=b'{"id":1}'),
    ],
)
def test_a_delete_without_its_whole_row_marks_its_key_and_is_named(gone: Change) -> None:
    encoded = soft(gone)
    assert [brief(found) for found in staged(encoded)] == [(1, None, True, True)]
    assert (encoded.applied, encoded.quarantined) == (0, 1)
    assert [(entry.key, entry.column) for entry in encoded.quarantine] == [('{"id":1}', None)]


def test_a_row_that_was_looked_for_in_vain_marks_its_key_and_needs_no_name() -> None:
    encoded = soft(change(0, Op.DELETE, {"id": 1}, snapshot=True), upsert(1, row(2)))
    assert [brief(found) for found in staged(encoded)] == [(1, None, True, True), (2, "a", False, False)]
    assert (encoded.applied, encoded.quarantined, encoded.bare) == (2, 0, True)
    assert not soft(upsert(0, row(1))).bare


def test_a_row_that_came_and_was_looked_for_in_vain_in_one_batch_is_kept_as_it_last_was() -> None:
    vain = [change(at, Op.DELETE, {"id": at - 10}, snapshot=True) for at in (11, 12, 13, 14)]
    encoded = soft(
        upsert(0, row(1, "a")), delete(1, row(2, "b")), change(2, Op.READ, row(3, "c"), snapshot=True), *vain, upsert(15, row(2))
    )
    assert [brief(found) for found in staged(encoded)] == [
        (1, "a", True, False),
        (3, "c", True, False),
        (4, None, True, True),
        (2, "a", False, False),
    ]
    assert (encoded.records, encoded.superseded, encoded.applied, encoded.quarantined) == (8, 4, 4, 0)


@pytest.mark.parametrize(
    "lost",
    [change(0, Op.UPDATE, None, key=b'{"id":1}', oversize=9_000_000), change(0, Op.CREATE, {"id": 1, "name": "a"}, key=b'{"id":1}')],
)
def test_a_row_that_can_not_be_formed_goes_as_a_merged_one_does(lost: Change) -> None:
    encoded = soft(lost)
    assert [brief(found) for found in staged(encoded)] == [(1, None, False, True)]
    assert (encoded.applied, encoded.quarantined) == (0, 1)


def test_a_key_that_does_not_fit_stages_nothing() -> None:
    encoded = soft(upsert(0, row(2**40)), delete(1, row(2**41)), change(2, Op.DELETE, None, oversize=5))
    assert (encoded.parquet, encoded.rows, encoded.quarantined) == (None, 0, 3)


def test_a_deleted_rows_value_that_does_not_fit_is_null_and_kept_like_any_other() -> None:
    encoded = soft(delete(0, row(1, "much too long")))
    assert [brief(found) for found in staged(encoded)] == [(1, None, True, False)]
    assert (encoded.applied, encoded.quarantined, encoded.values_nulled) == (1, 0, 1)
    assert [(entry.column, entry.raw) for entry in encoded.quarantine] == [("name", '"much too long"')]


def test_a_column_that_takes_no_null_leaves_the_key_alone() -> None:
    strict = replace(TARGET, columns=(TARGET.columns[0], replace(TARGET.columns[1], nullable=False), TARGET.columns[2]))
    encoded = encode(batch_of([upsert(0, row(1, None)), delete(1, row(2, None)), delete(2, row(3)), delete(3, {"id": 4})]), strict)
    assert [brief(found) for found in staged(encoded)] == [
        (1, None, False, True),
        (2, None, True, True),
        (3, "a", True, False),
        (4, None, True, True),
    ]
    assert [found["total"] for found in staged(encoded)] == [None, None, Decimal("1.00"), None]
    assert (encoded.applied, encoded.quarantined) == (1, 3)


def test_deleted_rows_whose_keys_are_zero_dates_are_quarantined_each_for_itself() -> None:
    schema = TableSchema(ORDERS.table, (Column("day", Kind.DATE, nullable=False),), ("day",))
    zero = [delete(i, {"day": None}, schema=schema, raw={"day": text}) for i, text in enumerate(["0000-00-00", "2024-00-00"])]
    encoded = encode(batch_of([*zero, delete(2, {"day": 5}, schema=schema)], schema), target_of(schema, Mode.SOFT_DELETE))
    assert (encoded.rows, encoded.applied, encoded.quarantined) == (1, 1, 2)


def test_a_truncate_stages_nothing_and_counts() -> None:
    assert soft(change(0, Op.TRUNCATE, None)) == EncodedBatch(None, 0, 1, 0, 1, 0, 0)


KINDS = st.sampled_from(["upsert", "delete", "oversize", "bare delete"])


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), KINDS), max_size=20))
def test_the_last_event_of_a_key_says_what_is_staged_of_it(events: list[tuple[int, str, str]]) -> None:
    made = {
        "upsert": lambda at, number, name: upsert(at, row(number, name)),
        "delete": lambda at, number, name: delete(at, row(number, name)),
        "oversize": lambda at, number, name: change(at, Op.UPDATE, None, key=b'{"id":%d}' % number, oversize=9_000_000),
        "bare delete": lambda at, number, name: change(at, Op.DELETE, None, key=b'{"id":%d}' % number, oversize=9_000_000),
    }
    encoded = soft(*(made[kind](at, number, name) for at, (number, name, kind) in enumerate(events)))
    last = {number: (name, kind) for number, name, kind in events}
    assert {found["id"]: brief(found)[1:] for found in staged(encoded)} == {
        number: {
            "upsert": (name, False, False),
            "delete": (name, True, False),
            "oversize": (None, False, True),
            "bare delete": (None, True, True),
        }[kind]
        for number, (name, kind) in last.items()
    }
    # What makes the commit's count of inserted rows certain.
    assert sum(found["_tidemark_bare"] for found in staged(encoded)) == encoded.quarantined
