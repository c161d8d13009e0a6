"""Numbers: whole ones, DECIMAL, FLOAT and DOUBLE, BIT."""

import math
import struct
from random import Random

from tests.types.canonical import Family
from tests.types.specimen import Literals, Specimen

_BITS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}
_WHOLE_TARGETS = {
    "TINYINT": ("SMALLINT", "SMALLINT"),
    "SMALLINT": ("SMALLINT", "INTEGER"),
    "MEDIUMINT": ("INTEGER", "INTEGER"),
    "INT": ("INTEGER", "BIGINT"),
    "BIGINT": ("BIGINT", "DECIMAL(20,0)"),
}
_SHAPES = (
    (1, 0),
    (1, 1),
    (5, 2),
    (9, 9),
    (10, 0),
    (18, 6),
    (19, 0),
    (20, 2),
    (30, 30),
    (37, 1),
    (38, 0),
    (38, 30),
    (39, 0),
    (65, 0),
    (65, 30),
)


def wholes() -> list[Specimen]:
    found = []
    for name, bits in _BITS.items():
        signed, unsigned = _WHOLE_TARGETS[name]
        found.append(_whole(name, signed, -(1 << bits - 1), (1 << bits - 1) - 1))
        found.append(_whole(f"{name} UNSIGNED", unsigned, 0, (1 << bits) - 1))
        found.append(_whole(f"{name} ZEROFILL", unsigned, 0, (1 << bits) - 1))
    found.append(_whole("BOOLEAN", "SMALLINT", -128, 127))
    found.append(Specimen("YEAR", Family.WHOLE, "SMALLINT", ("0", "1901", "2155", "1970"), lambda random: str(random.randint(1901, 2155))))
    return found


def _whole(sql: str, target: str, least: int, most: int) -> Specimen:
    edges = dict.fromkeys(map(str, (least, least + 1, -1 if least else 1, 0, 1, 42, most // 2 + 1, most - 1, most)))

    def chance(random: Random) -> str:
        number = random.getrandbits(random.randint(1, most.bit_length()))
        return str(max(least, -number) if least and random.random() < 0.5 else number)

    return Specimen(sql, Family.WHOLE, target, tuple(edges), chance)


def decimals() -> list[Specimen]:
    found = [_decimal(precision, scale) for precision, scale in _SHAPES]
    found += [_decimal(precision, scale, " UNSIGNED") for precision, scale in ((5, 2), (38, 0), (65, 30))]
    return [*found, _decimal(10, 2, " ZEROFILL")]


def _decimal(precision: int, scale: int, more: str = "") -> Specimen:
    signs = ("",) if more else ("", "-")
    digits = (
        "9" * precision,
        "0" * precision,
        "0" * (precision - 1) + "1",
        "5".ljust(precision, "0"),
        "12".ljust(precision, "0")[:precision],
    )
    edges = tuple(f"{sign}{_pointed(one, scale)}" for one in dict.fromkeys(digits) for sign in signs)

    def chance(random: Random) -> str:
        number = "".join(random.choices("0123456789", k=random.randint(1, precision)))
        return f"{random.choice(signs)}{_pointed(number.rjust(precision, '0'), scale)}"

    target = f"DECIMAL({20 if precision == 19 else precision},{scale})" if precision <= 38 else "VARCHAR(67)"
    return Specimen(f"DECIMAL({precision},{scale}){more}", Family.DECIMAL, target, edges, chance)


def _pointed(digits: str, scale: int) -> str:
    whole, fraction = digits[: len(digits) - scale], digits[len(digits) - scale :]
    return f"{whole or '0'}.{fraction}" if scale else whole


_SINGLES = ("3.4028234e38", "-3.4028234e38", "1.17549435e-38", "1.4e-45", "-1.4e-45", "16777217", "1.1", "0.1", "-0e0", "0", "1e10")
_DOUBLES: Literals = (
    "1.7976931348623157e308",
    "-1.7976931348623157e308",
    "2.2250738585072014e-308",
    "5e-324",
    "-5e-324",
    "9007199254740993",
)
_DOUBLES += ("0.1", "1e15", "1e16", "1e17", "123456789012345680", "-0e0", "0", "1e-7", "1e22", "1e23")


def reals() -> list[Specimen]:
    real, double = ("FLOAT", Family.FLOAT, "REAL"), ("DOUBLE", Family.DOUBLE, "DOUBLE PRECISION")
    few = ("0", "1.5", "999.995", "0.004")
    return [
        Specimen(*real, _SINGLES, _single),
        Specimen("FLOAT UNSIGNED", *real[1:], _unsigned(_SINGLES), lambda random: _single(random).lstrip("-")),
        Specimen("FLOAT(7,3)", *real[1:], (*few, "9999.999", "-9999.999", "0.1"), lambda random: repr(random.uniform(-9999, 9999))),
        Specimen(*double, _DOUBLES, _double),
        Specimen("DOUBLE UNSIGNED", *double[1:], _unsigned(_DOUBLES), lambda random: _double(random).lstrip("-")),
        Specimen("DOUBLE(10,4)", *double[1:], (*few, "-999999.9999", "0.1"), lambda random: repr(random.uniform(-999999, 999999))),
        Specimen("FLOAT ZEROFILL", *real[1:], ("0", "1.1", "3.4028234e38"), lambda random: _single(random).lstrip("-")),
    ]


def _unsigned(literals: Literals) -> Literals:
    return tuple(literal for literal in literals if not literal.startswith("-"))


def _single(random: Random) -> str:
    number = math.nan
    while not math.isfinite(number):
        (number,) = struct.unpack("<f", random.randbytes(4))
    return f"{number:.9e}"


def _double(random: Random) -> str:
    number = math.nan
    while not math.isfinite(number):
        (number,) = struct.unpack("<d", random.randbytes(8))
    return f"{number:.17e}"


def bits() -> list[Specimen]:
    return [*map(_bit, (1, 2, 7, 8, 9, 16, 31, 32, 33, 63, 64))]


def _bit(width: int) -> Specimen:
    most = (1 << width) - 1
    edges = dict.fromkeys((0, 1, most, most >> 1, 1 << width - 1, most // 3))
    target = "BOOLEAN" if width == 1 else "BIGINT" if width < 64 else "DECIMAL(20,0)"
    return Specimen(
        f"BIT({width})", Family.BITS, target, tuple(f"b'{one:b}'" for one in edges), lambda random: f"b'{random.getrandbits(width):b}'"
    )
