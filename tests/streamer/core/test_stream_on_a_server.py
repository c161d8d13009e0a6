"""Transactions of every shape, as a real server logs them."""

from itertools import pairwise

import pytest

from contracts.errors import Corrupt, Invalid
from contracts.table import Kind, TableId
from devstack.mysql import MysqlServer
from streamer.core.ddl import Control, DatabaseDropped, StatementDml, TableChange, Verb, Xa, XaVerb, read_statement
from streamer.core.events import Change, FormatDescription, Query, Rotate, RowsEvent, XaPrepare, Xid
from streamer.core.gtids import GtidEvent, PreviousGtids
from streamer.core.rows import RowChange, RowDecoder
from streamer.core.schemas import TableMap
from streamer.core.stream import EventStream
from tests.streamer.core.recording import after_images, binlog_end, changes, decoded, dump, record, run

pytestmark = pytest.mark.stack

HOSTILE = 'we"ird`; drop table x; -- 名'


def quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


@pytest.fixture(autouse=True)
def _database(server: MysqlServer) -> None:
    run(server, ["DROP DATABASE IF EXISTS s", "CREATE DATABASE s"])


def only(found: list[tuple[str, RowChange]]) -> RowChange:
    ((_, change),) = found
    return change


def test_a_compressed_transaction_gives_the_rows_of_a_plain_one_at_the_outer_position(server: MysqlServer) -> None:
    run(server, ["CREATE TABLE s.t (id INT PRIMARY KEY, v VARCHAR(300))", "CREATE TABLE s.u (id INT PRIMARY KEY)"])
    numbers = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
    many = f"INSERT INTO s.t {numbers} SELECT i, REPEAT(SHA2(i, 256), 4) FROM n"
    plain = record(server, ["BEGIN", many, "INSERT INTO s.u VALUES (1)", "COMMIT"])
    run(server, ["TRUNCATE s.t", "TRUNCATE s.u"])
    packed = record(server, ["SET binlog_transaction_compression = ON", "BEGIN", many, "INSERT INTO s.u VALUES (1)", "COMMIT"])

    assert changes(packed) == changes(plain)
    assert len(changes(plain)) == 901
    assert len(packed) < len(plain)
    positions = {(located.start, located.end) for located in decoded(packed) if isinstance(located.event, RowsEvent | Xid | TableMap)}
    assert len(positions) == 1


def test_a_payload_over_the_limit_is_refused_before_it_is_inflated(server: MysqlServer) -> None:
    raws = record(
        server,
        ["CREATE TABLE s.t (v LONGTEXT)", "SET binlog_transaction_compression = ON", "INSERT INTO s.t VALUES (REPEAT('x', 1000000))"],
    )
    stream = EventStream(payload_bytes_max=900_000)
    with pytest.raises(Corrupt, match="over the limit of 900000"):
        _ = [list(stream.feed(raw)) for raw in raws]


def test_tagged_and_untagged_gtids_and_the_set_of_both(server: MysqlServer) -> None:
    raws = record(
        server,
        [
            "CREATE TABLE s.t (id INT PRIMARY KEY)",
            "SET gtid_next = 'AUTOMATIC:blue'",
            "INSERT INTO s.t VALUES (1)",
            "SET gtid_next = 'AUTOMATIC'",
            "FLUSH BINARY LOGS",
            "FLUSH BINARY LOGS",
        ],
    )
    gtids = [located.event for located in decoded(raws) if isinstance(located.event, GtidEvent)]
    previous = [located.event for located in decoded(raws) if isinstance(located.event, PreviousGtids)]
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@server_uuid, @@gtid_executed")
        row = cursor.fetchone()
    assert row is not None
    assert [(gtid.gtid.server, gtid.gtid.tag) for gtid in gtids] == [(row[0], ""), (row[0], "blue")]
    assert gtids[1].gtid.number == 1
    assert all(gtid.immediate_commit_us == gtid.original_commit_us > 1_700_000_000_000_000 for gtid in gtids)
    assert all(gtid.transaction_length > 0 for gtid in gtids)
    assert str(previous[-1].gtids) == row[1].replace("\n", "")


