"""What is neither a number, a time nor text: bytes, JSON, shapes on a map, vectors."""

import json
import math
import struct
from collections.abc import Callable, Sequence
from random import Random

from tests.types.canonical import Family
from tests.types.numbers import bits, decimals, wholes
from tests.types.specimen import Bench, Literals, Specimen, bench, key_of
from tests.types.texts import literal, words_in_a_key
from tests.types.times import no_dates, times

_BYTES = (b"", b"\0", b"\0\0\1\0", b"\xff", b"'\\", b"a  ", bytes(range(256)), bytes(255))


def contents() -> list[Specimen]:
    return [
        *(_bytes(f"BINARY({size})", size, f"VARBYTE({size})") for size in (1, 4, 255)),
        *(_bytes(f"VARBINARY({size})", size, f"VARBYTE({size})") for size in (1, 255, 300)),
        _bytes("TINYBLOB", 255, "VARBYTE(255)"),
        _bytes("BLOB", 65535, "VARBYTE(65535)"),
        _bytes("MEDIUMBLOB", 70000, "VARBYTE(16777215)"),
        _bytes("LONGBLOB", 70000, "VARBYTE(16777216)"),
    ]


def _bytes(sql: str, size: int, target: str) -> Specimen:
    edges = [f"X'{one.hex()}'" for one in _BYTES if len(one) <= size] + [f"REPEAT(X'FF', {size})"]
    return Specimen(
        sql, Family.BYTES, target, tuple(edges), lambda random: f"X'{random.randbytes(random.randint(0, min(size, 400))).hex()}'"
    )


_DOCUMENTS = (
    "null",
    "true",
    "[]",
    "{}",
    '""',
    '{"bb": 1, "a": {"c": [null, true, false, {}]}, "aaa": [], "é": "😀", "": 0}',
    "[0, -1, 32767, -32768, 65535, 65536, 2147483647, -2147483648, 4294967295, 4294967296]",
    "[9223372036854775807, -9223372036854775808, 18446744073709551615]",
    "[0.0, -0.0, 1.0, 1.5, 1e14, 1e15, 1e16, 123456789012345678.0, 1e-5, 1e-15, 1e-16, 1.7976931348623157e308, 5e-324]",
    r'"quote \" back \\ slash / tab \t nl \n cr \r bs \b ff \f nul \u0000 esc \u001b del \u007f sep \u2028"',
    "[" * 100 + "]" * 100,
)
_MADE = (
    "JSON_ARRAY(CAST(1.50 AS DECIMAL(10,2)), CAST('-0.5' AS DECIMAL(5,3)), CAST(0 AS DECIMAL(65,30)), CAST('-0.00' AS DECIMAL(4,2)))",
    "JSON_ARRAY(CAST(99999999999999999999999999999999999.123456789012345678901234567890 AS DECIMAL(65,30)))",
    "JSON_ARRAY(CAST('2024-02-29' AS DATE), CAST('2024-01-01 01:02:03.456' AS DATETIME(3)), TIMESTAMP('2024-01-01'))",
    "JSON_ARRAY(CAST('-10:11:12.345' AS TIME(3)), CAST('838:59:59' AS TIME), CAST('-838:59:59' AS TIME))",
    "JSON_ARRAY(X'00FF7F', b'101', CAST('abc' AS BINARY), CAST(REPEAT('z', 200) AS BINARY))",
    "JSON_OBJECT('blob', CAST(X'' AS BINARY), 'year', CAST(2024 AS YEAR), 'geo', ST_GeomFromText('POINT(1 2)'))",
    "CAST(CAST('12:00:00' AS TIME) AS JSON)",
    "CAST(X'CAFE' AS JSON)",
    "JSON_OBJECT(REPEAT('k', 300), REPEAT('v', 60000), 'n', JSON_ARRAY(70000, 4000000000, -70000, 1))",
    "CAST(CONCAT('\"', REPEAT('x', 65533), '\"') AS JSON)",
    "CAST(CONCAT('\"', REPEAT('x', 65534), '\"') AS JSON)",  # one byte too long for a VARCHAR
    "CAST(CONCAT('[', REPEAT('\"abcdefghij\",', 7000), '1]') AS JSON)",
)


def documents() -> list[Specimen]:
    edges = tuple(f"CAST({literal(one)} AS JSON)" for one in _DOCUMENTS) + _MADE
    return [
        Specimen("JSON", Family.JSON, "VARCHAR(65535)", edges, lambda random: f"CAST({literal(json.dumps(_document(random, 3)))} AS JSON)")
    ]


def _document(random: Random, depth: int) -> object:
    kinds: list[Callable[[], object]] = [
        lambda: None,
        lambda: random.random() < 0.5,
        lambda: random.getrandbits(random.randint(1, 64)),
        lambda: -random.getrandbits(random.randint(1, 63)),
        lambda: random.uniform(-1, 1) * 10.0 ** random.randint(-300, 300),
        lambda: _word(random),
    ]
    if depth:
        kinds += [
            lambda: [_document(random, depth - 1) for _ in range(random.randrange(5))],
            lambda: {_word(random): _document(random, depth - 1) for _ in range(random.randrange(5))},
        ]
    return random.choice(kinds)()


