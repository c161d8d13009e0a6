"""Rows read by SELECT are the rows the binlog tells of: the same schema, keys, images and raw texts, whatever the types."""

from collections import Counter
from collections.abc import Iterator, Sequence

import orjson
import pytest

from contracts.table import TableId
from devstack.mysql import MysqlServer
from streamer.core.decoders import choose
from streamer.core.schemas import TableMap
from tests.decoders import DECODERS
from tests.kernel import corpus
from tests.kernel.driving import IGNORED
from tests.streamer.core.recording import decoded, record, run
from tests.streamer.core.selecting import Reading, delete_all, read_all, read_keys, reading, tables_of

pytestmark = pytest.mark.stack

KINDS = corpus.Chapter(
    "kinds",
    [
        *corpus.database("kinds"),
        # Every type that a SELECT does not show as it is, at its edges.
        "CREATE TABLE kinds.plain (id INT PRIMARY KEY, f FLOAT, m FLOAT(7,3), d DOUBLE, e DOUBLE(20,3), z DECIMAL(9,2) ZEROFILL,"
        " i BIGINT(30) UNSIGNED ZEROFILL, b BIT(1), w BIT(64), n ENUM('a','it''s','b\\\\s','','x?'), "
        "s SET('b','é','a') CHARACTER SET latin1, y YEAR, t TIME(3), v VECTOR(2), g POINT SRID 4326, j JSON, c CHAR(9), "
        "l TEXT CHARACTER SET utf16, x BINARY(3), o BLOB)",
        "INSERT INTO kinds.plain VALUES (1, 1.1, 1234.567, -0e0, 12345678901234567.123, 1.5, 18446744073709551615, 1, ~0, 0, 5, 0,"
        " '-838:59:59', TO_VECTOR('[1.1,-0.0]'), ST_GeomFromText('POINT(10 20)', 4326), '{\"a\": [1.50, \"\\\\u0000\"]}', 'x  ', '😀\\\"',"
        " x'00', x'FF00')",
        "INSERT INTO kinds.plain VALUES (2, 16777217, -0.001, 5e-324, -1e300, 0, 7, 0, 1, 3, 7, 2155, '-00:00:00.001', TO_VECTOR('[1]'),"
        " NULL, JSON_ARRAY(CAST('-10:11:12.5' AS TIME(1)), CAST(1.50 AS DECIMAL(9,2)), x'00FF'), '', '', '', '')",
        "INSERT INTO kinds.plain (id) VALUES (3)",
        "CREATE TABLE kinds.days (d DATE, t DATETIME(3), s TIMESTAMP(6) NULL, v VARCHAR(9) CHARACTER SET cp1251, PRIMARY KEY (d, t))",
        "INSERT INTO kinds.days VALUES ('0000-00-00', '2024-05-00 01:02:03.456', '0000-00-00', x'98'),"
        " ('2024-02-31', '2024-02-29', '2038-01-19 03:14:07.999999', 'При'), ('9999-12-31', '0001-01-01', NULL, NULL)",
        # What names a row, and what of a table is in its row events.
        "CREATE TABLE kinds.prefixed (x VARCHAR(50), y INT, PRIMARY KEY (y, x(3)), UNIQUE KEY (y))",
        "INSERT INTO kinds.prefixed VALUES ('abcdef', 1)",
        "CREATE TABLE kinds.uniquely (n INT UNIQUE, b INT NOT NULL, a INT NOT NULL, UNIQUE KEY p (b, a), UNIQUE KEY q (a, b))",
        "INSERT INTO kinds.uniquely VALUES (NULL, 1, 2)",
        "CREATE TABLE kinds.virtually (a INT, v INT AS (a + 1) VIRTUAL NOT NULL UNIQUE)",
        "INSERT INTO kinds.virtually (a) VALUES (5)",
        "CREATE TABLE kinds.keyless (x INT, t TEXT)",
        "INSERT INTO kinds.keyless VALUES (1, 'a'), (1, 'a'), (NULL, NULL)",
        "SET SESSION sql_generate_invisible_primary_key = ON",
        "CREATE TABLE kinds.implicit (a INT, b INT AS (a + 1) VIRTUAL, c INT AS (a * 2) STORED, d INT INVISIBLE, UNIQUE KEY ((a + 5)))",
        "INSERT INTO kinds.implicit (a, d) VALUES (1, 9), (2, NULL)",
        "SET SESSION sql_generate_invisible_primary_key = OFF",
    ],
)


@pytest.fixture(scope="module")
def read(server: MysqlServer) -> Iterator[Reading]:
    with reading(server) as made:
        yield made


