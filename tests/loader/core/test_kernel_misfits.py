"""Values that do not fit, or are not of their form, among good ones: the kernel leaves them, and they come out as the readable way says."""

import json
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from contracts.envelope import Op, Row, Value
from contracts.table import Column, Kind, TableSchema
from loader.core.plan import Mode
from loader.core.records import Record, Records
from loader.core.row_limit import RECORD_BYTES_UNSEEN
from tests.decoders import needs_kernel
from tests.loader.core.collecting import alike, loaded_alike, sent
from tests.loader.core.rowmaker import ORDERS
from tests.loader.core.typecases import CASES, POINT, TypeCase, b64

pytestmark = needs_kernel

ID = Column("id", Kind.INT, nullable=False)
DAY_MS = 24 * 60 * 60 * 1000
YEAR_1, YEAR_10000 = -719162, 2932897  # days since 1970


def words(text: str) -> list[str]:
    return text.split()


LITERALS = ["null", "true", "false", "[]", "{}", "[1]", '{"a":1}', '[{"a":[1,"]"]}]', '"x"', '""', '" "']
WHOLE = [0, 1, -1, 127, 128, -129, 255, 256, 2**15 - 1, 2**15, -(2**15) - 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63]
WHOLE += [-(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 10**18, 10**19, 10**30, -(10**30)]
WHOLE += [day + more for day in (YEAR_1, YEAR_10000) for more in (-1, 0)]
WHOLE += [day * DAY_MS * unit + more for unit in (1, 1000) for day in (YEAR_1, YEAR_10000) for more in (-1, 0)]
REAL = words("-0 -0.0 0.0 1.5 1.0 1e3 1E+3 2.5E-3 1e22 1e23 5e-324 1e-400 -1e-400 0.1 1.50 3.4028234663852886e38")
REAL += words("3.4028235677973366e38 -3.4028236e38 1e39 1.7976931348623157e308 9007199254740993.0 0.30000000000000004")
REAL += ["1.00000017881393421514957253748434595763683319091796875", "123456789012345678901234567890.5"]
DECIMALS = words("0 -0 -0.00 1 -1 +1 1. .5 01 001.5 1e2 1E-1 1.2 1.23 1.234 1.230 12345.6 999.99 1000 -1000.00 -5")
DECIMALS += words("18446744073709551615 18446744073709551616 1_0 nan NaN inf -Infinity 0x1 1,5 --1 - . 1.2.3 ١")
DECIMALS += [*("9" * digits for digits in (10, 11, 20, 38, 39)), "1" + "0" * 20, "1" * 35 + "." + "1" * 30, " 1", "1 "]
DECIMALS += ["-" + "9" * 8 + "." + "9" * 30, "0." + "9" * 18, "0." + "9" * 19, "0." + "0" * 30 + "1"]
TIMES = words("1970-01-01T00:00:00Z 0001-01-01T00:00:00Z 0000-12-31T23:59:59Z 9999-12-31T23:59:59.999999Z 10000-01-01T00:00:00Z")
TIMES += words("2023-02-29T00:00:00Z 1900-02-29T00:00:00Z 2000-02-29T00:00:00Z 2024-13-01T00:00:00Z 2024-00-01T00:00:00Z")
TIMES += words("2024-01-01T24:00:00Z 2024-01-01T00:60:00Z 2024-01-01T00:00:60Z 2024-01-01T00:00:00 2024-01-01T00:00:00+00:00")
TIMES += words("2024-01-01T00:00:00+01:00 2024-01-01T00:00:00-0030 2024-01-01T00:00:00z 2024-01-01t00:00:00Z 2024-01-01T00:00Z")
TIMES += words("2024-01-01T00Z 2024-01-01 2024-01-01Z 2024-1-1T00:00:00Z 0000-00-00T00:00:00Z -001-01-01T00:00:00Z")
TIMES += ["2024-01-01 00:00:00Z", *(f"2024-01-01T00:00:00.{'123456789'[:digits]}Z" for digits in range(10))]
BASE64 = [*(b64(bytes(size)) for size in range(10)), *words("Zg Zg= Zg== Zh== Zm9= Z=== ==== = Zg==Zg== Z-_= Zé=="), "Zm9v\n", "Zm 9"]
BASE64 += words("//////////8= /////////38= /////////4A= //////////////8= AAAAAAAAAAAA")
TEXTS = ["'", *("x" * size for size in (255, 256, 1025, 65535, 65536)), "é" * 40, "é" * 1000, "😀" * 10, "\ufffd", "\x7f", "{", '"}', "a\\"]
ESCAPED = words(r'"\u0000" "a\u0000b" "\u00e9" "\ud83d\ude00" "\/\b\f\n\r\t\"\\" "\u0041" "\uFFFF\uffff" "Zg\u003d="')
PLACES = [
    {"wkb": b64(POINT), "srid": 1},
    {"wkb": b64(POINT), "srid": 2**32 - 1},
    {"wkb": b64(POINT), "srid": 2**32},
    {"wkb": b64(POINT), "srid": -1},
    {"wkb": b64(POINT), "srid": 1.0},
    {"wkb": b64(POINT), "srid": "1"},
    {"wkb": b64(POINT), "srid": None, "more": 1},
    {"wkb": b64(POINT)},
    {"srid": 1, "wkb": b64(POINT)},
    {"wkb": "", "srid": None},
    {"wkb": "Zh==", "srid": None},
    {"wkb": None, "srid": None},
]
VECTORS = [
    "[1.0]",
    "[1.0,-0.0,1e22]",
    "[1e21,123456789012345680.0,0.00001]",
    "[1e-7,5e-324,1.5]",
    "[1.50]",
    "[1,2,3]",
    "[1e2]",
    "[1.0,null]",
]
VECTORS += ['["1"]', "[true]", "[1.0, 2.0]", "[-0]", "[[1.0]]", f"[{','.join(['-1.1754944e-38'] * 4)}]", f"[{','.join(['0.5'] * 40)}]"]
VALID = [
    *LITERALS,
    *map(str, WHOLE),
    *REAL,
    *(json.dumps(text, ensure_ascii=False) for text in dict.fromkeys([*DECIMALS, *TIMES, *BASE64, *TEXTS])),
    *ESCAPED,
    *(orjson.dumps(place).decode() for place in PLACES),
    *VECTORS,
]
NO_JSON = [
    "01",
    "+1",
    ".5",
    "1.",
    "1e",
    "--1",
    "1e999",
    "NaN",
    "Infinity",
    "-",
    "tru",
    "nul",
    "'x'",
    '"x',
    '"a\nb"',
    r'"\x"',
    r'"\u12"',
    "[1.0,]",
]
NO_JSON += [r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\u0041"', '{"wkb":}', "[1", "]", "{", "", "1 2", "1-2"]
UNPRINTABLE: list[str | bytes] = [
    b'"\xff"',
    b'"\xc3"',
    b'"\xed\xa0\x80"',
    b'"\xc0\x80"',
    b'"\xf4\x90\x80\x80"',
    b'"\0"',
    b'"\x1f"',
    b"\xef\xbb\xbf1",
]


def schema_of(case: TypeCase) -> TableSchema:
    return TableSchema(ORDERS.table, (ID, case.column), ("id",))


def spelled(offset: int, op: Op, number: int, literal: str | bytes, schema: TableSchema) -> Record:
    """A record of a row whose `c` is written so."""
    values: Row = {"id": number, "c": "@@"}
    record = sent(offset, op, {name: values[name] for name in schema.by_name}, schema=schema)
    literal = literal.encode() if isinstance(literal, str) else literal
    assert record.value is not None
    return replace(
        record,
        key=None if record.key is None else record.key.replace(b'"@@"', literal),
        value=record.value.replace(b'"@@"', literal),
    )


def good_literal(case: TypeCase) -> str:
    value: Value = case.held[0][0]
    if isinstance(value, dict):
        value = {"wkb": value["wkb"], "srid": value["srid"]}
    return orjson.dumps(value).decode()


def mixed(literals: Sequence[str], case: TypeCase, schema: TableSchema) -> list[Record]:
    """Each literal in a row of its own, some of them before a good one or behind it; and in a row that is deleted."""
    fine, out = good_literal(case), list[Record]()

    def add(op: Op, number: int, literal: str) -> None:
        out.append(spelled(len(out), op, number, literal, schema))

    for number, literal in enumerate(literals):
        add(Op.READ, number, literal)
        add(Op.UPDATE, number % 50, fine if number % 3 else literal)
        add(Op.DELETE, number + 1000, literal)
    return out


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_does_not_fit_is_null_and_kept_as_the_readable_way_says(case: TypeCase, mode: Mode) -> None:
    schema = schema_of(case)
    records = mixed(VALID, case, schema)
    found = loaded_alike(records, schemas=[schema], mode=mode)
    encoded = found.parts[0].encoded
    assert encoded.values_nulled > 50
    left = set(found.left)
    assert {entry.offset for entry in encoded.quarantine} <= left
    assert left.isdisjoint(
        at for at, record in enumerate(records) if record == spelled(at, Op.UPDATE, at // 3 % 50, good_literal(case), schema)
    )


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_key_that_does_not_fit_is_named_as_the_readable_way_says(case: TypeCase, mode: Mode) -> None:
    schema = TableSchema(ORDERS.table, (replace(case.column, nullable=False), ID), ("c",))
    found = loaded_alike(mixed(VALID, case, schema), schemas=[schema], mode=mode)
    assert found.parts[0].encoded.quarantined > 20


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_no_json_is_corrupt_alike(case: TypeCase) -> None:
    schema, fine = schema_of(case), good_literal(case)
    for literal in NO_JSON + UNPRINTABLE:
        records = [spelled(at, Op.CREATE, at, literal if at == 1 else fine, schema) for at in range(3)]
        found = alike([Records.of(*records), 3, None], schemas=[schema])
        assert found.error is not None, literal
        assert found.error[0] == "Corrupt"


MEGABYTES = TableSchema(
    ORDERS.table,
    (ID, *(Column(name, Kind.BLOB, length=16_777_215) for name in "ab"), Column("t", Kind.VARCHAR, length=9, charset="utf8mb4")),
    ("id",),
)


@pytest.mark.parametrize("mode", Mode)
def test_a_row_that_is_too_large_is_left_and_loses_its_largest_values(mode: Mode) -> None:
    """As base64 says a value by a third longer, there are records that are looked at for nothing."""
    records: list[Record] = []
    pairs = [(5_000_000, 1), (2_900_000, 3_000_000), (1, 2), (3_999_800, 60), (3_999_940, 60), (2_800_000, None), (4_100_000, 4_000_001)]
    for a, b in pairs:
        row: Row = {"id": len(records), "a": b64(bytes(a)), "b": None if b is None else b64(bytes(b)), "t": "é"}
        records.append(sent(len(records), Op.CREATE, row, schema=MEGABYTES))
    small: Row = {"id": 1, "a": "", "b": "", "t": "x"}
    records.append(sent(len(records), Op.UPDATE, small, before=dict.fromkeys(small, b64(bytes(4_000_000))), schema=MEGABYTES))
    records.append(sent(len(records), Op.DELETE, {**small, "id": 2, "b": b64(bytes(5_000_000))}, schema=MEGABYTES))
    found = loaded_alike(records, schemas=[MEGABYTES], mode=mode)
    assert found.left == [0, 1, 3, 4, 6, 7, 8]
    lost = [(entry.offset, entry.column) for entry in found.parts[0].encoded.quarantine]
    of_what_is_superseded = [] if mode.keyed else [(1, "b")]
    of_a_delete = [] if mode is Mode.MERGE else [(8, "b")]
    assert lost == [(0, "a"), *of_what_is_superseded, (4, "a"), (6, "a"), (6, "b"), *of_a_delete]


def test_the_largest_record_that_is_not_looked_at_is_read_by_the_kernel() -> None:
    def record(offset: int, size_bytes: int) -> Record:
        row: Row = {"id": offset, "a": None, "b": None, "t": ""}
        rest = size_bytes - sent(offset, Op.UPDATE, row, before=row, schema=MEGABYTES).size_bytes
        return sent(offset, Op.UPDATE, row, before={**row, "t": "x" * rest}, schema=MEGABYTES)

    records = [record(0, RECORD_BYTES_UNSEEN), record(1, RECORD_BYTES_UNSEEN + 1), record(2, 1000)]
    assert [one.size_bytes for one in records] == [RECORD_BYTES_UNSEEN, RECORD_BYTES_UNSEEN + 1, 1000]
    assert loaded_alike(records, schemas=[MEGABYTES]).left == [1]