def _word(random: Random) -> str:
    return "".join(random.choices('abc é"\\\n\t\u2028名😀', k=random.randrange(8)))


_SHAPES = {
    "POINT": ("POINT(1 2)", "POINT(0 0)", "POINT(-1.5e300 1e-300)", "POINT(-0 0)"),
    "LINESTRING": ("LINESTRING(0 0,1 1)", "LINESTRING(0 0,0.1 -0.1,1e10 1e-10)"),
    "POLYGON": ("POLYGON((0 0,1 0,1 1,0 0))", "POLYGON((0 0,9 0,9 9,0 9,0 0),(1 1,2 1,2 2,1 1))"),
    "MULTIPOINT": ("MULTIPOINT((0 0),(1 1))",),
    "MULTILINESTRING": ("MULTILINESTRING((0 0,1 1),(2 2,3 3))",),
    "MULTIPOLYGON": ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))",),
    "GEOMETRYCOLLECTION": ("GEOMETRYCOLLECTION EMPTY", "GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))"),
}


def shapes() -> list[Specimen]:
    """Every spatial type, without a reference system and in one whose axes MySQL turns round for people."""
    found = [Specimen("GEOMETRY", Family.GEOMETRY, _PLACE, tuple(_shape(text) for texts in _SHAPES.values() for text in texts), _point)]
    found += [_spatial(name, texts) for name, texts in _SHAPES.items()]
    found.append(Specimen("POINT SRID 4326", Family.GEOMETRY, _PLACE, (_shape("POINT(10 20)", 4326), _shape("POINT(-90 180)", 4326))))
    return found


def _spatial(name: str, texts: Literals) -> Specimen:
    edges = [_shape(text) for text in texts]
    edges += [_shape(text, 4326) for text in texts if "e1" not in text and "e3" not in text]
    edges.append(_shape("GEOMETRYCOLLECTION EMPTY" if name == "GEOMETRYCOLLECTION" else texts[0], 3857))
    return Specimen(name, Family.GEOMETRY, _PLACE, tuple(edges), _point if name == "POINT" else lambda _: edges[0])


_PLACE = "VARBYTE(16777216)"


def _shape(text: str, srid: int = 0) -> str:
    return f"ST_GeomFromText('{text}', {srid})"


def _point(random: Random) -> str:
    if random.random() < 0.5:
        return _shape(f"POINT({random.uniform(-90, 90):.6f} {random.uniform(-179, 180):.6f})", 4326)
    return _shape(f"POINT({random.uniform(-1e6, 1e6)!r} {random.uniform(-1e6, 1e6)!r})")


def vectors() -> list[Specimen]:
    numbers = (
        (1.1, -0.0, 3.4028234e38),
        (0, 0, 0),
        (1.4e-45, -1.17549435e-38, 16777217),
        (1e-7, 1e7, 0.1),
        (-1056666040000000.0,) * 3,
        (1,),
    )
    halves, dense = [0.5] * 16383, [-1.17549435e-38] * 16383
    return [
        Specimen(
            "VECTOR(1)",
            Family.VECTOR,
            "VARCHAR(21)",
            tuple(_vector([one]) for one in (0, -0.0, -1.17549435e-38, -1056666040000000.0)),
            _numbers(1),
        ),
        Specimen("VECTOR(3)", Family.VECTOR, "VARCHAR(61)", (*map(_vector, numbers), "STRING_TO_VECTOR('[0.1,1e3]')"), _numbers(3)),
        Specimen("VECTOR(2048)", Family.VECTOR, "VARCHAR(40961)", (_vector([0.1] * 2048),), _numbers(2048)),
        # Halves take 65,533 bytes of text, the other numbers more than a VARCHAR has.
        Specimen("VECTOR(16383)", Family.VECTOR, "VARCHAR(65535)", (_vector(halves), _vector(dense))),
    ]


def _vector(numbers: Sequence[float]) -> str:
    return f"X'{struct.pack(f'<{len(numbers)}f', *numbers).hex()}'"


def _numbers(most: int) -> Callable[[Random], str]:
    def number(random: Random) -> float:
        found = math.nan
        while not math.isfinite(found):
            (found,) = struct.unpack("<f", random.randbytes(4))
        return found

    return lambda random: _vector([number(random) for _ in range(random.randint(1, most))])