def test_positions_are_those_of_the_file_and_the_length_of_a_transaction_is_theirs(server: MysqlServer) -> None:
    file, offset = binlog_end(server)
    found = decoded(record(server, ["CREATE TABLE s.t (id INT PRIMARY KEY)", "INSERT INTO s.t VALUES (1), (2)"]))
    inside = [located for located in found if located.header.log_pos and not isinstance(located.event, FormatDescription | Rotate)]
    assert inside[0].start.offset == offset
    assert {located.start.file for located in inside} == {file}
    for one, next_one in pairwise(inside):
        assert one.end == next_one.start
    assert inside[-1].end.offset == binlog_end(server)[1]
    begins = [located for located in inside if isinstance(located.event, GtidEvent)]
    assert isinstance(begins[0].event, GtidEvent)
    assert begins[1].start.offset - begins[0].start.offset == begins[0].event.transaction_length


@pytest.mark.parametrize("checksum", ["NONE", "CRC32"])
def test_files_without_checksums_read_as_those_with(server: MysqlServer, checksum: str) -> None:
    run(server, ["CREATE TABLE s.t (id INT PRIMARY KEY)", f"SET GLOBAL binlog_checksum = {checksum}"])
    try:
        assert after_images(record(server, ["INSERT INTO s.t VALUES (7)"])) == [{"id": 7}]
    finally:
        run(server, ["SET GLOBAL binlog_checksum = CRC32"])


def test_a_change_of_checksum_is_followed_across_files(server: MysqlServer) -> None:
    run(server, ["CREATE TABLE s.t (id INT PRIMARY KEY)"])
    file, offset = binlog_end(server)
    run(server, ["INSERT INTO s.t VALUES (1)", "SET GLOBAL binlog_checksum = NONE", "INSERT INTO s.t VALUES (2)"])
    run(server, ["SET GLOBAL binlog_checksum = CRC32", "INSERT INTO s.t VALUES (3)"])
    assert after_images(dump(server, file, offset, checksum="CRC32")) == [{"id": 1}, {"id": 2}, {"id": 3}]


def test_several_table_maps_in_one_statement_and_rows_over_8_kb(server: MysqlServer) -> None:
    run(
        server,
        [
            "CREATE TABLE s.a (id INT PRIMARY KEY, v LONGTEXT)",
            "CREATE TABLE s.b (id INT PRIMARY KEY, v LONGTEXT)",
            "INSERT INTO s.a VALUES (1, REPEAT('a', 9000)), (2, REPEAT('b', 30000))",
            "INSERT INTO s.b VALUES (1, ''), (2, '')",
        ],
    )
    raws = record(server, ["UPDATE s.a, s.b SET s.a.v = CONCAT(s.a.v, '!'), s.b.v = s.a.id WHERE s.a.id = s.b.id"])
    found = changes(raws)
    assert sorted((table, len(str((change.after or {})["v"]))) for table, change in found) == [
        ("a", 9001),
        ("a", 30001),
        ("b", 1),
        ("b", 1),
    ]
    events = [located.event for located in decoded(raws) if isinstance(located.event, RowsEvent)]
    assert len(events) > 2
    assert [event.end_of_statement for event in events] == [False] * (len(events) - 1) + [True]


