from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Op, Row, Value
from contracts.table import Column, Kind, TableSchema
from loader.core.collapse import latest, looked_for_in_vain
from loader.core.records import Change
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


EVENTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["upsert", "delete", "vain"])), max_size=12)


@given(EVENTS)
def test_a_row_that_was_looked_for_in_vain_is_kept_as_the_changes_before_tell_it(events: list[tuple[int, str]]) -> None:
    made = {"upsert": upsert, "delete": delete, "vain": vain}
    changes = [made[kind](i, {"id": n, "name": str(i)}) for i, (n, kind) in enumerate(events)]
    expected: dict[int, tuple[int, Op, str | None]] = {}
    for i, (n, kind) in enumerate(events):
        if kind != "vain":
            expected[n] = (i, Op.CREATE if kind == "upsert" else Op.DELETE, str(i))
        elif n in expected and expected[n][2] is not None:
            expected[n] = (expected[n][0], Op.DELETE, expected[n][2])
        else:
            expected[n] = (i, Op.DELETE, None)
    found = latest(changes, ("id",), keep_gone=True)
    assert [told(one) for one in found] == sorted(expected.values())


def test_a_merged_row_that_was_looked_for_in_vain_goes() -> None:
    assert [told(one) for one in latest([upsert(0, {"id": 1, "name": "0"}), vain(1, {"id": 1})], ("id",))] == [(1, Op.DELETE, None)]


def test_a_row_that_was_read_and_then_looked_for_in_vain_is_deleted_as_it_was_read() -> None:
    (kept,) = latest([change(0, Op.READ, {"id": 1, "name": "0"}, snapshot=True), vain(1, {"id": 1})], ("id",), keep_gone=True)
    assert told(kept) == (0, Op.DELETE, "0")
    assert not looked_for_in_vain(kept)


def vain(offset: int, row: Row) -> Change:
    return change(offset, Op.DELETE, {"id": row["id"]}, snapshot=True)


def told(one: Change) -> tuple[int, Op, Value]:
    image = one.envelope.before if one.envelope.op is Op.DELETE else one.envelope.after
    assert image is not None
    return one.offset, one.envelope.op, image.get("name")
