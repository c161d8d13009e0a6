"""Columns of the tables that are altered at random: types as MySQL spells them, values they take, and what may become of them.

A type stands for its family; within the families that `becomes` joins, MySQL makes *some* value of every value without an error when the
session's sql_mode is lax. Left out, because what the warehouse then holds is not MySQL's value by design (TYPES.md, "What doesn't fit"):
text with U+0000 in it, which bytes and BIT turn into, so neither becomes text here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from random import Random


class Family(Enum):
    WHOLE = auto()
    DECIMAL = auto()
    REAL = auto()
    TEXT = auto()
    CHOICE = auto()
    DAY = auto()
    MOMENT = auto()
    CLOCK = auto()
    YEAR = auto()
    BYTES = auto()
    BITS = auto()
    JSON = auto()


@dataclass(frozen=True, slots=True)
class Type:
    """`sql` without NULL or DEFAULT. `size` orders the types of one family: one of the same `group` and no smaller size takes every value
    of this one."""

    family: Family
    sql: str
    size: int = 0
    group: str = ""
    labels: tuple[str, ...] = ()

    @property
    def takes_default(self) -> bool:
        """Whether a literal may be its DEFAULT."""
        return self.family is not Family.JSON and "TEXT" not in self.sql and "BLOB" not in self.sql

    @property
    def latin(self) -> bool:
        return "latin1" in self.sql

    @property
    def instant_safe(self) -> bool:
        return self.family is not Family.JSON


def _wholes() -> list[Type]:
    bits = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}
    signed = [Type(Family.WHOLE, name, size, "signed") for name, size in bits.items()]
    return signed + [Type(Family.WHOLE, f"{name} UNSIGNED", size, "unsigned") for name, size in bits.items()]


def _texts() -> list[Type]:
    found = []
    for charset in ("utf8mb4", "latin1", "utf16"):
        for name, size in (("CHAR(20)", 0), ("VARCHAR(30)", 1), ("VARCHAR(300)", 2), ("TEXT", 3), ("MEDIUMTEXT", 4)):
            found.append(Type(Family.TEXT, f"{name} CHARACTER SET {charset}", size, charset))
    return found


def _choices() -> list[Type]:
    labels = ("a", "b", "c", "dé", "e f")
    orders = (labels[:3], labels, labels[::-1], ("b", "a"), ("", "a", "c"))
    found = []
    for size, order in enumerate(orders):
        quoted = ", ".join(f"'{label}'" for label in order)
        found.append(Type(Family.CHOICE, f"ENUM({quoted}) CHARACTER SET utf8mb4", size, "" if size > 1 else "enum", order))
        if "" not in order:
            found.append(Type(Family.CHOICE, f"SET({quoted}) CHARACTER SET utf8mb4", size, "" if size > 1 else "set", order))
    return found


TYPES = (
    *_wholes(),
    *(Type(Family.DECIMAL, f"DECIMAL({p},{s})", size, "decimal") for size, (p, s) in enumerate([(9, 2), (14, 4), (38, 10), (50, 12)])),
    Type(Family.REAL, "FLOAT", 0, "real"),
    Type(Family.REAL, "DOUBLE", 1, "real"),
    *_texts(),
    *_choices(),
    Type(Family.DAY, "DATE", 0, "day"),
    *(Type(Family.MOMENT, f"DATETIME{f}", size, "datetime") for size, f in enumerate(("", "(3)", "(6)"))),
    *(Type(Family.MOMENT, f"TIMESTAMP{f}", size, "timestamp") for size, f in enumerate(("", "(3)", "(6)"))),
    *(Type(Family.CLOCK, f"TIME{f}", size, "time") for size, f in enumerate(("", "(6)"))),
    Type(Family.YEAR, "YEAR", 0, "year"),
    *(Type(Family.BYTES, name, size, "bytes") for size, name in enumerate(("VARBINARY(30)", "VARBINARY(200)", "BLOB", "MEDIUMBLOB"))),
    *(Type(Family.BITS, f"BIT({n})", n, "bits") for n in (1, 9, 64)),
    Type(Family.JSON, "JSON", 0, "json"),
)

_NUMBERS = {Family.WHOLE, Family.DECIMAL, Family.REAL, Family.YEAR}
_SHOWN = {*_NUMBERS, Family.TEXT, Family.CHOICE, Family.DAY, Family.MOMENT, Family.CLOCK}
_BECOMES = {
    **dict.fromkeys(_SHOWN, _SHOWN),
    Family.JSON: {Family.JSON, Family.TEXT},
    Family.BYTES: {Family.BYTES},
    Family.BITS: {Family.BITS, Family.WHOLE},
}


def becomes(held: Type, *, lax: bool) -> list[Type]:
    """What MODIFY may make of a column. Unless `lax`, only what takes every value as it is."""
    if lax:
        return [one for one in TYPES if one.family in _BECOMES[held.family] and one != held]
    return [one for one in TYPES if held.group and one.group == held.group and one.size > held.size]


@dataclass(frozen=True, slots=True)
class Column:
    """`generated`: the expression it is made of, empty for a column of its own; `virtual`: MySQL does not store it. `default`: a literal,
    None for none."""

    name: str
    type: Type
    nullable: bool = True
    default: str | None = None
    generated: str = ""
    virtual: bool = False
    invisible: bool = False

    @property
    def quoted(self) -> str:
        return "`" + self.name.replace("`", "``") + "`"

    @property
    def definition(self) -> str:
        """Behind the name."""
        if self.generated:
            return f"{self.type.sql} AS ({self.generated}) {'VIRTUAL' if self.virtual else 'STORED'}"
        parts = [self.type.sql, "NULL" if self.nullable else "NOT NULL"]
        if self.default is not None:
            parts.append(f"DEFAULT {self.default}")
        if self.invisible:
            parts.append("INVISIBLE")
        return " ".join(parts)

    @property
    def sql(self) -> str:
        return f"{self.quoted} {self.definition}"

    def value(self, random: Random) -> str:
        """A literal the column takes."""
        if self.nullable and random.random() < 0.15:
            return "NULL"
        return literal(self.type, random)


def literal(type: Type, random: Random) -> str:
    return _LITERALS[type.family](type, random)


def _whole(type: Type, random: Random) -> str:
    least, most = (0, 2**type.size - 1) if type.group == "unsigned" else (-(2 ** (type.size - 1)), 2 ** (type.size - 1) - 1)
    return str(random.choice((least, most, 0, random.randint(least, most), random.randint(0, 100))))


def _decimal(type: Type, random: Random) -> str:
    whole = (7, 10, 28, 38)[type.size]
    return f"{random.choice(('', '-'))}{random.randrange(10 ** random.randint(1, whole))}.{random.randrange(100):02}"


def _text(type: Type, random: Random) -> str:
    # 20 characters at most: the shortest type here.
    words = ("", "x", "12", "-7.5", "naïve", "a b", "It''s", "2024-02-29", "a") + (() if type.latin else ("Łódź", "渡辺", "🦊 fox"))
    return f"'{random.choice(words)}{random.choice(('', str(random.randrange(10**6))))}'"


def _choice(type: Type, random: Random) -> str:
    if type.sql.startswith("SET"):
        return "'" + ",".join(label for label in type.labels if random.random() < 0.5) + "'"
    return f"'{random.choice(type.labels)}'"


def _day(type: Type, random: Random) -> str:
    return random.choice(
        ("'1000-01-01'", "'9999-12-31'", f"'20{random.randrange(10, 38)}-0{random.randint(1, 9)}-{random.randint(10, 28)}'")
    )


def _moment(type: Type, random: Random) -> str:
    day = f"20{random.randrange(10, 37)}-0{random.randint(1, 9)}-{random.randint(10, 28)}"
    text = f"{day} {random.randrange(10, 24)}:0{random.randrange(10)}:30"
    return f"'{text}{random.choice(('', '.5', '.123456'))}'"


def _clock(type: Type, random: Random) -> str:
    return f"'{random.choice(('', '-'))}{random.randrange(10, 838)}:{random.randrange(10, 60)}:07{random.choice(('', '.25'))}'"


def _bytes(type: Type, random: Random) -> str:
    return "X'" + "".join(f"{random.randrange(256):02x}" for _ in range(random.randrange(12))) + "'"


def _bits(type: Type, random: Random) -> str:
    return f"b'{random.randrange(2**type.size):b}'"


def _json(type: Type, random: Random) -> str:
    return random.choice(('\'{"a": [1, null, "é"]}\'', "'[]'", "'\"text\"'", f"'{random.randrange(1000)}'", "'{\"b\": 1.50}'"))


_LITERALS: dict[Family, Callable[[Type, Random], str]] = {
    Family.WHOLE: _whole,
    Family.DECIMAL: _decimal,
    Family.REAL: lambda _, random: random.choice(("0", "1.5", "-3e10", "0.1", str(random.randrange(1000) / 8))),
    Family.TEXT: _text,
    Family.CHOICE: _choice,
    Family.DAY: _day,
    Family.MOMENT: _moment,
    Family.CLOCK: _clock,
    Family.YEAR: lambda _, random: str(random.randrange(1901, 2156)),
    Family.BYTES: _bytes,
    Family.BITS: _bits,
    Family.JSON: _json,
}