def test_hostile_names_come_through(server: MysqlServer) -> None:
    name = quoted(HOSTILE)
    raws = record(
        server,
        [
            f"CREATE DATABASE {name}",
            f"CREATE TABLE {name}.{name} ({name} INT PRIMARY KEY, `a.b` INT)",
            f"INSERT INTO {name}.{name} VALUES (1, 2)",
            f"RENAME TABLE {name}.{name} TO {name}.x",
            f"DROP TABLE {name}.x",
            f"DROP DATABASE {name}",
        ],
    )
    maps = [located.event for located in decoded(raws) if isinstance(located.event, TableMap)]
    assert maps[0].table == TableId(HOSTILE, HOSTILE)
    assert maps[0].schema.key == (HOSTILE,)
    assert after_images(raws) == [{HOSTILE: 1, "a.b": 2}]
    statements = [read_statement(located.event) for located in decoded(raws) if isinstance(located.event, Query)]
    table = TableId(HOSTILE, HOSTILE)
    assert TableChange(Verb.CREATE, (table,)) in statements
    assert TableChange(Verb.RENAME, (table,), ((table, TableId(HOSTILE, "x")),)) in statements
    assert TableChange(Verb.DROP, (TableId(HOSTILE, "x"),)) in statements
    assert DatabaseDropped(HOSTILE) in statements


def test_generated_invisible_and_implicit_key_columns_are_in_the_image(server: MysqlServer) -> None:
    raws = record(
        server,
        [
            "SET sql_generate_invisible_primary_key = ON",
            "CREATE TABLE s.t (a INT, b INT AS (a + 1) VIRTUAL, c INT AS (a * 2) STORED, d INT INVISIBLE, KEY ((a + 5)))",
            "INSERT INTO s.t (a, d) VALUES (1, 9)",
        ],
    )
    assert after_images(raws) == [{"my_row_id": "1", "a": 1, "b": 2, "c": 2, "d": 9}]
    (table_map,) = [located.event for located in decoded(raws) if isinstance(located.event, TableMap)]
    assert {stored.column.name for stored in table_map.columns if not stored.visible} == {"my_row_id", "d"}
    assert table_map.schema.key == ("my_row_id",)


def test_keys_simple_composite_over_a_prefix_or_of_the_first_unique_key_without_nulls(server: MysqlServer) -> None:
    raws = record(
        server,
        [
            "CREATE TABLE s.a (x INT, y INT, z INT, PRIMARY KEY (z, x))",
            "CREATE TABLE s.b (x VARCHAR(50), y INT, PRIMARY KEY (y, x(3)))",
            "CREATE TABLE s.c (y INT UNIQUE, x INT NOT NULL UNIQUE)",
            "CREATE TABLE s.d (x INT UNIQUE)",
            "INSERT INTO s.a VALUES (1, 2, 3)",
            "INSERT INTO s.b VALUES ('abcdef', 1)",
            "INSERT INTO s.c VALUES (1, 1)",
            "INSERT INTO s.d VALUES (1)",
        ],
    )
    maps = [located.event for located in decoded(raws) if isinstance(located.event, TableMap)]
    assert [table_map.schema.key for table_map in maps] == [("z", "x"), ("y", "x"), ("x",), ()]


def test_three_hundred_columns_of_mixed_types_null_and_not(server: MysqlServer) -> None:
    kinds = [
        "INT UNSIGNED",
        "VARCHAR(20) CHARACTER SET latin1",
        "ENUM('a','é')",
        "VARCHAR(9) CHARACTER SET sjis",
        "SET('x','y')",
        "VECTOR(2)",
    ]
    columns = ", ".join(f"c{n} {kinds[n % 6]}" for n in range(299))
    values = ["4294967295", "'é'", "'é'", "'日'", "'y'", "TO_VECTOR('[1,2]')"]
    wire = [4294967295, "é", "é", "日", "y", [1.0, 2.0]]
    literals = ", ".join(values[n % 6] if n % 7 else "NULL" for n in range(299))
    raws = record(server, [f"CREATE TABLE s.t (id INT PRIMARY KEY, {columns})", f"INSERT INTO s.t VALUES (1, {literals})"])
    assert after_images(raws) == [{"id": 1} | {f"c{n}": wire[n % 6] if n % 7 else None for n in range(299)}]


def test_a_table_altered_between_rows_decodes_each_by_its_own_map(server: MysqlServer) -> None:
    raws = record(
        server,
        [
            "CREATE TABLE s.t (id INT PRIMARY KEY, e ENUM('a','b'))",
            "INSERT INTO s.t VALUES (1, 'a')",
            "ALTER TABLE s.t MODIFY e ENUM('b','a'), ADD z VARCHAR(5) FIRST",
            "INSERT INTO s.t VALUES ('q', 2, 'a')",
        ],
    )
    assert after_images(raws) == [{"id": 1, "e": "a"}, {"z": "q", "id": 2, "e": "a"}]


