"""What a real server is made to write: every type, character set and row image, and transactions of every shape; all by seed."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from contracts.table import Kind
from devstack.mysql import MysqlServer
from streamer.core.charsets import BINARY, CHARSETS
from tests.kernel.driving import IGNORED
from tests.streamer.core.test_values_on_a_server import CASES, Case

Statement = str | tuple[str, Sequence[object]]
MODES = ("FULL", "MINIMAL", "NOBLOB")
PREPARE = ("SET time_zone = '+00:00'", "SET NAMES utf8mb4", "SET SESSION sql_mode = ''", "SET SESSION cte_max_recursion_depth = 200000")


@dataclass(frozen=True)
class Chapter:
    """Statements of one connection, whose events are one stream."""

    name: str
    statements: Sequence[Statement]


def quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def database(name: str) -> list[Statement]:
    return [f"DROP DATABASE IF EXISTS {quoted(name)}", f"CREATE DATABASE {quoted(name)}"]


# Every type at its edges, as tests.streamer.core.test_values_on_a_server has them.


def edge_cases() -> list[Case]:
    found = [param.values[0] for param in CASES]
    return [case for case in found if not any("20000000" in literal for literal in case.literals)]  # rows of 20 MB have their own chapter


def types() -> Chapter:
    """All literals of all types inserted, one changed in each row image, one deleted, the key of one changed."""
    statements = [*database("types")]
    for number, case in enumerate(edge_cases()):
        table, mode = f"types.t{number}", MODES[number % 3]
        values = ", ".join(f"({place}, {literal})" for place, literal in enumerate(case.literals))
        statements += [
            f"CREATE TABLE {table} (id INT PRIMARY KEY, v {case.type} NULL)",
            "BEGIN",
            f"INSERT INTO {table} VALUES {values}",
            f"SET SESSION binlog_row_image = {mode}",
            f"UPDATE {table} SET v = {case.literals[0]} WHERE id = {len(case.literals) - 1}",
            f"UPDATE {table} SET v = NULL WHERE id = 0",
            f"DELETE FROM {table} WHERE id = 1",
            "SET SESSION binlog_row_image = FULL",
            f"UPDATE {table} SET id = -1 WHERE id = 0",
            "COMMIT",
        ]
    return Chapter("types", statements)


DATES = ("0000-00-00", "2024-00-00", "2024-05-00", "2024-02-31", "0000-05-01", "2024-02-29")
DATE_COLUMNS = ("date", *(f"{name}({n})" for name in ("datetime", "timestamp") for n in range(7)))


def dates() -> Chapter:
    """Dates that are none."""
    columns = ", ".join(f"c{number} {type_} NULL" for number, type_ in enumerate(DATE_COLUMNS))
    statements: list[Statement] = [
        *database("dates"),
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'",
        f"CREATE TABLE dates.t (id INT PRIMARY KEY, {columns})",
    ]
    for number, day in enumerate(DATES):
        # TIMESTAMP knows only whole zeros.
        values = [
            f"'{day}'" if type_ == "date" else f"'{day} 01:02:03.456789'" if type_.startswith("datetime") else "'0000-00-00 00:00:00'"
            for type_ in DATE_COLUMNS
        ]
        statements.append(f"INSERT INTO dates.t VALUES ({number}, {', '.join(values)})")
    statements += [
        "UPDATE dates.t SET c0 = '2024-00-01' WHERE id = 0",
        "CREATE TABLE dates.k (d DATE, t DATETIME(3), v INT, PRIMARY KEY (d, t))",
        "INSERT INTO dates.k VALUES ('0000-00-00', '2024-00-01', 1), ('2024-02-00', '0000-00-00', 2)",
        "UPDATE dates.k SET d = '2024-00-00' WHERE v = 1",  # another key, both null in JSON
        "UPDATE dates.k SET v = 3 WHERE v = 2",
    ]
    return Chapter("dates", statements)


# Every character set.

UNICODE = {"ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be", "utf8mb3": "utf-8", "utf8mb4": "utf-8"}
BY_LEAD = {"big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ujis"}
POINTS = (0, 9, 34, 39, 92, 127, 128, 255, 0x7FF, 0x800, 0x2028, 0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF)
WIDE_POINTS = (0x10000, 0x1F600, 0x1FFFF, 0x10FFFF)


def codes(charset: str, count: int) -> list[bytes]:
    """Codes to store: all single bytes, and a sample of `count` longer ones where the set has such."""
    chance = Random(f"tidemark {charset}")
    if charset in UNICODE:
        wide = charset not in ("ucs2", "utf8mb3")
        drawn = [chance.randrange(0x110000 if wide else 0x10000) for _ in range(count)]
        points = [*POINTS, *(WIDE_POINTS if wide else ()), *(point for point in drawn if not 0xD800 <= point < 0xE000)]
        return [chr(point).encode(UNICODE[charset]) for point in points]
    found = [bytes([byte]) for byte in range(256)]
    if charset in BY_LEAD:
        found += [bytes([chance.randrange(0x80, 256), chance.randrange(0x30, 256)]) for _ in range(count)]
    if charset in ("ujis", "eucjpms"):
        found += [bytes([0x8F, chance.randrange(0xA1, 255), chance.randrange(0xA1, 255)]) for _ in range(count // 2)]
    if charset == "gb18030":
        for _ in range(count // 2):
            found.append(bytes([chance.randrange(0x81, 0xFF), chance.randrange(0x30, 0x3A)] * 2))
    return found


def label(charset: str) -> str:
    """A text that the set can write, other than ASCII where it has more."""
    for case in edge_cases():
        if case.type == f"varchar(30) character set {charset}":
            return next(literal for literal in case.literals if literal.startswith("_utf8mb4")).removeprefix("_utf8mb4")
    return "'z'"


def charsets(names: Sequence[str], count: int) -> Chapter:
    """For each set: codes in VARCHAR (as bytes, so that undefined ones get in), and labels of ENUM and SET."""
    statements = [*database("charsets")]
    for name in names:
        rows = ", ".join(f"({number}, x'{code.hex()}')" for number, code in enumerate(codes(name, count)))
        text = label(name)
        statements += [
            f"CREATE TABLE charsets.{name} (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET {name} NULL)",
            f"INSERT INTO charsets.{name} VALUES {rows}",
            f"CREATE TABLE charsets.l_{name} (id INT PRIMARY KEY, e ENUM('a', {text}) CHARACTER SET {name},"
            f" s SET('b', {text}) CHARACTER SET {name}, c CHAR(5) CHARACTER SET {name}, t TEXT CHARACTER SET {name})",
            f"INSERT INTO charsets.l_{name} VALUES (1, 1, 2, {text}, {text}), (2, 2, 3, {text}, NULL), (3, 0, 0, '', '')",
        ]
    return Chapter("charsets", statements)


# Documents.


def document(chance: Random, depth: int = 0) -> object:
    """A JSON value as Python has it, not too deep."""
    kind = chance.randrange(9 if depth < 4 else 7)
    if kind == 0:
        return None
    if kind == 1:
        return chance.random() < 0.5
    if kind == 2:
        return chance.choice((0, -1, 1, 127, 32767, -32768, 65535, 2**31, -(2**31), 2**53, 2**63 - 1, -(2**63), 2**64 - 1))
    if kind == 3:
        return chance.choice((0.5, -0.0, 1e300, 1.5e-10, 123456789.125)) if chance.random() < 0.5 else chance.uniform(-1e6, 1e6)
    if kind < 7:
        return text(chance, chance.choice((0, 1, 5, 40, 200)))
    if kind == 7:
        return [document(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {key(chance): document(chance, depth + 1) for _ in range(chance.randrange(5))}


def key(chance: Random) -> str:
    return chance.choice(("a", "b", "c", "aa", "名", 'q"u', "k.e y", ""))


def text(chance: Random, length: int, letters: str = 'aZ 0"\\\n\t\x01é日😀\u2028') -> str:
    return "".join(chance.choices(letters, k=length))


def json_literal(value: object) -> str:
    return f"CAST(CONVERT(x'{json.dumps(value, ensure_ascii=False).encode().hex()}' USING utf8mb4) AS JSON)"


LAST = ("$.list[last]", "$.list[last-1]", "$.list[last-9]", "$.a[last]", "$.deep.a.b[last].c", "$.c[last-1]")
PATHS = (
    "$.a",
    "$.b",
    "$.c[0]",
    "$.a.b",
    "$.list[1]",
    "$.list[7]",
    "$.new",
    '$."名"',
    '$."q\\\\"u"',
    "$.deep.a.b[0].c",
    "$.list[0].x",
    *LAST,
    '$."\xa0\x85\u1680"',
)
OPAQUE = (
    "CAST('-10:11:12.345' AS TIME(3))",
    "CAST('2024-02-29 01:02:03.000001' AS DATETIME(6))",
    "CAST('2024-02-29' AS DATE)",
    "CAST(-12.340 AS DECIMAL(20,3))",
    "CAST(99999999999999999999999999999999999.5 AS DECIMAL(65,30))",
    "0.1234567890123456789012345678901234",
    f"-.{'9' * 80}",
    "CAST(x'00FF7F' AS BINARY)",
    "b'101'",
    "ST_GeomFromText('POINT(1 2)')",
    "CAST(2024 AS YEAR)",
)


def documents(rows: int, updates: int) -> Chapter:
    """Documents of every kind; updated in part, several diffs at a time, in two columns of three."""
    chance = Random("tidemark documents")
    statements = [
        *database("json"),
        "CREATE TABLE json.t (id INT PRIMARY KEY, i JSON, n INT, j JSON, k JSON)",
    ]
    for number in range(rows):
        base = {"list": [document(chance, 2) for _ in range(4)], "deep": {"a": {"b": [{"c": "x" * 30}]}}, key(chance): document(chance)}
        i, j = json_literal({**base, "pad": "p" * 300}), json_literal(document(chance))
        statements.append(f"INSERT INTO json.t VALUES ({number}, {i}, 0, {j}, JSON_OBJECT('a', {chance.choice(OPAQUE)}, 'pad', {'0' * 9}))")
    statements.append("SET SESSION binlog_row_value_options = PARTIAL_JSON")
    for number in range(updates):
        compressed = "ON" if number % 5 == 0 else "OFF"
        statements.append(f"SET SESSION binlog_transaction_compression = {compressed}")
        changed = ", ".join(f"{column} = {update(chance, column)}" for column in chance.sample("ik", k=chance.choice((1, 2))))
        statements.append(f"UPDATE json.t SET n = {number}, {changed} WHERE id % {rows} IN ({chance.randrange(rows)}, {number % rows})")
    return Chapter("json", statements)


def update(chance: Random, column: str) -> str:
    if chance.random() < 0.06:
        return chance.choice(("NULL", "'[]'", f"JSON_OBJECT('a', {chance.choice(OPAQUE)})"))
    value = column
    for _ in range(chance.randrange(1, 4)):
        path = chance.choice(PATHS)
        new = chance.choice((json_literal(document(chance, 3)), chance.choice(OPAQUE), f"{chance.randrange(300)}", "'yy'"))
        function = chance.choice(("JSON_SET", "JSON_SET", "JSON_REPLACE", "JSON_REMOVE"))
        value = f"JSON_REMOVE({value}, '{path}')" if function == "JSON_REMOVE" else f"{function}({value}, '{path}', {new})"
    return value


# Random tables and random changes of them.


class Draw:
    """Draws literals of one type."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance

    def integer(self, bits: int, unsigned: bool) -> str:
        low, high = (0, 1 << bits) if unsigned else (-(1 << bits - 1), 1 << bits - 1)
        return str(self.chance.choice((low, high - 1, 0, 1, self.chance.randrange(low, high))))

    def decimal(self, precision: int, scale: int) -> str:
        digits = "".join(self.chance.choices(self.chance.choice(("0", "9", "0123456789")), k=precision))
        whole, part = digits[: precision - scale] or "0", digits[precision - scale :]
        return f"{self.chance.choice(('', '-'))}{whole}{'.' + part if part else ''}"

    def real(self) -> str:
        value = self.chance.choice((0.0, -0.0, 1.1, self.chance.uniform(-1e6, 1e6), self.chance.uniform(-1, 1) * 1e-20))
        return f"{value!r}{'' if 'e' in repr(value) else 'e0'}"

    def bits(self, width: int) -> str:
        return f"b'{self.chance.getrandbits(width):b}'"

    def day(self) -> str:
        year = self.chance.choice((1000, 1969, 1970, 2024, 9999, self.chance.randrange(1000, 10000)))
        return f"{year:04}-{self.chance.randrange(1, 13):02}-{self.chance.randrange(1, 29):02}"

    def clock(self, digits: int) -> str:
        fraction = f".{self.chance.randrange(10**digits):0{digits}}" if digits else ""
        return f"{self.chance.randrange(24):02}:{self.chance.randrange(60):02}:{self.chance.randrange(60):02}{fraction}"

    def stamp(self, digits: int) -> str:
        return f"'{self.chance.randrange(1971, 2038)}-{self.chance.randrange(1, 13):02}-01 {self.clock(digits)}'"

    def time(self, digits: int) -> str:
        return f"'{self.chance.choice(('', '-'))}{self.chance.choice(('', '8'))}{self.clock(digits)}'"

    def text(self, length: int, letters: str) -> str:
        return f"_utf8mb4 x'{text(self.chance, self.chance.randrange(length + 1), letters).encode().hex()}'"

    def bytes(self, length: int) -> str:
        return f"x'{self.chance.randbytes(self.chance.randrange(length + 1)).hex()}'"


