"""Every column type at its edges: what the binlog decodes to is what SELECT says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from contracts.table import Kind
from devstack.mysql import MysqlServer
from streamer.core.events import RowsEvent
from tests.streamer.core.oracle import comparable, expected
from tests.streamer.core.recording import changes, decoded, record

pytestmark = pytest.mark.stack


@dataclass(frozen=True)
class Case:
    """A column type and SQL literals to store in it."""

    name: str
    type: str
    kind: Kind
    literals: Sequence[str]


def case(type_: str, kind: Kind, *literals: str) -> Any:
    return pytest.param(Case(type_, type_, kind, (*literals, "NULL")), id=type_)


def integers(name: str, kind: Kind, bits: int) -> list[Any]:
    high = 1 << (bits - 1)
    signed = case(name, kind, "0", "1", "-1", str(high - 1), str(-high))
    return [signed, case(f"{name} unsigned", kind, "0", "1", str(high), str(2 * high - 1))]


FRACTIONS = [(n, f".{'123456'[:n]}" if n else "", f".{'999999'[:n]}" if n else "", f".{'000001'[-n:]}" if n else "") for n in range(7)]

JSON_LITERALS = (
    """'null'""",
    """'true'""",
    """'[]'""",
    """'{}'""",
    """'{"a": 1, "b": [1, 2]}'""",
    """'{"bb": 1, "a": {"c": [null, true, false, {}]}, "aaa": [], "é": "😀", "": 0}'""",
    """'[0, -1, 32767, -32768, 65535, 65536, 2147483647, -2147483648, 4294967295, 4294967296]'""",
    """'[9223372036854775807, -9223372036854775808, 18446744073709551615]'""",
    """'[0.0, -0.0, 1.0, 1.5, 1e14, 1e15, 1e16, 123456789012345678.0, 1e-5, 1e-14, 1e-15, 1e-16, 1.7976931348623157e308, 5e-324]'""",
    """'[0.1, 100.25, 123456789012345.6, 12345678901234.56, 0.000001234, 2.2250738585072014e-308, 1e100, 1e-100, 3.0e10]'""",
    r"""'"quote \\" back \\\\ slash / tab \\t nl \\n cr \\r bs \\b ff \\f nul \\u0000 esc \\u001b del \\u007f sep \\u2028"'""",
    """JSON_ARRAY(CAST(1.50 AS DECIMAL(10,2)), CAST('-0.5' AS DECIMAL(5,3)), CAST(0 AS DECIMAL(65,30)), CAST('-0.00' AS DECIMAL(4,2)))""",
    """JSON_ARRAY(CAST(99999999999999999999999999999999999.123456789012345678901234567890 AS DECIMAL(65,30)))""",
    f"""JSON_ARRAY(0.1234567890123456789012345678901234, -0.{"1234567890" * 9}, .{"9" * 80}, 123456789.{"9" * 72}, 0.{"0" * 31})""",
    """JSON_ARRAY(CAST('2024-02-29' AS DATE), CAST('2024-01-01 01:02:03.456' AS DATETIME(3)), TIMESTAMP('2024-01-01'))""",
    """JSON_ARRAY(CAST('-10:11:12.345' AS TIME(3)), CAST('838:59:59' AS TIME), CAST('-838:59:59' AS TIME), CAST('00:00:00' AS TIME))""",
    """JSON_ARRAY(x'00FF7F', b'101', CAST('abc' AS BINARY), CAST(REPEAT('z', 57) AS BINARY), CAST(REPEAT('z', 200) AS BINARY))""",
    """JSON_OBJECT('blob', CAST(x'' AS BINARY), 'year', CAST(2024 AS YEAR), 'geo', ST_GeomFromText('POINT(1 2)'))""",
    """CAST(CAST('12:00:00' AS TIME) AS JSON)""",
    """CAST(x'CAFE' AS JSON)""",
    """JSON_OBJECT(REPEAT('k', 300), REPEAT('v', 70000), 'n', JSON_ARRAY(70000, 4000000000, -70000, 1))""",
    """CAST(CONCAT('[', REPEAT('"abcdefghij",', 7000), '1]') AS JSON)""",
    """CAST(CONCAT(REPEAT('[', 100), REPEAT(']', 100)) AS JSON)""",
    """CAST(CONCAT('"', REPEAT('x', 127), '"') AS JSON)""",
    """CAST(CONCAT('"', REPEAT('x', 128), '"') AS JSON)""",
    """CAST(CONCAT('"', REPEAT('x', 16384), '"') AS JSON)""",
)

CASES = [
    *integers("tinyint", Kind.TINYINT, 8),
    *integers("smallint", Kind.SMALLINT, 16),
    *integers("mediumint", Kind.MEDIUMINT, 24),
    *integers("int", Kind.INT, 32),
    *integers("bigint", Kind.BIGINT, 64),
    case("tinyint(1)", Kind.TINYINT, "0", "1", "2"),
    case("decimal(10,2)", Kind.DECIMAL, "0", "1.5", "-1.5", "99999999.99", "-99999999.99", "-0.00", "-0.01"),
    case("decimal(65,30)", Kind.DECIMAL, "0", f"{'9' * 35}.{'9' * 30}", f"-{'9' * 35}.{'9' * 30}", f"0.{'0' * 29}1", "123456789.987654321"),
    case("decimal(9,9)", Kind.DECIMAL, "0", "0.123456789", "-0.000000001"),
    case("decimal(65,0)", Kind.DECIMAL, "0", "9" * 65, f"-{'9' * 65}", "1000000000"),
    case("decimal(5,1) unsigned", Kind.DECIMAL, "0", "9999.9"),
    *[
        case(f"decimal({p},{s})", Kind.DECIMAL, "0", "0.5" if s else "5", "-1" if p > s else "0", "NULL")
        for p, s in ((1, 0), (2, 1), (4, 2), (7, 3), (11, 4), (14, 5), (17, 6), (20, 7), (23, 8), (27, 9))
    ],
    case("float", Kind.FLOAT, "0", "-0e0", "1.1", "-1.1", "3.4028234e38", "-3.4028234e38", "1.17549435e-38", "1.4e-45", "16777217"),
    case("double", Kind.DOUBLE, "0", "-0e0", "1.1", "1.7976931348623157e308", "-1.7976931348623157e308", "5e-324", "0.1"),
    case("bit(1)", Kind.BIT, "b'0'", "b'1'"),
    case("bit(7)", Kind.BIT, "b'0'", "b'1111111'", "b'1000001'"),
    case("bit(12)", Kind.BIT, "b'0'", "b'111100001010'", "b'1'"),
    case("bit(64)", Kind.BIT, "0", "18446744073709551615", "1", "0x0102030405060708"),
    case("year", Kind.YEAR, "0", "1901", "2155", "2024"),
    case("date", Kind.DATE, "'1970-01-01'", "'1969-12-31'", "'1000-01-01'", "'9999-12-31'", "'0001-01-01'", "'2024-02-29'"),
    *[
        case(f"datetime({n})", Kind.DATETIME, f"'2024-02-29 23:59:58{a}'", f"'1969-12-31 23:59:59{b}'", f"'1000-01-01 00:00:00{c}'")
        for n, a, b, c in FRACTIONS
    ],
    *[
        case(f"timestamp({n})", Kind.TIMESTAMP, f"'1970-01-01 00:00:01{a}'", f"'2038-01-19 03:14:07{a}'", f"'2024-02-29 12:00:00{c}'")
        for n, a, b, c in FRACTIONS
    ],
    *[
        case(
            f"time({n})", Kind.TIME, "'00:00:00'", "'838:59:59'", "'-838:59:59'", f"'-10:11:12{a}'", f"'-00:00:00{c}'", f"'-00:00:01{b}'",
            f"'100:00:00{c}'", f"'00:00:00{b}'",
        )
        for n, a, b, c in FRACTIONS
    ],
    case("char(10)", Kind.CHAR, "''", "'abc'", "'abc   '", "'😀é'", "'0123456789'"),
    case("char(255)", Kind.CHAR, "''", "REPEAT('é', 255)", "'x'"),
    case("char(200) character set utf16", Kind.CHAR, "''", "REPEAT('é', 200)", "'x😀'"),
    case("char(3) character set latin1", Kind.CHAR, "''", "'é€'"),
    case("varchar(10)", Kind.VARCHAR, "''", "'abc   '", "'😀'", "CONCAT('a', CHAR(0), 'b')"),
    case("varchar(63)", Kind.VARCHAR, "REPEAT('é', 63)"),
    case("varchar(64)", Kind.VARCHAR, "REPEAT('é', 64)", "''"),
    case("varchar(16000)", Kind.VARCHAR, "REPEAT('😀', 16000)", "''"),
    case("tinytext", Kind.TEXT, "''", "REPEAT('x', 255)"),
    case("text", Kind.TEXT, "''", "REPEAT('é', 20000)"),
    case("mediumtext", Kind.TEXT, "''", "REPEAT('z', 100000)"),
    case("longtext", Kind.TEXT, "''", "REPEAT('z', 20000000)"),
    case("binary(4)", Kind.BINARY, "x''", "x'00'", "x'01000000'", "x'FF'", "x'00FF00FF'"),
    case("binary(255)", Kind.BINARY, "x'FF'", "REPEAT(x'FF', 255)", "x'00'"),
    case("varbinary(300)", Kind.VARBINARY, "x''", "x'00'", "x'FF0000'", "REPEAT(x'00', 300)"),
    case("tinyblob", Kind.BLOB, "x''", "x'00FF7F8000'"),
    case("blob", Kind.BLOB, "x''", "REPEAT(x'FF', 65535)"),
    case("mediumblob", Kind.BLOB, "x'FF'"),
    case("longblob", Kind.BLOB, "x'00'"),
    case("json", Kind.JSON, *JSON_LITERALS),
    case("enum('a','b','')", Kind.ENUM, "'a'", "''", "3"),
    case("enum('it''s','co,mma','q\"x','名','b\\\\s')", Kind.ENUM, "1", "2", "3", "4", "5"),
    case("enum('é','ü') character set latin1", Kind.ENUM, "1", "2"),
    case("enum('x','y') character set binary", Kind.ENUM, "1", "2"),
    pytest.param(
        Case("wide", f"enum({','.join(repr(f'l{n}') for n in range(300))})", Kind.ENUM, ("1", "256", "300", "NULL")), id="enum of 300"
    ),
    case("set('a','b','c')", Kind.SET, "''", "'c,a'", "'a,b,c'", "'b'"),
    case("set('it''s','é') character set latin1", Kind.SET, "''", "1", "2", "3"),
    pytest.param(
        Case("wide", f"set({','.join(repr(f'm{n}') for n in range(64))})", Kind.SET, ("0", "1", "1 << 63", "~0", "NULL")), id="set of 64"
    ),
    case("geometry", Kind.GEOMETRY, "ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')"),
    case("point srid 4326", Kind.GEOMETRY, "ST_GeomFromText('POINT(10 20)', 4326)"),
    case("polygon", Kind.GEOMETRY, "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 3857)"),
    case("vector(3)", Kind.VECTOR, "TO_VECTOR('[1.1,-0.0,3.4e38]')", "TO_VECTOR('[1]')"),
    case("vector(2048)", Kind.VECTOR, f"TO_VECTOR('[{','.join(['0.1'] * 2048)}]')"),
    *[
        case(f"varchar(30) character set {charset}", Kind.VARCHAR, "''", f"_utf8mb4'{text}'")
        for charset, text in {
            "utf8mb4": "é 😀", "utf8mb3": "é 中", "latin1": "café €", "gbk": "中文", "gb2312": "中文", "gb18030": "中😀ḿ", "sjis": "日本ｱ",
            "cp932": "日本①", "ujis": "日本ｱ", "eucjpms": "日本①", "big5": "中文", "euckr": "한국", "utf16": "a😀b", "utf16le": "aé😀",
            "utf32": "u😀", "ucs2": "é中", "cp1250": "čš", "cp1251": "При", "cp1256": "سلام", "cp1257": "ąž", "cp850": "é", "cp852": "č",
            "cp866": "При", "koi8r": "При", "koi8u": "Їжа", "greek": "αβ", "hebrew": "אב", "latin2": "č", "latin5": "ğ", "latin7": "ž",
            "macroman": "é", "macce": "č", "dec8": "é", "hp8": "é", "keybcs2": "č", "armscii8": "Ա", "geostd8": "ა", "swe7": "åäö",
            "tis620": "ก", "ascii": "az",
        }.items()
    ],
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_value_decodes_to_what_select_says(server: MysqlServer, case: Case) -> None:
    raws = record(
        server,
        [
            "CREATE DATABASE IF NOT EXISTS d",
            "DROP TABLE IF EXISTS d.t",
            "SET time_zone = '+00:00'",
            "SET NAMES utf8mb4",
            f"CREATE TABLE d.t (id INT PRIMARY KEY, v {case.type} NULL)",
            "SET SESSION sql_mode = ''",
            *[f"INSERT INTO d.t VALUES ({place}, {literal})" for place, literal in enumerate(case.literals)],
        ],
    )

    event = next(located.event for located in decoded(raws) if isinstance(located.event, RowsEvent))
    assert event.table is not None
    column = event.table.schema.by_name["v"]
    assert column.kind is case.kind
    rows = [change.after for _, change in changes(raws)]
    assert [row["id"] for row in rows if row] == list(range(len(case.literals)))
    truth = expected(server, "d.t", case.kind, unsigned=column.unsigned, length=column.length, fraction=column.fraction)
    if case.kind is Kind.DOUBLE:
        truth = [comparable(case.kind, value) for value in truth]
    assert [comparable(case.kind, row["v"]) for row in rows if row] == truth
    assert truth[-1] is None
    assert len([value for value in truth if value is not None]) >= len(case.literals) - 2