def test_the_same_map_is_the_same_object(server: MysqlServer) -> None:
    raws = record(server, ["CREATE TABLE s.t (id INT PRIMARY KEY)", "INSERT INTO s.t VALUES (1)", "INSERT INTO s.t VALUES (2)"])
    maps = [located.event for located in decoded(raws) if isinstance(located.event, TableMap)]
    assert len(maps) == 2
    assert maps[0] is maps[1]


def test_minimal_metadata_is_refused_with_the_setting_to_change(server: MysqlServer) -> None:
    run(server, ["CREATE TABLE s.t (id INT PRIMARY KEY)", "SET GLOBAL binlog_row_metadata = MINIMAL"])
    try:
        raws = record(server, ["INSERT INTO s.t VALUES (1)"])
    finally:
        run(server, ["SET GLOBAL binlog_row_metadata = FULL"])
    (table_map,) = [located.event for located in decoded(raws) if isinstance(located.event, TableMap)]
    assert table_map.table == TableId("s", "t")
    with pytest.raises(Invalid, match="SET GLOBAL binlog_row_metadata = FULL"):
        _ = table_map.schema


def test_transactions_end_with_xid_with_commit_or_with_xa(server: MysqlServer) -> None:
    raws = record(
        server,
        [
            "CREATE TABLE s.i (id INT PRIMARY KEY)",
            "CREATE TABLE s.m (id INT PRIMARY KEY) ENGINE=MyISAM",
            "INSERT INTO s.i VALUES (1)",
            "INSERT INTO s.m VALUES (1)",
            "BEGIN",
            "INSERT INTO s.i VALUES (2)",
            "SAVEPOINT sp",
            "INSERT INTO s.i VALUES (3)",
            "ROLLBACK TO sp",
            "COMMIT",
            "XA START 'g''x', x'ff', 7",
            "INSERT INTO s.i VALUES (4)",
            "XA END 'g''x', x'ff', 7",
            "XA PREPARE 'g''x', x'ff', 7",
            "XA COMMIT 'g''x', x'ff', 7",
        ],
    )
    assert [row["id"] for row in after_images(raws)] == [1, 1, 2, 4]
    events = [located.event for located in decoded(raws)]
    statements = [read_statement(event) for event in events if isinstance(event, Query)]
    assert statements.count(Control.BEGIN) == 3
    assert statements.count(Control.COMMIT) == 1
    assert sum(isinstance(event, Xid) for event in events) == 2
    xid = "X'672778',X'ff',7"
    assert [event for event in events if isinstance(event, XaPrepare)] == [XaPrepare(xid, one_phase=False)]
    assert [statement for statement in statements if isinstance(statement, Xa)] == [
        Xa(XaVerb.START, xid),
        Xa(XaVerb.END, xid),
        Xa(XaVerb.COMMIT, xid),
    ]


