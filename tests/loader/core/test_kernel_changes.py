"""Row changes read by the kernel come to what the readable way makes of them: every type, in every mode, and what it leaves."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from random import Random

import pytest

from contracts.envelope import Op, Row, Value
from contracts.table import Column, Kind, TableSchema
from loader.core.plan import Mode, TargetColumn
from loader.core.records import Record, Records
from tests.decoders import needs_kernel
from tests.loader.core.collecting import Step, alike, loaded_alike, sent, swapped
from tests.loader.core.rowmaker import ORDERS, target_of
from tests.loader.core.typecases import CASES, TypeCase, b64

pytestmark = needs_kernel

ID = Column("id", Kind.INT, nullable=False)


def schema_of(*columns: Column, key: Sequence[str] = ("id",)) -> TableSchema:
    return TableSchema(ORDERS.table, columns, tuple(key))


def written(value: Value) -> Value:
    """As the streamer writes it."""
    return {"wkb": value["wkb"], "srid": value["srid"]} if isinstance(value, dict) else value


def values_of(case: TypeCase) -> list[Value]:
    return [written(value) for value in case.values]


def changed_rows(values: Sequence[Value], schema: TableSchema) -> list[Record]:
    """Every value created, read, put in the place of another, moved to another key, and deleted."""
    at = count()
    out: list[Record] = []
    for number, value in enumerate(values):
        row: Row = {"id": number, "c": value}
        out.append(sent(next(at), Op.CREATE if number % 2 else Op.READ, row, schema=schema))
    for number, value in enumerate(values):
        old: Row = {"id": number, "c": value}
        new: Row = {"id": number, "c": values[number - 1]}
        moved: Row = {"id": number + 100, "c": value}
        out.append(sent(next(at), Op.UPDATE, new, before=old, schema=schema))
        out.append(sent(next(at), Op.DELETE, old, schema=schema, key_change=True))
        out.append(sent(next(at), Op.CREATE, moved, schema=schema, key_change=True))
        out.append(sent(next(at), Op.DELETE, {"id": number + 200, "c": value}, schema=schema))
    return out


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_value_of_every_type_is_read_by_the_kernel(case: TypeCase, mode: Mode) -> None:
    schema = schema_of(ID, case.column)
    found = loaded_alike(changed_rows(values_of(case), schema), schemas=[schema], mode=mode)
    assert found.left == []
    (part,) = found.parts
    assert part.encoded.quarantine == ()
    assert part.encoded.rows == part.rows - part.encoded.superseded


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_type_may_be_part_of_a_key(case: TypeCase, mode: Mode) -> None:
    schema = schema_of(replace(case.column, nullable=False), Column("v", Kind.INT), key=("c",))
    rows: list[Row] = [{"c": value, "v": number} for number, value in enumerate(values_of(case)[1:] * 2)]
    records = [sent(at, Op.CREATE, row, schema=schema) for at, row in enumerate(rows)]
    records += [sent(len(records) + at, Op.DELETE, row, schema=schema) for at, row in enumerate(rows[:1])]
    found = loaded_alike(records, schemas=[schema], mode=mode)
    assert (found.left, found.parts[0].encoded.superseded) == ([], len(rows) // 2 + 1)


@pytest.mark.parametrize("mode", Mode)
def test_a_table_of_all_types_is_read_by_the_kernel(mode: Mode) -> None:
    columns = [replace(case.column, name=f"C{number}") for number, case in enumerate(CASES)]
    schema = schema_of(*columns[:20], ID, *columns[20:])
    rows: list[Row] = []
    for turn in range(8):
        values = {f"C{number}": values_of(case)[turn % len(case.values)] for number, case in enumerate(CASES)}
        rows.append({name: turn % 3 if name == "id" else values[name] for name in schema.by_name})
    records = [sent(at, Op.UPDATE, row, before=rows[at - 1], schema=schema) for at, row in enumerate(rows)]
    assert loaded_alike(records, schemas=[schema], mode=mode).left == []


def test_rows_of_a_table_without_a_key_are_all_kept() -> None:
    schema = schema_of(ID, Column("c", Kind.TEXT, length=255, charset="utf8mb4"), key=())
    records = [sent(at, op, {"id": 1, "c": "a"}, schema=schema) for at, op in enumerate([Op.CREATE, Op.CREATE, Op.DELETE])]
    found = loaded_alike(records, schemas=[schema])
    assert (found.left, found.parts[0].keys, found.parts[0].encoded.rows) == ([], (None, None, None), 3)


def test_columns_named_as_json_would_not_write_them_are_found() -> None:
    names = ('we"ird\\', "né\u2028", "tab\t", " ", "😀", "\x7f")
    schema = schema_of(ID, *(Column(name, Kind.INT) for name in names))
    records = [sent(at, Op.CREATE, {"id": at, **dict.fromkeys(names, at)}, schema=schema) for at in range(3)]
    assert loaded_alike(records, schemas=[schema]).left == []


# Dates that are none.

DAYS = schema_of(Column("day", Kind.DATE, nullable=False), Column("n", Kind.INT), Column("seen", Kind.DATETIME), key=("day", "n"))


@pytest.mark.parametrize("mode", Mode)
def test_a_zero_date_outside_of_the_key_is_null(mode: Mode) -> None:
    rows: list[Row] = [{"day": at % 2, "n": 1, "seen": None} for at in range(5)]
    ops = [Op.CREATE, Op.CREATE, Op.UPDATE, Op.DELETE, Op.READ]
    records = [sent(at, op, rows[at], schema=DAYS, raw={"seen": "0000-00-00 00:00:00"}) for at, op in enumerate(ops)]
    assert loaded_alike(records, schemas=[DAYS], mode=mode).left == []


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE])
@pytest.mark.parametrize("op", [Op.CREATE, Op.UPDATE, Op.DELETE])
def test_a_zero_date_in_the_key_is_left_and_stands_alone(mode: Mode, op: Op) -> None:
    zero: Row = {"day": None, "n": 1, "seen": 5}
    good: Row = {"day": 3, "n": 1, "seen": 5}
    records = [
        sent(0, Op.CREATE, good, schema=DAYS),
        *(sent(at, op, zero, schema=DAYS, raw={"day": text}) for at, text in enumerate(("0000-00-00", "2024-00-00", "0000-00-00"), 1)),
        sent(4, Op.UPDATE, good, schema=DAYS),
    ]
    found = loaded_alike(records, schemas=[DAYS], mode=mode)
    assert found.left == [1, 2, 3]
    assert (found.parts[0].encoded.superseded, found.parts[0].encoded.quarantined) == (1, 3)


def test_a_zero_date_in_the_key_of_an_event_is_null_like_any_other() -> None:
    records = [sent(at, Op.CREATE, {"day": None, "n": at, "seen": 5}, schema=DAYS, raw={"day": "0000-00-00"}) for at in range(3)]
    found = loaded_alike(records, schemas=[DAYS], mode=Mode.APPEND)
    assert (found.left, found.parts[0].encoded.rows) == ([], 3)


NOTES = schema_of(ID, Column("day", Kind.DATE), Column("note", Kind.VARCHAR, length=9, charset="cp1256"), Column("real", Kind.FLOAT))


@pytest.mark.parametrize("mode", Mode)
def test_what_json_cannot_carry_and_is_no_date_is_left(mode: Mode) -> None:
    raws = [
        {"day": "0000-00-00"},
        {"note": "0x8A"},
        {"day": "0000-00-00", "real": "nan"},
        {"day": "2024-00-00", "other": "x"},
        {"note": "0x9A"},
    ]
    ops = [Op.CREATE, Op.READ, Op.UPDATE, Op.CREATE, Op.DELETE]
    records = [
        sent(at, op, {"id": at, "day": None, "note": None, "real": None}, schema=NOTES, raw=raw)
        for at, (op, raw) in enumerate(zip(ops, raws, strict=True))
    ]
    found = loaded_alike(records, schemas=[NOTES], mode=mode)
    assert found.left == [1, 2, 4]
    kept = [(entry.offset, entry.column) for entry in found.parts[0].encoded.quarantine]
    assert kept == [(1, "note"), (2, "real"), (4, "note")][: 2 if mode is Mode.MERGE else 3]


# What is left to the readable way for its form, among good rows of the same keys.


def good(offset: int, number: int, op: Op = Op.CREATE, name: str = "ok") -> Record:
    return sent(offset, op, {"id": number, "name": name, "total": "1.00"})


def strange(offset: int, number: int) -> dict[str, Record]:
    """Records of `number` in forms that the kernel leaves."""
    row: Row = {"id": number, "name": "x", "total": "2.00"}
    key = b'{"id":%d}' % number
    plain = sent(offset, Op.UPDATE, row)
    return {
        "too large": sent(offset, Op.UPDATE, {"id": number}, oversize=9_000_000),
        "too large and gone": sent(offset, Op.DELETE, {"id": number}, oversize=9_000_000),
        "too large, without its key": sent(offset, Op.DELETE, None, key=key, oversize=9_000_000),
        "no row": sent(offset, Op.UPDATE, None, key=key),
        "a column less": sent(offset, Op.UPDATE, {"id": number, "name": "x"}),
        "a column less, gone": sent(offset, Op.DELETE, {"id": number}),
        "a column more": sent(offset, Op.UPDATE, {**row, "more": 1}),
        "another order": sent(offset, Op.UPDATE, {"total": "2.00", "id": number, "name": "x"}),
        "another order, gone": sent(offset, Op.DELETE, {"total": "2.00", "id": number, "name": "x"}),
        "both images of a delete": swapped(sent(offset, Op.DELETE, row), b'"after":null', b'"after":{"id":1,"name":"y","total":"0"}'),
        "white space": swapped(plain, b'"after":{', b'"after": {'),
        "a line end": replace(plain, value=(plain.value or b"") + b"\n"),
        "an unknown field": swapped(plain, b'"ev":0', b'"ev":0,"more":[1,{"a":2}]'),
        "a column twice": swapped(plain, b'"after":{"id":', b'"after":{"name":"first","id":'),
        "without a message key": replace(plain, key=None),
        "an escaped GTID": swapped(plain, b'"gtid":"3e', b'"gtid":"\\u0033e'),
        "a number that is not whole": swapped(plain, b'"after":{"id":%d' % number, b'"after":{"id":%d.0' % number),
    }


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", strange(0, 0))
def test_the_last_of_a_key_wins_whichever_way_it_was_read(name: str, mode: Mode) -> None:
    left = [strange(1, 1)[name], strange(3, 2)[name], strange(5, 3)[name], strange(6, 3)[name]]
    records = [good(0, 1), left[0], good(2, 2), left[1], good(4, 2, name="last"), left[2], left[3], good(7, 4), good(8, 1, Op.DELETE)]
    found = loaded_alike(records, mode=mode)
    needs_no_key = name == "without a message key" and mode is Mode.APPEND
    assert found.left == ([] if needs_no_key else [1, 3, 5, 6])


def test_a_field_of_source_that_is_missing_is_corrupt_alike() -> None:
    found = alike([Records.of(good(0, 1), swapped(good(1, 1), b'"server_id":1,', b"")), 2, None])
    assert found.error == ("Corrupt", "tm.shop.orders at offset 1: not an envelope: KeyError 'server_id'")


def test_a_column_dropped_at_the_source_stays_null_in_the_target() -> None:
    target = target_of()
    kept = replace(target, columns=(*target.columns[:2], TargetColumn("gone", "gone", "VARCHAR(5)"), target.columns[2]))
    assert loaded_alike([good(0, 1), strange(1, 2)["a column more"], good(2, 3)], targets=[kept]).left == [1]


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE])
def test_a_column_that_takes_no_null_leaves_a_row_that_has_one(mode: Mode) -> None:
    target = target_of(mode=mode)
    strict = replace(target, columns=(target.columns[0], replace(target.columns[1], nullable=False), target.columns[2]))
    empty: Row = {"id": 2, "name": None, "total": None}
    records = [
        good(0, 1),
        sent(1, Op.CREATE, empty),
        sent(2, Op.DELETE, {**empty, "id": 3}),
        good(3, 2, Op.DELETE),
        sent(4, Op.READ, empty),
    ]
    found = loaded_alike(records, targets=[strict])
    assert found.left == ([1, 4] if mode is Mode.MERGE else [1, 2, 4])


def test_a_target_that_does_not_suit_the_schema_is_refused_alike() -> None:
    target = target_of()
    steps: list[Step] = [Records.of(good(0, 1)), 1, None]
    lacking = alike(steps, targets=[replace(target, columns=target.columns[:2])])
    assert lacking.error is not None
    assert "no column for" in lacking.error[1]
    keyed = schema_of(*ORDERS.columns, key=("id", "name"))
    other = alike(
        [Records.of(sent(0, Op.CREATE, {"id": 1, "name": "a", "total": "1"}, schema=keyed)), 1, None], schemas=[keyed], targets=[target]
    )
    assert other.error is not None
    assert "its key is" in other.error[1]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_column_whose_target_was_made_for_another_type_is_judged_alike(case: TypeCase) -> None:
    """As the warehouse's column may be when the source's was altered."""
    schema = schema_of(ID, case.column)
    nothing = [sent(at, Op.CREATE, {"id": at, "c": None}, schema=schema) for at in range(2)]
    records = [sent(at, Op.CREATE, {"id": at, "c": value}, schema=schema) for at, value in enumerate(values_of(case))]
    bits: Row = {"id": 99, "c": b64(b"\xff" * 8)}
    records += [sent(len(records), Op.CREATE, bits, schema=schema)]
    target = target_of(schema)
    for sql in sorted({other.sql for other in CASES} | {"DECIMAL(4,1)", "DECIMAL(38,4)", "DECIMAL(3,3)", "VARCHAR(3)", "VARBYTE(2)"}):
        altered = replace(target, columns=(target.columns[0], replace(target.columns[1], sql_type=sql)))
        for some in (nothing, records):
            alike([Records.of(*some), len(some), None], schemas=[schema], targets=[altered])


# Rows that were looked for in vain.

PAIRS = schema_of(ID, Column("n", Kind.INT, nullable=False), key=("id", "n"))


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("seed", range(20))
def test_rows_that_were_looked_for_in_vain_come_to_the_same(mode: Mode, seed: int) -> None:
    rng, records = Random(seed), list[Record]()
    for at in range(30):
        row: Row = {"id": rng.randrange(6), "name": "much too long" if rng.random() < 0.1 else "a", "total": f"{at}.00"}
        raw = {"name": "?"} if rng.random() < 0.1 else {}
        kind = rng.choice(("sent", "sent", "read", "gone", "vain", "vain"))
        if kind == "vain":
            records.append(sent(at, Op.DELETE, {"id": row["id"]}, snapshot=True))
        elif kind == "read":
            records.append(sent(at, Op.READ, {**row, "name": None} if raw else row, snapshot=True, raw=raw))
        else:
            records.append(sent(at, Op.DELETE if kind == "gone" else Op.UPDATE, row))
    assert loaded_alike(records, mode=mode).parts[0].encoded.rows


@pytest.mark.parametrize("before", [Op.CREATE, Op.DELETE, None])
def test_a_row_of_nothing_but_its_key_is_left_when_it_was_looked_for_in_vain(before: Op | None) -> None:
    row: Row = {"id": 1, "n": 2}
    records = [sent(0, before or Op.CREATE, row if before else {"id": 3, "n": 4}, schema=PAIRS)]
    records.append(sent(1, Op.DELETE, row, schema=PAIRS, snapshot=True))
    found = loaded_alike(records, schemas=[PAIRS], mode=Mode.SOFT_DELETE)
    assert found.left == [1]
    assert (found.parts[0].encoded.superseded, found.parts[0].encoded.bare) == ((1, False) if before else (0, True))