@dataclass(frozen=True)
class Drawn:
    """A column type, and what draws an SQL literal of it."""

    ddl: str
    kind: Kind
    draw: Callable[[], str]


LATIN = 'aZ 0"\\\n\té€ü'


def drawn_types(chance: Random) -> list[Drawn]:
    d = Draw(chance)
    n = chance.randrange(7)
    p = chance.randrange(1, 66)
    s = chance.randrange(min(p, 30) + 1)
    b = chance.randrange(1, 65)
    return [
        Drawn("TINYINT", Kind.TINYINT, lambda: d.integer(8, False)),
        Drawn("SMALLINT UNSIGNED", Kind.SMALLINT, lambda: d.integer(16, True)),
        Drawn("MEDIUMINT", Kind.MEDIUMINT, lambda: d.integer(24, False)),
        Drawn("MEDIUMINT UNSIGNED", Kind.MEDIUMINT, lambda: d.integer(24, True)),
        Drawn("INT UNSIGNED", Kind.INT, lambda: d.integer(32, True)),
        Drawn("BIGINT", Kind.BIGINT, lambda: d.integer(64, False)),
        Drawn("BIGINT UNSIGNED", Kind.BIGINT, lambda: d.integer(64, True)),
        Drawn(f"DECIMAL({p},{s})", Kind.DECIMAL, lambda: d.decimal(p, s)),
        Drawn("FLOAT", Kind.FLOAT, d.real),
        Drawn("DOUBLE", Kind.DOUBLE, d.real),
        Drawn(f"BIT({b})", Kind.BIT, lambda: d.bits(b)),
        Drawn("YEAR", Kind.YEAR, lambda: str(chance.choice((0, 1901, 2155, 2024)))),
        Drawn("DATE", Kind.DATE, lambda: f"'{d.day()}'"),
        Drawn(f"DATETIME({n})", Kind.DATETIME, lambda: f"'{d.day()} {d.clock(n)}'"),
        Drawn(f"TIMESTAMP({n})", Kind.TIMESTAMP, lambda: d.stamp(n)),
        Drawn(f"TIME({n})", Kind.TIME, lambda: d.time(n)),
        Drawn("CHAR(20)", Kind.CHAR, lambda: d.text(20, 'aZ0"\\é日😀')),
        Drawn("VARCHAR(40) CHARACTER SET latin1", Kind.VARCHAR, lambda: d.text(40, LATIN)),
        Drawn("VARCHAR(300)", Kind.VARCHAR, lambda: d.text(300, 'aZ 0"\\\n\x01é日😀')),
        Drawn("TEXT CHARACTER SET utf16", Kind.TEXT, lambda: d.text(50, "aé日😀")),
        Drawn("VARCHAR(30) CHARACTER SET sjis", Kind.VARCHAR, lambda: d.text(30, "a日本ｱ")),
        Drawn("BINARY(9)", Kind.BINARY, lambda: d.bytes(9)),
        Drawn("VARBINARY(300)", Kind.VARBINARY, lambda: d.bytes(300)),
        Drawn("BLOB", Kind.BLOB, lambda: d.bytes(600)),
        Drawn("ENUM('a','it''s','q\"x','名','')", Kind.ENUM, lambda: str(chance.randrange(1, 6))),
        Drawn("SET('a','it''s','q\"x','名','e')", Kind.SET, lambda: str(chance.randrange(32))),
        Drawn("JSON", Kind.JSON, lambda: json_literal(document(chance))),
        Drawn("GEOMETRY", Kind.GEOMETRY, lambda: f"ST_GeomFromText('POINT({chance.randrange(90)} {chance.randrange(90)})', 4326)"),
        Drawn("VECTOR(3)", Kind.VECTOR, lambda: f"TO_VECTOR('[{d.real()},1,-2.5]')"),
    ]