def generated() -> Bench:
    """Virtual and stored columns, and columns that `SELECT *` does not show."""
    whole = ("-2147483648", "2147483647", "0", "-1")
    return Bench(
        "generated",
        {
            "n": Specimen("INT", Family.WHOLE, "INTEGER", whole, lambda random: str(random.randint(-(2**31), 2**31 - 1))),
            "d": Specimen(
                "DECIMAL(10,2)",
                Family.DECIMAL,
                "DECIMAL(10,2)",
                ("-99999999.99", "0.10"),
                lambda random: f"{random.uniform(-9e7, 9e7):.2f}",
            ),
            "t": Specimen(
                "VARCHAR(20)",
                Family.TEXT,
                "VARCHAR(80)",
                (literal("é😀"), literal("")),
                lambda random: literal(f"x{random.randrange(10**9)}"),
            ),
            "b": Specimen("VARBINARY(8)", Family.BYTES, "VARBYTE(8)", ("X'00FF'", "X''"), lambda random: f"X'{random.randbytes(8).hex()}'"),
            "hidden": Specimen("BIGINT UNSIGNED", Family.WHOLE, "DECIMAL(20,0)", ("18446744073709551615", "0"), attributes="INVISIBLE"),
            **{f"virtual_{name}": one for name, one in _made("VIRTUAL").items()},
            **{f"stored_{name}": one for name, one in _made("STORED").items()},
            "hidden_made": Specimen("BIGINT", Family.WHOLE, "BIGINT", generated="n - 1", attributes="VIRTUAL INVISIBLE"),
        },
    )


def _made(how: str) -> dict[str, Specimen]:
    def made(sql: str, family: Family, target: str, expression: str) -> Specimen:
        return Specimen(sql, family, target, generated=expression, attributes=how)

    return {
        "n": made("BIGINT", Family.WHOLE, "BIGINT", "CAST(n AS SIGNED) * 2"),
        "d": made("DECIMAL(12,3)", Family.DECIMAL, "DECIMAL(12,3)", "d / 4"),
        "r": made("DOUBLE", Family.DOUBLE, "DOUBLE PRECISION", "n / 3e0"),
        "t": made("VARCHAR(50)", Family.TEXT, "VARCHAR(200)", "CONCAT(t, '!', t)"),
        "b": made("VARBINARY(20)", Family.BYTES, "VARBYTE(20)", "CONCAT(b, X'00')"),
        "day": made("DATE", Family.DATE, "DATE", "DATE_ADD('2000-01-01', INTERVAL n % 100000 DAY)"),
        "j": made("JSON", Family.JSON, "VARCHAR(65535)", "JSON_OBJECT('n', n, 't', t)"),
    }


def without_a_key() -> Bench:
    """MySQL gives such a table a key of its own, which `SELECT *` does not show."""
    words = tuple(map(literal, ("", "a", "a ", "é😀")))
    return Bench(
        "without_a_key",
        {
            "n": Specimen("INT UNSIGNED", Family.WHOLE, "BIGINT", ("0", "4294967295"), lambda random: str(random.getrandbits(32))),
            "t": Specimen("VARCHAR(20)", Family.TEXT, "VARCHAR(80)", words, lambda random: literal(f"x{random.randrange(10**9)}")),
        },
        key="my_row_id",
    )


def keys() -> Bench:
    """Every type that may be part of a key, and values of which no key can be formed."""
    numbers = [one for one in (*wholes(), *decimals(), *bits()) if one.sql in ("BIGINT UNSIGNED", "DECIMAL(65,30)", "BIT(9)")]
    moments = [one for one in times() if one.sql in ("TIME(3)", "TIMESTAMP(6)")]
    days = [one for one in no_dates().columns.values() if one.sql in ("DATE", "DATETIME(3)")]
    blob = _bytes("VARBINARY(9)", 9, "VARBYTE(9)")
    plain = Specimen("VARCHAR(9)", Family.TEXT, "VARCHAR(36)", (literal("a"), literal("a\0")), lambda _: literal("b"))
    return bench("keys", *key_of(*numbers, *moments, *days, *words_in_a_key(), blob), plain, sql_mode="ALLOW_INVALID_DATES")


MESSAGE_BYTES_MAX = 8 << 20
"""The default of `kafka.message_bytes_max`. Bytes travel in base64."""


def oversize() -> Bench:
    """Rows that no message may carry, alone or, where they are updated, together with what they were: by `suite`, the next one's value. And
    values that a message may carry, but no row that COPY takes."""
    edges = ("X'00'", f"REPEAT('x', {5 << 20})", "X'0000'", f"REPEAT(X'FF', {9 << 20})")
    former = """SELECT LENGTH(b.big) FROM oversize AS b CROSS JOIN (SELECT COUNT(*) DIV 3 AS third FROM oversize) AS c
        WHERE oversize.id > 2 * third AND b.id = oversize.id - third + 1"""
    return Bench(
        "oversize",
        {
            "big": Specimen("LONGBLOB", Family.BYTES, "VARBYTE(16777216)", edges),
            "n": Specimen("INT", Family.WHOLE, "INTEGER", ("1", "2")),
        },
        beyond=f"(COALESCE(LENGTH(big), 0) + COALESCE(({former}), 0)) / 3 * 4 > {MESSAGE_BYTES_MAX}",
        beyond_reason=r"the row takes \d+ bytes, more than a message may; raise kafka\.message_bytes_max and read the row again",
    )