def test_ddl_and_statement_dml_are_told_from_text(server: MysqlServer) -> None:
    raws = record(
        server,
        [
            "USE s",
            "CREATE TABLE t (id INT PRIMARY KEY) /*!50100 PARTITION BY HASH (id) PARTITIONS 2 */",
            "/* c */ TRUNCATE /*! TABLE */ t",
            "ALTER TABLE t TRUNCATE PARTITION p0",
            "ALTER TABLE t DISCARD PARTITION p0 TABLESPACE",
            "CREATE TABLE g (id INT PRIMARY KEY)",
            "ALTER TABLE g DISCARD TABLESPACE",
            "ALTER TABLE t RENAME TO u",
            "CREATE TABLE w SELECT 1 AS one",
            "DROP TABLE IF EXISTS u, w, nothing",
            "CREATE USER x@localhost IDENTIFIED BY 'secret'",
            "DROP USER x@localhost",
            "CREATE TABLE st (id INT PRIMARY KEY)",
            "SET SESSION binlog_format = STATEMENT",
            "INSERT INTO st VALUES (1)",
            "CREATE TABLE sa (id INT PRIMARY KEY) ENGINE=InnoDB AS (SELECT 1 AS id)",
            "CREATE TABLE sb TABLE st",
            "CREATE TABLE sc LIKE st",
            "DROP DATABASE s",
        ],
    )
    t, u, w, st, g = (TableId("s", name) for name in ("t", "u", "w", "st", "g"))
    queries = [located.event for located in decoded(raws) if isinstance(located.event, Query)]
    statements = [found for query in queries if (found := read_statement(query)) is not None and not isinstance(found, Control)]
    assert statements == [
        TableChange(Verb.CREATE, (t,)),
        TableChange(Verb.TRUNCATE, (t,), rows_unseen=True),
        TableChange(Verb.ALTER, (t,), rows_unseen=True),
        TableChange(Verb.ALTER, (t,), rows_unseen=True),
        TableChange(Verb.CREATE, (g,)),
        TableChange(Verb.ALTER, (g,), rows_unseen=True),
        TableChange(Verb.ALTER, (t,), ((t, u),)),
        TableChange(Verb.CREATE, (w,)),
        TableChange(Verb.DROP, (u, w, TableId("s", "nothing"))),
        TableChange(Verb.CREATE, (st,)),
        StatementDml("INSERT", "s", (st,)),
        StatementDml("CREATE … SELECT", "s", (TableId("s", "sa"),)),
        StatementDml("CREATE … SELECT", "s", (TableId("s", "sb"),)),
        TableChange(Verb.CREATE, (TableId("s", "sc"),)),
        DatabaseDropped("s"),
    ]
    assert {"one": 1} in after_images(raws)


def test_a_minimal_image_has_no_key_for_what_it_does_not_hold(server: MysqlServer) -> None:
    run(server, ["CREATE TABLE s.t (id INT PRIMARY KEY, a INT, b INT, c TEXT)", "INSERT INTO s.t VALUES (1, 1, NULL, 'x')"])
    change = only(changes(record(server, ["SET binlog_row_image = MINIMAL", "UPDATE s.t SET b = 5 WHERE id = 1"])))
    assert (change.before, change.after) == ({"id": 1}, {"b": 5})
    assert (change.absent_before, change.absent_after) == (("a", "b", "c"), ("id", "a", "c"))
    change = only(changes(record(server, ["SET binlog_row_image = NOBLOB", "UPDATE s.t SET b = 6 WHERE id = 1"])))
    assert (change.before, change.after) == ({"id": 1, "a": 1, "b": 5}, {"id": 1, "a": 1, "b": 6})
    assert (change.absent_before, change.absent_after) == (("c",), ("c",))
    change = only(changes(record(server, ["SET binlog_row_image = MINIMAL", "DELETE FROM s.t"])))
    assert (change.change, change.before, change.after, change.absent_after) == (Change.DELETE, {"id": 1}, None, ())


PARTIAL = "SET binlog_row_value_options = PARTIAL_JSON"
DOCUMENT = """{"a": {"b": [1, 2, {"c": "x"}]}, "long": "%s", "k.e\\"y": 1, "名": [0]}""" % ("z" * 500)