@dataclass
class Table:
    """A table of random columns as it stands, and the ids in it."""

    name: str
    chance: Random
    columns: dict[str, Drawn] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)
    made: int = 0

    def add(self) -> tuple[str, str]:
        """A column more: its name and type."""
        self.made += 1
        name = f"{self.chance.choice(('c', 'C d', 'q`x', 'ü', 'a.b', 'its'))}{self.made}"
        self.columns[name] = self.chance.choice(drawn_types(self.chance))
        return name, self.columns[name].ddl

    def literal(self, name: str) -> str:
        return "NULL" if self.chance.random() < 0.15 else self.columns[name].draw()

    def create(self) -> str:
        columns = ", ".join(f"{quoted(name)} {ddl} NULL" for name, ddl in (self.add() for _ in range(self.chance.randrange(3, 12))))
        return f"CREATE TABLE {self.name} (id INT PRIMARY KEY, touched INT NOT NULL, {columns})"

    def insert(self) -> str:
        rows = []
        for _ in range(self.chance.randrange(1, 5)):
            number = max(self.ids, default=0) + self.chance.randrange(1, 4)
            self.ids.append(number)
            rows.append(f"({number}, 0, {', '.join(self.literal(name) for name in self.columns)})")
        names = ", ".join(quoted(name) for name in self.columns)
        return f"INSERT INTO {self.name} (id, touched, {names}) VALUES {', '.join(rows)}"

    def update(self, *, whole: bool) -> str:
        """`whole`: of every column, for images that hold only what a statement sets."""
        names = list(self.columns)
        chosen = names if whole else self.chance.sample(names, k=self.chance.randrange(1, len(names) + 1))
        changes = ", ".join(f"{quoted(name)} = {self.literal(name)}" for name in chosen)
        return f"UPDATE {self.name} SET touched = touched + 1, {changes} WHERE id = {self.chance.choice(self.ids)}"

    def delete(self) -> str:
        number = self.ids.pop(self.chance.randrange(len(self.ids)))
        return f"DELETE FROM {self.name} WHERE id = {number}"

    def rekey(self) -> str:
        place = self.chance.randrange(len(self.ids))
        old, self.ids[place] = self.ids[place], max(self.ids) + 1
        return f"UPDATE {self.name} SET id = {self.ids[place]} WHERE id = {old}"

    def alter(self) -> str:
        chance = self.chance
        kind = chance.randrange(5)
        name = chance.choice(list(self.columns))
        if kind == 0 and len(self.columns) > 2:
            del self.columns[name]
            return f"ALTER TABLE {self.name} DROP COLUMN {quoted(name)}"
        if kind == 1:
            self.made += 1
            new = f"{name[:20]}r{self.made}"
            self.columns = {new if column == name else column: held for column, held in self.columns.items()}
            return f"ALTER TABLE {self.name} RENAME COLUMN {quoted(name)} TO {quoted(new)}"
        if kind == 2:
            return f"ALTER TABLE {self.name} MODIFY {quoted(name)} {self.columns[name].ddl} NULL FIRST"
        new, ddl = self.add()
        where = chance.choice(("", " FIRST", " AFTER id"))
        how = ", ALGORITHM = COPY" if kind == 3 else ""
        return f"ALTER TABLE {self.name} ADD COLUMN {quoted(new)} {ddl} NULL{where}{how}"


