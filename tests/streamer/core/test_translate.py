"""Row changes as envelopes: keys, key changes, images with holes, rows too large."""

import pytest

from contracts.envelope import Envelope, Op
from contracts.errors import Corrupt
from contracts.table import Column, Kind, TableId, TableSchema
from streamer.core.events import Change
from streamer.core.route import Route
from streamer.core.rows import RowChange
from streamer.core.translate import KeyChange, Origin, identity, key_changes, message, truncate_message

COLUMNS = (Column("id", Kind.INT, nullable=False), Column("day", Kind.DATE), Column("note", Kind.TEXT))
WAY = Route("p.shop.orders", 0, TableSchema(TableId("shop", "orders"), COLUMNS, ("id",)))
KEYLESS = Route("p.shop.orders", 0, TableSchema(TableId("shop", "orders"), COLUMNS))
ORIGIN = Origin("p", 1, "11111111-2222-3333-4444-555555555555:7", "b.1", 99, 1000, 2000)


def update(before: dict[str, object], after: dict[str, object], **more: object) -> RowChange:
    return RowChange(Change.UPDATE, before, after, **more)  # type: ignore[arg-type]  # JSON values of a test


def test_insert_update_and_delete_are_one_change_each() -> None:
    row: dict[str, object] = {"id": 1, "day": 2, "note": "x"}
    assert key_changes(RowChange(Change.INSERT, None, row), WAY) == (KeyChange(Op.CREATE, None, row),)  # type: ignore[arg-type]
    assert key_changes(RowChange(Change.DELETE, row, None), WAY) == (KeyChange(Op.DELETE, row, None),)  # type: ignore[arg-type]
    later = {**row, "note": "y"}
    assert key_changes(update(row, later), WAY) == (KeyChange(Op.UPDATE, row, later),)  # type: ignore[arg-type]


def test_a_changed_key_is_a_delete_of_the_old_and_a_create_of_the_new() -> None:
    before: dict[str, object] = {"id": 1, "day": None, "note": "x"}
    deleted, created = key_changes(
        update(before, {**before, "id": 2}, raw_before={"day": "0000-00-00"}, raw_after={"day": "2024-00-00"}), WAY
    )
    assert (deleted.op, deleted.before, deleted.after, deleted.raw) == (Op.DELETE, before, None, {"day": "0000-00-00"})
    assert (created.op, created.before, created.after, created.raw) == (Op.CREATE, None, {**before, "id": 2}, {"day": "2024-00-00"})
    assert deleted.key_change
    assert created.key_change


def test_two_values_json_cannot_carry_are_told_apart_in_a_key() -> None:
    way = Route("t", 0, TableSchema(TableId("shop", "orders"), COLUMNS, ("day",)))
    row: dict[str, object] = {"id": 1, "day": None, "note": "x"}
    same = update(row, row, raw_before={"day": "0000-00-00"}, raw_after={"day": "0000-00-00"})
    other = update(row, row, raw_before={"day": "0000-00-00"}, raw_after={"day": "2024-00-00"})
    assert [len(key_changes(change, way)) for change in (same, other)] == [1, 2]


def test_columns_an_update_leaves_out_come_from_before_in_column_order() -> None:
    before: dict[str, object] = {"id": 1, "day": None, "note": "x"}
    change = update(before, {"note": "y", "id": 1}, absent_after=("day",), raw_before={"day": "2024-00-00", "note": "raw"})
    (made,) = key_changes(change, WAY)
    assert list((made.after or {}).items()) == [("id", 1), ("day", None), ("note", "y")]
    assert made.raw == {"day": "2024-00-00"}


@pytest.mark.parametrize(
    ("change", "way", "column"),
    [
        (RowChange(Change.INSERT, None, {"id": 1, "note": "x"}, absent_after=("day",)), WAY, "day"),
        (RowChange(Change.UPDATE, {"id": 1}, {"note": "x"}, absent_before=("day", "note"), absent_after=("id", "day")), WAY, "day"),
        (RowChange(Change.DELETE, {"note": "x"}, None, absent_before=("id", "day")), WAY, "id"),
        (RowChange(Change.UPDATE, {"note": "x"}, {"id": 1, "day": 1, "note": "x"}, absent_before=("id", "day")), WAY, "id"),
        (RowChange(Change.DELETE, {"id": 1, "note": "x"}, None, absent_before=("day",)), KEYLESS, "day"),
    ],
)
def test_a_column_nobody_told_halts_by_table_column_and_setting(change: RowChange, way: Route, column: str) -> None:
    with pytest.raises(Corrupt) as raised:
        key_changes(change, way)
    assert raised.value.fields == {"table": "shop.orders", "column": column}
    assert "SET PERSIST binlog_row_image = FULL" in raised.value.message