def wrote(server: MysqlServer, chapter: corpus.Chapter) -> list[TableId]:
    """The tables of a chapter that was run."""
    run(server, [*corpus.PREPARE, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", *chapter.statements])
    names = [
        s.removeprefix("CREATE DATABASE ")[1:-1] for s in chapter.statements if isinstance(s, str) and s.startswith("CREATE DATABASE ")
    ]
    return [table for table in tables_of(server, [name.replace("``", "`") for name in names]) if table.database != IGNORED]


def compare(server: MysqlServer, read: Reading, tables: Sequence[TableId], decoder: str, mislabelled: str = "") -> int:
    """Reads all rows, has them deleted, and holds both against each other; returns how many there were. `mislabelled`: tables with labels
    that the catalogue cannot show."""
    decoders = choose(decoder)
    selected = {table: read_all(read, decoders, table) for table in tables}
    deleted = delete_all(server, tables, decoder)
    for table, found in selected.items():
        if table not in deleted:
            assert not found.records, table
            continue
        schema = deleted[table].schema
        assert (found.definition.schema == schema) == (table.name not in mislabelled.split())
        assert Counter(found.told) == deleted[table].told, table
    return sum(len(found.records) for found in selected.values())


@pytest.mark.parametrize("decoder", DECODERS)
def test_rows_are_those_of_the_binlog(server: MysqlServer, read: Reading, decoder: str) -> None:
    assert compare(server, read, wrote(server, KINDS), decoder) == 14


SHAPES = {
    # What stands behind (a, b, c) → the key that names its rows.
    "UNIQUE q (b), UNIQUE p (a)": ("b",),
    "UNIQUE q (n), UNIQUE p (b)": ("b",),
    "UNIQUE q (b, n), UNIQUE p (c, b)": ("c", "b"),
    "UNIQUE q (a, b), UNIQUE p (b)": ("a", "b"),
    "UNIQUE q (b DESC, a), UNIQUE p (a, b)": ("b", "a"),
    "UNIQUE q (t(3))": (),
    "UNIQUE q (t(3)), UNIQUE p (b)": ("b",),
    "UNIQUE q ((a + 1))": (),
    "UNIQUE q (b, (a + 1)), UNIQUE p (b)": ("b",),
    "UNIQUE q (v)": (),
    "UNIQUE q (v), UNIQUE p (b)": ("b",),
    "UNIQUE q (s), UNIQUE p (b)": ("s",),
    "UNIQUE q (x(255), b), UNIQUE p (b)": ("x", "b"),
    "UNIQUE q (x(254), b), UNIQUE p (c)": ("c",),
    "UNIQUE q (l(255))": ("l",),
    "UNIQUE q (n)": (),
    "PRIMARY KEY (c, t(2)), UNIQUE q (a)": ("c", "t"),
}


def test_of_several_unique_keys_a_select_takes_the_one_that_the_binlog_names(server: MysqlServer, read: Reading) -> None:
    """Else the rows that are read and those that are streamed would have two names."""
    run(server, ["CREATE DATABASE shapes"])
    columns = (
        "a INT NOT NULL, b INT NOT NULL, c INT NOT NULL, n INT, t VARCHAR(9) NOT NULL, x TINYBLOB NOT NULL,"
        " l TINYTEXT CHARACTER SET latin1 NOT NULL, v INT AS (a + 1) VIRTUAL NOT NULL, s INT AS (a + 2) STORED NOT NULL"
    )
    for number, (keys, chosen) in enumerate(SHAPES.items()):
        table = TableId("shapes", f"t{number}")
        insert = f"INSERT INTO {table} (a, b, c, n, t, x, l) VALUES (1, 2, 3, 4, 'five', 'six', 'seven')"
        raws = record(server, [f"CREATE TABLE {table} ({columns}, {keys})", insert])
        (streamed,) = [located.event.schema for located in decoded(raws) if isinstance(located.event, TableMap)]
        assert streamed.key == chosen, keys
        definition = read.definition(table)
        assert definition.schema == streamed, keys
        assert chosen in (next(iter(read.edge.unique_keys(table)), ()), ("c", "t")), keys
        # Without a key nothing tells which rows of a chunk the stream has, so there must be no second chunk.
        assert not definition.order or chosen, keys


@pytest.mark.parametrize("decoder", DECODERS)
def test_labels_that_the_catalogue_cannot_show_are_read_and_found_by_key(server: MysqlServer, read: Reading, decoder: str) -> None:
    statements = [
        *corpus.database("labels"),
        "CREATE TABLE labels.t (e ENUM('a', '?', '😀', 'x😀'), s SET('b', '😀', '?'), n INT, PRIMARY KEY (e, s))",
        "INSERT INTO labels.t VALUES ('😀', '', 1), ('?', 'b,😀', 2), ('x😀', '😀,?', 3), ('a', 'b,?', 4)",
    ]
    (table,) = wrote(server, corpus.Chapter("labels", statements))
    decoders = choose(decoder)
    rows = [orjson.loads(image) for _, image, _ in read_all(read, decoders, table).told]
    assert [(row["e"], row["s"]) for row in rows] == [("a", "b,?"), ("?", "b,😀"), ("😀", ""), ("x😀", "😀,?")]
    for row in rows:
        found = read_keys(read, decoders, read.definition(table), [{"e": row["e"], "s": row["s"]}])
        assert [orjson.loads(image) for _, image, _ in found.told] == [row]
    assert compare(server, read, [table], decoder, "t") == 4


@pytest.mark.long
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["types", "dates", "charsets", "json", "names", "keys", "shapes", "wide"])
def test_all_types_and_character_sets_are_those_of_the_binlog(server: MysqlServer, read: Reading, decoder: str, name: str) -> None:
    chapters = {
        "types": corpus.types(),
        "dates": corpus.dates(),
        "charsets": corpus.charsets(sorted(corpus.character_sets(server) - {"binary"}), 300),
        "json": corpus.documents(40, 200),
        "names": corpus.names(),
        "keys": corpus.keys(),
        "shapes": corpus.shapes(),
        "wide": corpus.wide(),
    }
    chapter = chapters[name]
    statements = [s for s in chapter.statements if s != "DELETE FROM w.t"]
    emoji = "l_gb18030 l_utf16 l_utf16le l_utf32 l_utf8mb4"
    assert compare(server, read, wrote(server, corpus.Chapter(name, statements)), decoder, emoji) > 2


@pytest.mark.long
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("seed", range(1, 9))
def test_tables_drawn_at_random_are_those_of_the_binlog(server: MysqlServer, read: Reading, decoder: str, seed: int) -> None:
    chapter = corpus.drawn(corpus.drawn_tables(30, seed), 300, seed)
    assert compare(server, read, wrote(server, chapter), decoder) > 300