def drawn_tables(count: int, seed: int = 1) -> list[Table]:
    return [Table(f"drawn.t{number}", Random(f"tidemark table {seed} {number}")) for number in range(count)]


def drawn(tables: Sequence[Table], transactions: int, seed: int = 1) -> Chapter:
    """Transactions over random tables, which are altered in between. Afterwards the tables are as they stand, and every row was written
    anew, so that SELECT and the last records say the same."""
    chance = Random(f"tidemark drawn {seed}")
    statements = [*database("drawn"), *(table.create() for table in tables), *(table.insert() for table in tables)]
    for number in range(transactions):
        mode = chance.choice(("FULL", "FULL", "MINIMAL", "NOBLOB"))
        statements += [
            f"SET SESSION binlog_row_image = {mode}",
            f"SET SESSION binlog_transaction_compression = {'ON' if number % 4 == 1 else 'OFF'}",
            f"SET SESSION binlog_rows_query_log_events = {'ON' if number % 9 == 1 else 'OFF'}",
            "BEGIN",
        ]
        statements += [change(chance.choice(tables), chance, mode) for _ in range(chance.randrange(1, 6))]
        statements.append("COMMIT")
        if number % 5 == 4:
            statements.append(chance.choice(tables).alter())
    statements += ["SET SESSION binlog_row_image = FULL", *(f"UPDATE {table.name} SET touched = touched + 1" for table in tables)]
    return Chapter("drawn", statements)


