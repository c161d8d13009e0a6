"""Text: every kind of column, every character set the server has, labels, and what is longer than a VARCHAR of the warehouse."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from tests.types.canonical import Family
from tests.types.specimen import Bench, Literals, Specimen, bench

# Quotes, escapes, blanks at the end, a sign of four bytes, combining marks, what looks like NULL, and characters JSON or Python might mind.
_WORDS: Literals = (
    "",
    " ",
    "a  ",
    "\t",
    "it's",
    '"',
    "\\",
    "\\N",
    "NULL",
    "a\nb\r",
    "%s",
    "é",
    "😀",
    "e\u0301",
    "\ufeff",
    "\ufffd",
    "\u2028",
    "\x7f",
)
_WORDS += ("\U0010ffff", "\ud7ff", "\ue000", "名前", "ß", "İi", "\x01", "a\0b", "\0")
_UTF8 = frozenset({"utf8mb4", "utf8mb3", "ascii"})


def literal(text: str) -> str:
    return f"_utf8mb4 X'{text.encode().hex()}'"


def repeated(text: str, count: int) -> str:
    return f"REPEAT({literal(text)}, {count})"


def any_text(alphabet: Callable[[Random], str], most: int) -> Callable[[Random], str]:
    """Literals of at most so many characters."""
    return lambda random: literal("".join(alphabet(random) for _ in range(random.randint(0, most))))


def _character(random: Random) -> str:
    """Of all of Unicode, some planes more often than others."""
    first, last = random.choice(((1, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)))
    return chr(random.randint(first, last))


def _narrow(random: Random) -> str:
    return chr(random.choice((random.randint(1, 0x7F), random.randint(0xA0, 0xFF), 0x20AC)))


def texts() -> list[Specimen]:
    """Of utf8mb4, in every kind of column. CHAR loses blanks at its end in MySQL already."""
    return [
        Specimen("CHAR(0)", Family.TEXT, "VARCHAR(1)", (literal(""),)),
        _text("CHAR(1)", "VARCHAR(4)", 1),
        _text("CHAR(10)", "VARCHAR(40)", 10),
        _text("CHAR(255)", "VARCHAR(1020)", 255),
        _text("VARCHAR(1)", "VARCHAR(4)", 1),
        _text("VARCHAR(30)", "VARCHAR(120)", 30),
        _text("VARCHAR(255)", "VARCHAR(1020)", 255),
        _text("VARCHAR(256)", "VARCHAR(1024)", 256),
        Specimen("VARCHAR(5)", Family.TEXT, "VARCHAR(20)", _within(5), any_text(_character, 5), attributes="COLLATE utf8mb4_bin"),
        Specimen("NATIONAL VARCHAR(5)", Family.TEXT, "VARCHAR(20)", _narrow_words(5), any_text(_narrow, 5)),
        Specimen("TINYTEXT", Family.TEXT, "VARCHAR(255)", (*_within(63), repeated("😀", 63), repeated("x", 255)), any_text(_character, 60)),
        *(
            Specimen(
                name, Family.TEXT, "VARCHAR(65535)", (*_within(100), repeated("x", 65535), repeated("€", 21845)), any_text(_character, 99)
            )
            for name in ("TEXT", "MEDIUMTEXT", "LONGTEXT")
        ),
    ]


def _text(sql: str, target: str, length: int) -> Specimen:
    return Specimen(sql, Family.TEXT, target, (*_within(length), repeated("😀", length)), any_text(_character, length))


def _within(length: int) -> Literals:
    return tuple(literal(word) for word in _WORDS if len(word) <= length)


def _narrow_words(length: int) -> Literals:
    return tuple(literal(word) for word in _WORDS if len(word) <= length and max(word, default="") < "\U00010000")


def long_texts() -> list[Specimen]:
    """Longer than 65,535 bytes of UTF-8, and as long."""
    near = (repeated("x", 65536), repeated("x", 65535), repeated("€", 21846), repeated("€", 21845), repeated("😀", 50000))

    def chance(random: Random) -> str:
        return repeated(random.choice("xé€😀"), random.choice((16383, 16384, 21845, 21846, 32767, 32768, 65535, 65536)))

    latin = (repeated("é", 32767), repeated("é", 32768), repeated("é", 40000), repeated("x", 40000))
    return [
        Specimen("MEDIUMTEXT", Family.TEXT, "VARCHAR(65535)", near, chance),
        Specimen("LONGTEXT", Family.TEXT, "VARCHAR(65535)", (*near, repeated("x", 3_000_000)), chance),
        Specimen(
            "TEXT CHARACTER SET latin1", Family.TEXT, "VARCHAR(65535)", latin, lambda random: repeated("é", random.randint(32760, 32775))
        ),
        Specimen(
            "VARCHAR(40000) CHARACTER SET latin1",
            Family.TEXT,
            "VARCHAR(65535)",
            latin,
            lambda random: repeated("é", random.randint(32760, 32775)),
        ),
    ]


@dataclass(frozen=True, slots=True)
class Charset:
    """A character set of the server: some of the characters it has, and whether each of its bytes is one character."""

    name: str
    alphabet: str
    single: bool

    def specimens(self) -> list[Specimen]:
        if self.name == "binary":
            bytes_ = tuple(f"X'{one.hex()}'" for one in (b"", b"\0", bytes(range(40)), bytes(range(216, 256))))
            some = _bytes_up_to(40)
            return [
                Specimen("VARCHAR(40) CHARACTER SET binary", Family.BYTES, "VARBYTE(40)", bytes_, some, charset=self.name),
                Specimen("TINYTEXT CHARACTER SET binary", Family.BYTES, "VARBYTE(255)", bytes_, some, charset=self.name),
                Specimen("ENUM('a','b') CHARACTER SET binary", Family.TEXT, "VARCHAR(256)", ("1", "2"), charset=self.name),
            ]
        # Plain ASCII but U+0000, one of each block of what there is, and blanks at the end.
        edges = [literal(""), literal("a  "), literal("aZ09?"), literal("a\0"), *self._every_byte()]
        step = max(1, len(self.alphabet) // 100)
        edges += [literal(self.alphabet[at : at + 10 * step : step]) for at in range(0, len(self.alphabet), 10 * step)]
        wide = 1 if self.name in _UTF8 else 3

        def character(random: Random) -> str:
            return random.choice(self.alphabet)

        def typed(sql: str, target: str, length: int) -> Specimen:
            sql = f"{sql} CHARACTER SET {self.name}"
            return Specimen(sql, Family.TEXT, target, tuple(edges), any_text(character, length), charset=self.name)

        return [
            typed("CHAR(16)", "VARCHAR(64)", 16),
            typed("VARCHAR(40)", "VARCHAR(160)", 40),
            typed("TINYTEXT", f"VARCHAR({255 * wide})", 40),
            Specimen(
                f"ENUM({', '.join(self._labels())}) CHARACTER SET {self.name}",
                Family.TEXT,
                "VARCHAR(256)",
                ("1", "2", "3", "4"),
                charset=self.name,
            ),
        ]

    def _every_byte(self) -> list[str]:
        """Bytes that may stand for nothing among them: the server stores them all the same."""
        if not self.single or self.name == "ascii":
            return []
        return [f"_{self.name} X'{bytes(range(first, first + 8)).hex()}'" for first in range(128, 256, 8)]

    def _labels(self) -> list[str]:
        last = self.alphabet[-1]
        texts = ("it's", "a b", self.alphabet[len(self.alphabet) // 2], f"{last}{last}")
        return ["'" + text.replace("\\", "\\\\").replace("'", "''") + "'" for text in texts]


def _bytes_up_to(length: int) -> Callable[[Random], str]:
    return lambda random: f"X'{random.randbytes(random.randint(0, length)).hex()}'"


CHARSETS_A_BENCH = 14
"""More columns than a page of InnoDB holds would be refused."""


def charsets(found: Mapping[str, Charset]) -> list[Bench]:
    names = sorted(found)
    groups = [names[at : at + CHARSETS_A_BENCH] for at in range(0, len(names), CHARSETS_A_BENCH)]
    return [
        bench(f"charsets{number}", *(specimen for name in group for specimen in found[name].specimens()))
        for number, group in enumerate(groups)
    ]


def labels() -> Bench:
    """ENUM and SET. The number 0 of an ENUM is what became of a value that is none of its labels."""
    odd = ("it''s", "co,mma", 'q"x', "名", "b\\\\s", "", "a b", "A", "😀", "x😀", "n\\0l")
    enum = ", ".join(f"'{label}'" for label in odd)
    members = [label for label in odd if "," not in label and label]
    many = [f"m{number}" for number in range(64)]
    all_of_it = (1 << len(members)) - 1
    set64, set_odd = (", ".join(f"'{one}'" for one in some) for some in (many, members))
    wide = ", ".join(f"'l{number}'" for number in range(300))
    longest = "x" * 255
    return bench(
        "labels",
        Specimen(f"ENUM({enum})", Family.TEXT, "VARCHAR(256)", tuple(map(str, range(len(odd) + 1))), _number(len(odd))),
        Specimen(f"ENUM({wide})", Family.TEXT, "VARCHAR(256)", ("0", "1", "255", "256", "300"), _number(300)),
        Specimen(f"ENUM('{longest}','b')", Family.TEXT, "VARCHAR(1020)", ("1", "2")),
        Specimen("ENUM('é','ü') CHARACTER SET latin1", Family.TEXT, "VARCHAR(256)", ("0", "1", "2"), _number(2)),
        Specimen(f"SET({set_odd})", Family.TEXT, "VARCHAR(256)", ("0", "1", "2", "3", str(all_of_it)), _number(all_of_it)),
        Specimen(
            f"SET({set64})",
            Family.TEXT,
            f"VARCHAR({sum(4 * len(one) + 1 for one in many)})",
            ("0", "1", "1 << 63", "~0"),
            _number(2**64 - 1),
        ),
        Specimen("SET('é','ü') CHARACTER SET latin1", Family.TEXT, "VARCHAR(256)", ("0", "1", "2", "3"), _number(3)),
        sql_mode="",
    )


def words_in_a_key() -> list[Specimen]:
    words = ("", "a", "a ", "é😀", "a\0", "0")
    return [
        Specimen("VARCHAR(9)", Family.TEXT, "VARCHAR(36)", tuple(map(literal, words)), any_text(_character, 9)),
        Specimen("CHAR(9) CHARACTER SET cp1256", Family.TEXT, "VARCHAR(36)", ("'a'", "_cp1256 X'418A'", "_cp1256 X'81'"), lambda _: "'b'"),
        Specimen("ENUM('a','b')", Family.TEXT, "VARCHAR(256)", ("1", "2"), _number(2)),
    ]


def _number(most: int) -> Callable[[Random], str]:
    return lambda random: str(random.randint(0, most))