def test_a_delete_that_tells_its_key_is_enough_where_there_is_one() -> None:
    assert key_changes(RowChange(Change.DELETE, {"id": 1}, None, absent_before=("day", "note")), WAY)[0].before == {"id": 1}


def test_the_record_has_the_key_and_says_where_it_comes_from() -> None:
    change = KeyChange(Op.CREATE, None, {"id": 1, "day": None, "note": "x"}, {"day": "0000-00-00"}, key_change=True)
    made = message(change, WAY, ORIGIN, seq=5, ev=3, now_ms=9, bytes_max=10_000)
    envelope = Envelope.decode(made.value)
    assert (made.topic, made.key, made.partition) == ("p.shop.orders", b'{"id":1}', 0)
    source = envelope.source
    assert (source.name, source.gtid, source.file, source.pos, source.seq, source.ev) == ("p", ORIGIN.gtid, "b.1", 99, 5, 3)
    assert (source.ts_ms, source.commit_ts_us, envelope.ts_ms, source.schema) == (1000, 2000, 9, WAY.schema.fingerprint)
    assert (source.raw, source.key_change) == ({"day": "0000-00-00"}, True)


def test_a_deleted_row_is_keyed_by_what_it_was() -> None:
    change = KeyChange(Op.DELETE, {"id": 8, "day": None, "note": "x"}, None)
    assert message(change, WAY, ORIGIN, seq=0, ev=0, now_ms=9, bytes_max=10_000).key == b'{"id":8}'


def test_a_row_too_large_is_sent_as_its_key_and_how_large_it_was() -> None:
    change = KeyChange(Op.UPDATE, {"id": 1, "day": None, "note": "x"}, {"id": 1, "day": None, "note": "y" * 2000}, {"day": "0000-00-00"})
    whole = message(change, WAY, ORIGIN, seq=5, ev=3, now_ms=9, bytes_max=10_000)
    size = len(whole.value) + len(whole.key or b"")
    assert message(change, WAY, ORIGIN, seq=5, ev=3, now_ms=9, bytes_max=size) == whole
    short = message(change, WAY, ORIGIN, seq=5, ev=3, now_ms=9, bytes_max=size - 1)
    envelope = Envelope.decode(short.value)
    assert (short.key, envelope.before, envelope.after) == (whole.key, {"id": 1}, {"id": 1})
    assert (envelope.source.oversize, envelope.source.raw) == (size, {})
    assert b"yyy" not in short.value


def test_a_truncate_has_neither_key_nor_row_nor_schema() -> None:
    made = truncate_message(TableId("shop", "orders"), "p.shop.orders", ORIGIN, seq=4, now_ms=9)
    envelope = Envelope.decode(made.value)
    assert (made.key, envelope.op, envelope.before, envelope.after, envelope.source.schema, envelope.source.seq) == (
        None,
        Op.TRUNCATE,
        None,
        None,
        "",
        4,
    )


def test_a_row_is_known_again_by_what_changed_and_where() -> None:
    first = (KeyChange(Op.CREATE, None, {"id": 1, "day": None, "note": "x"}),)
    same = identity(first, "t")
    assert same == identity((KeyChange(Op.CREATE, None, {"id": 1, "day": None, "note": "x"}),), "t")
    others = [
        identity(first, "u"),
        identity((KeyChange(Op.READ, None, first[0].after),), "t"),
        identity((KeyChange(Op.CREATE, None, first[0].after, {"day": "0000-00-00"}),), "t"),
        identity((KeyChange(Op.CREATE, None, {"id": 1, "day": None, "note": "z"}),), "t"),
        identity((KeyChange(Op.CREATE, first[0].after, None),), "t"),
    ]
    assert len({same, *others}) == 6
    assert same.startswith(b"t c ")