def change(table: Table, chance: Random, mode: str) -> str:
    kind = chance.randrange(7) if len(table.ids) > 3 else 0
    if kind < 2:
        return table.insert()
    if kind == 2:
        return table.delete()
    if kind == 3 and mode == "FULL":
        return table.rekey()
    return table.update(whole=mode != "FULL")


# Names, keys, shapes.

NAMES = ('we"ird`; drop -- 名', "it's\\n", "a.b", "é¼\u2028", " lead", "%s{}")


def names() -> Chapter:
    statements: list[Statement] = []
    for number, name in enumerate(NAMES):
        other = NAMES[(number + 1) % len(NAMES)]
        table = f"{quoted('n ' + name)}.{quoted(name)}"
        statements += [
            *database("n " + name),
            f"CREATE TABLE {table} ({quoted(name)} INT PRIMARY KEY, {quoted(other)} VARCHAR(20), `null` INT)",
            f"INSERT INTO {table} VALUES (1, 'a', NULL), (2, 'b', 2)",
            f"UPDATE {table} SET {quoted(name)} = 7 WHERE {quoted(name)} = 1",
            f"DELETE FROM {table} WHERE {quoted(name)} = 2",
        ]
    return Chapter("names", statements)


def keys() -> Chapter:
    """Primary, composite, over a prefix, unique, chosen, none; generated and invisible columns; keys that change."""
    statements = [
        *database("k"),
        *database(IGNORED),
        "CREATE TABLE k.composite (x INT, y VARCHAR(20), z DECIMAL(9,2), v JSON, PRIMARY KEY (z, y))",
        "INSERT INTO k.composite VALUES (1, 'a\"', 1.5, '[1]'), (2, 'b', -0.5, 'null'), (3, 'c', 0, NULL)",
        "UPDATE k.composite SET z = z + 1",
        "UPDATE k.composite SET x = 9 WHERE y = 'b'",
        "UPDATE k.composite SET y = UPPER(y), v = '{}'",
        "DELETE FROM k.composite WHERE x < 9",
        "CREATE TABLE k.prefixed (x VARCHAR(50), y INT, PRIMARY KEY (y, x(3)))",
        "INSERT INTO k.prefixed VALUES ('abcdef', 1)",
        "UPDATE k.prefixed SET x = 'abcxyz'",
        "CREATE TABLE k.uniquely (y INT UNIQUE, x INT NOT NULL UNIQUE)",
        "INSERT INTO k.uniquely VALUES (1, 1), (NULL, 2)",
        "UPDATE k.uniquely SET y = 5 WHERE x = 2",
        "CREATE TABLE k.keyless (x INT, t TEXT)",
        "INSERT INTO k.keyless VALUES (1, 'a'), (1, 'a'), (NULL, NULL)",
        "UPDATE k.keyless SET x = 2 WHERE x = 1",
        "DELETE FROM k.keyless",
        "CREATE TABLE k.chosen (a INT, b CHAR(3), c FLOAT)",
        "INSERT INTO k.chosen VALUES (1, 'x', 1.1), (2, 'y', NULL)",
        "UPDATE k.chosen SET b = 'z' WHERE a = 2",
        "SET SESSION sql_generate_invisible_primary_key = ON",
        "CREATE TABLE k.implicit (a INT, b INT AS (a + 1) VIRTUAL, c INT AS (a * 2) STORED, d INT INVISIBLE, KEY ((a + 5)))",
        "INSERT INTO k.implicit (a, d) VALUES (1, 9), (2, NULL)",
        "UPDATE k.implicit SET a = 5",
        "SET SESSION sql_generate_invisible_primary_key = OFF",
        f"CREATE TABLE {IGNORED}.t (id INT PRIMARY KEY)",
        f"INSERT INTO {IGNORED}.t VALUES (1), (2)",
        "BEGIN",
        f"INSERT INTO {IGNORED}.t VALUES (4)",
        "INSERT INTO k.chosen VALUES (3, 'w', -0e0)",
        f"DELETE FROM {IGNORED}.t",
        "COMMIT",
    ]
    return Chapter("keys", statements)