@pytest.mark.parametrize(
    "change",
    [
        "JSON_SET(j, '$.a.b[0]', 10)",
        "JSON_SET(j, '$.a.b[2].c', 'yy', '$.a.b[1]', CAST('{\"n\": null}' AS JSON))",
        "JSON_SET(j, '$.new', 1.5, '$.aa', 2)",
        "JSON_REMOVE(j, '$.a.b[0]', '$.long')",
        "JSON_REPLACE(j, '$.\"k.e\\\\\"y\"', CAST('[]' AS JSON))",
        "JSON_SET(j, '$.\"名\"[0]', TIME('-01:02:03'))",
        "JSON_SET(j, '$.a.b[5]', 'appended')",
        "JSON_SET(j, '$.a.b[last]', 1, '$.a.b[last-1]', 2, '$.a.b[last - 9]', 3)",
        "JSON_REPLACE(j, '$.a.b[last].c', 'yy', '$.\"名\"[last]', 1)",
        "JSON_REMOVE(j, '$.a.b[last]', '$.a.b[last-1]')",
        "JSON_SET(JSON_REMOVE(j, '$.\"名\"[last]'), '$.\"名\"[last]', 1, '$.\"名\"[last-1]', 2)",
        "JSON_ARRAY_INSERT(j, '$.a.b[last]', 9)",
        "JSON_SET(j, '$.long[last]', 'short', '$.a[last].b[last-2]', 0)",  # what is no array is its own last
        "JSON_SET(j, '$.a[last-1]', 8)",
        "JSON_REMOVE(j, '$.long[last]')",
        "JSON_SET(j, '$.\"\xa0\"', 1, '$.\"\x85\"', 2, '$.\"\u1680\"', 3, '$.a.\"q\xa0r\"', 4)",
        'JSON_REMOVE(JSON_SET(j, \'$."\xa0"\', CAST(\'{"\u1680": [1]}\' AS JSON)), \'$."\xa0"."\u1680"[0]\')',
        f"JSON_SET(j, '$.n', -123456789.{'1234567890' * 6}, '$.a.b[1]', 0.{'0' * 40}1, '$.a.b[0]', .{'9' * 80})",
        "JSON_REMOVE(JSON_SET(JSON_REPLACE(j, '$.a.b[0]', 7), '$.z', 1), '$.a.b[1]')",
        "CAST('[1]' AS JSON)",
        "NULL",
    ],
)
def test_a_partial_json_update_gives_the_document_select_shows(server: MysqlServer, change: str) -> None:
    run(
        server,
        ["CREATE TABLE s.t (id INT PRIMARY KEY, i JSON, j JSON, k JSON)", ("INSERT INTO s.t VALUES (1, '[1]', %s, NULL)", (DOCUMENT,))],
    )
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CAST(j AS CHAR) FROM s.t")
        before = cursor.fetchone()
    found = only(changes(record(server, [PARTIAL, f"UPDATE s.t SET j = {change} WHERE id = 1"])))
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CAST(j AS CHAR) FROM s.t")
        after = cursor.fetchone()
    assert before is not None
    assert after is not None
    assert found.before == {"id": 1, "i": "[1]", "j": before[0], "k": None}
    assert found.after == {"id": 1, "i": "[1]", "j": after[0], "k": None}
    assert before != after


def test_a_partial_json_update_without_the_document_leaves_the_column_absent(server: MysqlServer) -> None:
    run(server, ["CREATE TABLE s.t (id INT PRIMARY KEY, j JSON)", ("INSERT INTO s.t VALUES (1, %s)", (DOCUMENT,))])
    found = only(changes(record(server, ["SET binlog_row_image = MINIMAL", PARTIAL, "UPDATE s.t SET j = JSON_SET(j, '$.a.b[0]', 10)"])))
    assert (found.before, found.after) == ({"id": 1}, {})
    assert set(found.absent_after) == {"id", "j"}


@pytest.mark.parametrize(
    ("type_", "literal", "text"),
    [
        ("DATE", "0000-00-00", "0000-00-00"),
        ("DATE", "2024-00-00", "2024-00-00"),
        ("DATE", "2024-05-00", "2024-05-00"),
        ("DATE", "2024-02-31", "2024-02-31"),
        ("DATE", "0000-05-01", "0000-05-01"),
        ("DATETIME", "0000-00-00 00:00:00", "0000-00-00 00:00:00"),
        ("DATETIME(3)", "0000-00-00 00:00:00", "0000-00-00 00:00:00.000"),
        ("DATETIME(1)", "2024-00-07 01:02:03.4", "2024-00-07 01:02:03.4"),
        ("TIMESTAMP", "0000-00-00 00:00:00", "0000-00-00 00:00:00"),
        ("TIMESTAMP(6)", "0000-00-00 00:00:00", "0000-00-00 00:00:00.000000"),
    ],
)
def test_a_date_that_is_none_is_null_with_its_text_beside(server: MysqlServer, type_: str, literal: str, text: str) -> None:
    mode = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'"
    raws = record(server, [mode, f"CREATE TABLE s.t (id INT, v {type_} NULL)", ("INSERT INTO s.t VALUES (1, %s)", (literal,))])
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CAST(v AS CHAR) FROM s.t")
        assert cursor.fetchone() == (text,)
    change = only(changes(raws))
    assert (change.after, change.raw_after, change.raw_before) == ({"id": 1, "v": None}, {"v": text}, {})


