from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Op
from contracts.table import Column, Kind, TableSchema
from loader.core.collapse import latest
from tests.loader.core.rowmaker import ORDERS, change, delete, upsert


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans())))
def test_the_last_change_of_each_key_is_left_in_offset_order(events: list[tuple[int, bool]]) -> None:
    changes = [delete(i, {"id": n}) if gone else upsert(i, {"id": n}) for i, (n, gone) in enumerate(events)]
    last = {n: i for i, (n, _) in enumerate(events)}
    assert [c.offset for c in latest(changes, ("id",))] == sorted(last.values())


def test_the_bytes_of_the_message_key_name_a_row_and_not_its_values() -> None:
    changes = [upsert(0, {"id": 1}, key=b'{"id":1}'), upsert(1, {"id": 1}, key=b'{"id":"1"}')]
    assert latest(changes, ("id",)) == changes


def test_a_change_without_a_message_key_is_named_by_its_row() -> None:
    keyed, bare = upsert(0, {"id": 1}), change(1, Op.UPDATE, {"id": 1})
    bare = type(bare)(bare.offset, None, bare.envelope, bare.size_bytes)
    assert [c.offset for c in latest([keyed, bare], ("id",))] == [1]


def test_rows_whose_keys_are_different_zero_dates_stay_apart() -> None:
    schema = TableSchema(ORDERS.table, (Column("day", Kind.DATE, nullable=False),), ("day",))
    changes = [
        upsert(0, {"day": None}, schema=schema, raw={"day": "0000-00-00"}),
        upsert(1, {"day": None}, schema=schema, raw={"day": "2024-00-00"}),
    ]
    assert latest(changes, schema.key) == changes


def test_a_zero_date_outside_the_key_keeps_nothing_apart() -> None:
    changes = [upsert(0, {"id": 1, "d": None}, raw={"d": "0000-00-00"}), upsert(1, {"id": 1, "d": None}, raw={"d": "0000-00-00"})]
    assert [c.offset for c in latest(changes, ("id",))] == [1]