def shapes() -> Chapter:
    """Transactions of every shape that may hold captured rows, DDL in between, and files with and without checksums."""
    statements = [
        *database("s"),
        "CREATE TABLE s.a (id INT PRIMARY KEY, v LONGTEXT)",
        "CREATE TABLE s.b (id INT PRIMARY KEY, v LONGTEXT)",
        "INSERT INTO s.a VALUES (1, REPEAT('a', 9000)), (2, REPEAT('b', 30000))",
        "INSERT INTO s.b VALUES (1, ''), (2, '')",
        "UPDATE s.a, s.b SET s.a.v = CONCAT(s.a.v, '!'), s.b.v = s.a.id WHERE s.a.id = s.b.id",
        "BEGIN",
        "INSERT INTO s.a VALUES (3, 'kept')",
        "SAVEPOINT one",
        "INSERT INTO s.b VALUES (3, 'undone')",
        "SAVEPOINT two",
        "INSERT INTO s.b VALUES (4, 'undone')",
        "ROLLBACK TO one",
        "INSERT INTO s.b VALUES (5, 'kept')",
        "RELEASE SAVEPOINT one",
        "COMMIT",
        "CREATE TABLE s.m (id INT PRIMARY KEY, v INT) ENGINE=MyISAM",
        "CREATE TABLE s.h (id INT PRIMARY KEY, v INT) ENGINE=MEMORY",
        "INSERT INTO s.m VALUES (1, 1), (2, 2)",
        "INSERT INTO s.h SELECT * FROM s.m",
        "UPDATE s.h SET v = v + 1",
        "DELETE FROM s.m",
        "TRUNCATE TABLE s.b",
        "INSERT INTO s.b VALUES (1, 'after')",
        "DELETE FROM s.h",
        "SET SESSION gtid_next = 'AUTOMATIC:blue'",
        "INSERT INTO s.b VALUES (10, 'tagged'), (11, 'tagged')",
        "SET SESSION gtid_next = 'AUTOMATIC:a_long_tag_of_thirty_two_letters'",
        "DELETE FROM s.b WHERE id = 10",
        "SET SESSION gtid_next = 'AUTOMATIC'",
        "CREATE TABLE s.w SELECT 1 AS one, CAST('x' AS CHAR(5)) AS two",
        "CREATE TABLE s.l LIKE s.a",
        "INSERT INTO s.l SELECT * FROM s.a",
        "XA START 'g''x', x'ff', 7",
        "INSERT INTO s.l VALUES (100, 'in XA')",
        "DELETE FROM s.l WHERE id = 1",
        "XA END 'g''x', x'ff', 7",
        "XA COMMIT 'g''x', x'ff', 7 ONE PHASE",
        "DROP TABLE s.l",
        "CREATE TABLE s.l (v CHAR(3) CHARACTER SET latin1, id BIGINT UNSIGNED PRIMARY KEY)",
        "INSERT INTO s.l VALUES ('é', 18446744073709551615)",
        "RENAME TABLE s.l TO s.r",
        "INSERT INTO s.r VALUES ('ü', 1)",
        "SET GLOBAL binlog_checksum = NONE",
        "INSERT INTO s.r VALUES ('ö', 2)",
        "FLUSH BINARY LOGS",
        "INSERT INTO s.r VALUES ('ä', 3)",
        "SET GLOBAL binlog_checksum = CRC32",
        "INSERT INTO s.r VALUES ('ß', 4)",
        "FLUSH BINARY LOGS",
        "BEGIN",
        *(f"INSERT INTO s.r VALUES (NULL, {number})" for number in range(5, 25)),
        "COMMIT",
        "BEGIN",
        "INSERT INTO s.r VALUES (NULL, 99)",
        "ROLLBACK",
        "INSERT INTO s.r VALUES (NULL, 100)",
        "CREATE USER IF NOT EXISTS corpus@localhost IDENTIFIED BY 'secret'",
        "DROP USER corpus@localhost",
        "CREATE TEMPORARY TABLE s.tmp (id INT)",
        "INSERT INTO s.tmp VALUES (1)",
        "INSERT INTO s.r SELECT NULL, 1000 + id FROM s.tmp",
        "DROP TABLE IF EXISTS s.w, s.nothing",
        "ALTER TABLE s.r CONVERT TO CHARACTER SET utf8mb4",
        "UPDATE s.r SET v = '😀' WHERE id = 1",
        "ALTER TABLE s.r ADD COLUMN e ENUM('a','b') NOT NULL DEFAULT 'b' FIRST, ALGORITHM = INSTANT",
        "INSERT INTO s.r (id) VALUES (2000)",
        "ALTER TABLE s.r MODIFY e ENUM('b','a')",
        "UPDATE s.r SET v = 'x' WHERE id = 1",
        "ALTER TABLE s.r DROP PRIMARY KEY, ADD PRIMARY KEY (id, e)",
        "UPDATE s.r SET e = 'a' WHERE id = 2",
    ]
    return Chapter("shapes", statements)