def test_text_that_is_not_of_its_character_set_is_null_with_its_bytes_beside(server: MysqlServer) -> None:
    raws = record(server, ["CREATE TABLE s.t (v VARCHAR(9) CHARACTER SET cp1251)", "INSERT INTO s.t VALUES (x'C0984F')"])
    change = only(changes(raws))
    assert (change.after, change.raw_after) == ({"v": None}, {"v": "0xC0984F"})


def test_json_null_is_not_sql_null_and_an_invalid_enum_is_empty(server: MysqlServer) -> None:
    raws = record(
        server,
        ["CREATE TABLE s.t (j JSON, e ENUM('a'))", "SET SESSION sql_mode = ''", "INSERT INTO s.t VALUES ('null', 'zz'), (NULL, NULL)"],
    )
    assert after_images(raws) == [{"j": "null", "e": ""}, {"j": None, "e": None}]


def test_a_float_is_the_shortest_text_of_its_bits(server: MysqlServer) -> None:
    texts = ["1.1", "0.1", "16777216.0", "3.4028235e+38", "1e-45", "1.1754944e-38", "8589935000.0", "-2.5"]
    rows = ", ".join(f"({place}, {text})" for place, text in enumerate(texts) if text != "3.4028235e+38")
    raws = record(server, ["CREATE TABLE s.t (id INT, v FLOAT)", f"INSERT INTO s.t VALUES {rows}, (3, 3.402823466e38)"])
    found = {row["id"]: repr(row["v"]) for row in after_images(raws)}
    assert found == dict(enumerate(texts))


def test_unsigned_and_signed_columns_keep_apart_among_years_and_decimals(server: MysqlServer) -> None:
    raws = record(
        server,
        [
            "CREATE TABLE s.t (y YEAR, a TINYINT UNSIGNED, d DECIMAL(3,1), f FLOAT UNSIGNED, b TINYINT, g BIGINT UNSIGNED, t VARCHAR(3),"
            " h INT UNSIGNED)",
            "INSERT INTO s.t VALUES (2024, 255, -1.5, 1, -1, 18446744073709551615, 'x', 4294967295)",
        ],
    )
    row = {"y": 2024, "a": 255, "d": "-1.5", "f": 1.0, "b": -1, "g": "18446744073709551615", "t": "x", "h": 4294967295}
    assert after_images(raws) == [row]
    (table_map,) = [located.event for located in decoded(raws) if isinstance(located.event, TableMap)]
    assert [column.name for column in table_map.schema.columns if column.unsigned] == ["a", "f", "g", "h"]
    assert table_map.schema.by_name["y"].kind is Kind.YEAR


def test_a_decoder_refuses_an_event_of_another_width(server: MysqlServer) -> None:
    raws = record(
        server,
        ["CREATE TABLE s.a (x INT)", "CREATE TABLE s.b (x INT, y INT)", "INSERT INTO s.a VALUES (1)", "INSERT INTO s.b VALUES (1, 2)"],
    )
    events = [located.event for located in decoded(raws) if isinstance(located.event, RowsEvent)]
    assert events[1].table is not None
    with pytest.raises(Corrupt, match=r"s\.b: 1 columns, its table map has 2"):
        list(RowDecoder(events[1].table).rows(events[0]))