WIDE = ("INT UNSIGNED", "VARCHAR(20) CHARACTER SET latin1", "ENUM('a','é')", "VARCHAR(9) CHARACTER SET sjis", "SET('x','y')", "VECTOR(2)")
WIDE_VALUES = ("4294967295", "'é'", "'é'", "'日'", "'y'", "TO_VECTOR('[1,2]')")


def wide() -> Chapter:
    """Three hundred columns, NULL and not, in all images."""
    columns = ", ".join(f"c{n} {WIDE[n % 6]}" for n in range(299))
    literals = ", ".join(WIDE_VALUES[n % 6] if n % 7 else "NULL" for n in range(299))
    statements = [*database("w"), f"CREATE TABLE w.t (id INT PRIMARY KEY, {columns})"]
    for number, mode in enumerate(MODES):
        sets = ", ".join(f"c{n} = {WIDE_VALUES[n % 6] if n % 5 == number else 'NULL'}" for n in range(299))
        statements += [
            f"SET SESSION binlog_row_image = {mode}",
            f"INSERT INTO w.t VALUES ({number}, {literals})",
            f"UPDATE w.t SET {sets} WHERE id = {number}",
        ]
    return Chapter("wide", [*statements, "SET SESSION binlog_row_image = FULL", "UPDATE w.t SET id = 77 WHERE id = 0", "DELETE FROM w.t"])


NUMBERS = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < {count})"


def payload(rows: int) -> Chapter:
    """One compressed transaction of very many rows of two tables."""
    numbers = NUMBERS.format(count=rows)
    return Chapter(
        "payload",
        [
            *database("p"),
            "CREATE TABLE p.t (id INT PRIMARY KEY, v VARCHAR(300), n BIGINT)",
            "CREATE TABLE p.u (id INT PRIMARY KEY, v DECIMAL(20,5))",
            "SET SESSION binlog_transaction_compression = ON",
            "BEGIN",
            f"INSERT INTO p.t {numbers} SELECT i, SHA2(i, 256), i * 1234567 FROM n",
            "INSERT INTO p.u SELECT id, id / 7 FROM p.t WHERE id % 5 = 0",
            "UPDATE p.t SET id = id + 1000000 WHERE id <= 300",
            "COMMIT",
            "DELETE FROM p.t WHERE id <= 500",
        ],
    )


def split(rows: int) -> Chapter:
    """A transaction to be split at every row: several tables, statements, keys that change; one before it and one behind."""
    numbers = NUMBERS.format(count=rows)
    return Chapter(
        "split",
        [
            *database("x"),
            "CREATE TABLE x.t (id INT PRIMARY KEY, v VARCHAR(30))",
            "CREATE TABLE x.u (id INT PRIMARY KEY, d DATE)",
            "INSERT INTO x.t VALUES (-1, 'before')",
            "BEGIN",
            f"INSERT INTO x.t {numbers} SELECT i, CONCAT('v', i) FROM n",
            f"INSERT INTO x.u {numbers} SELECT i, IF(i % 3, '2024-02-29', '2024-00-00') FROM n",
            "UPDATE x.t SET id = id + 1000 WHERE id % 4 = 0",
            "DELETE FROM x.u WHERE id % 7 = 0",
            "COMMIT",
            "INSERT INTO x.t VALUES (-2, 'behind')",
        ],
    )


def large(size_bytes: int) -> Chapter:
    """Rows of so many bytes, plain and compressed."""
    return Chapter(
        "large",
        [
            *database("l"),
            "CREATE TABLE l.b (id INT PRIMARY KEY, v LONGBLOB)",
            "CREATE TABLE l.t (id INT PRIMARY KEY, v LONGTEXT)",
            "CREATE TABLE l.j (id INT PRIMARY KEY, v JSON)",
            f"INSERT INTO l.b VALUES (1, REPEAT(x'00FF7F80', {size_bytes // 4}))",
            f"INSERT INTO l.t VALUES (1, REPEAT('é\"', {size_bytes // 3}))",
            f"INSERT INTO l.j VALUES (1, JSON_OBJECT('a', REPEAT('x', {size_bytes - 100}), 'b', 1.5))",
            "UPDATE l.t SET v = 'short' WHERE id = 1",
            "SET SESSION binlog_transaction_compression = ON",
            f"UPDATE l.t SET v = REPEAT('y', {size_bytes}), id = 2 WHERE id = 1",
            "DELETE FROM l.b",
        ],
    )


def character_sets(server: MysqlServer) -> frozenset[str]:
    """Those the server knows."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW CHARACTER SET")
        return frozenset(str(row[0]) for row in cursor.fetchall())


def complete(known: Collection[str], tables: list[Table], large_bytes: int) -> list[Chapter]:
    """Every chapter whose rows are whole. `known`: the server's character sets; `tables`: those drawn at random; `large_bytes`: of the
    largest value."""
    return [
        types(),
        dates(),
        charsets(sorted(set(known) - {BINARY}), 120),
        documents(30, 200),
        drawn(tables, 250),
        names(),
        keys(),
        shapes(),
        wide(),
        payload(24_000),
        split(60),
        large(large_bytes),
    ]


def incomplete() -> Iterator[Chapter]:
    """What must stop the stream, each alone: rows without columns that cannot be done without; outcomes that are not known."""
    table = "CREATE TABLE i.t (id INT PRIMARY KEY, a INT NOT NULL DEFAULT 5, b TEXT, j JSON)"
    row = "INSERT INTO i.t VALUES (1, 1, 'x', CONCAT('{\"a\": [1, 2], \"pad\": \"', REPEAT('x', 200), '\"}'))"
    partial = "SET SESSION binlog_row_value_options = PARTIAL_JSON"
    minimal = "SET SESSION binlog_row_image = MINIMAL"
    cases: dict[str, Sequence[str]] = {
        "insert": (minimal, "INSERT INTO i.t (id, b) VALUES (2, 'y')"),
        "update": (minimal, "UPDATE i.t SET b = 'z' WHERE id = 1"),
        "key": (minimal, "UPDATE i.t SET id = 3 WHERE id = 1"),
        "noblob": ("SET SESSION binlog_row_image = NOBLOB", "UPDATE i.t SET a = 2 WHERE id = 1"),
        "diff": (minimal, partial, "UPDATE i.t SET a = 3, b = 'q', j = JSON_SET(j, '$.a[0]', 7) WHERE id = 1"),
        "statement": ("SET SESSION binlog_format = STATEMENT", "INSERT INTO i.t (id) VALUES (9)"),
        "xa": ("XA START 'p'", "UPDATE i.t SET a = 9", "XA END 'p'", "XA PREPARE 'p'", "XA COMMIT 'p'"),
    }  # fmt: skip
    for name, statements in cases.items():
        yield Chapter(name, [*database("i"), table, row, *statements])


def all_charsets() -> list[str]:
    return sorted(CHARSETS - {BINARY})
