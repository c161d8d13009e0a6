from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from tests.devstack.redshift.standin import Client, StandIn

pytestmark = pytest.mark.stack


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, microsecond: int = 0) -> datetime:
    """A TIMESTAMP, which has no zone."""
    return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC).replace(tzinfo=None)


def test_values_of_every_type_come_back_as_they_were_bound(client: Client, table: str) -> None:
    client.run(
        f"CREATE TABLE {table} (a SMALLINT, b INTEGER, c BIGINT, d DECIMAL(38, 10), e REAL, f DOUBLE PRECISION, "
        "g BOOLEAN, h CHAR(3), i VARCHAR(MAX), j DATE, k TIMESTAMP, l TIMESTAMPTZ)"
    )
    values = (
        -(2**15), 2**31 - 1, -(2**63), Decimal("1234567890123456789012345678.0123456789"), 0.5, 1.5, True, "abc", "é😀",
        date(1, 1, 1), at(2024, 2, 29, 23, 59, 59, 999_999), datetime(2024, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    assert client.run(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * 12)})", values) == 1
    assert client.rows(f"SELECT * FROM {table}") == [list(values)]
    assert client.run(f"INSERT INTO {table} (a, i) VALUES (%s, %s), (%s, %s)", (1, None, 2, "x")) == 2


def test_varbyte_and_super_have_redshifts_types_and_text(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (v VARBYTE(9), s SUPER)")
    client.run(f"INSERT INTO {table} VALUES (FROM_HEX('616263'), JSON_PARSE('{{\"k\": [1, \"a, b: c\"]}}'))")
    client.cursor.execute(f"SELECT v, s, JSON_SERIALIZE(s), TO_HEX(v) FROM {table}")
    assert [column[1] for column in client.cursor.description] == [6551, 4000, 1043, 1043]
    text = '{"k":[1,"a, b: c"]}'
    assert list(client.cursor.fetchall()[0]) == ["abc", text, text, "616263"]


def test_a_string_assigned_from_a_column_to_super_is_not_parsed(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (v VARCHAR(20), s SUPER)")
    client.run(f"INSERT INTO {table} VALUES ('[1, 2]', NULL)")
    client.run(f"UPDATE {table} SET s = v")
    assert client.value(f"SELECT JSON_TYPEOF(s) FROM {table}") == "string"
    client.run(f"UPDATE {table} SET s = JSON_PARSE(v)")
    assert client.value(f"SELECT JSON_TYPEOF(s) FROM {table}") == "array"


def test_varchar_counts_bytes_in_insert_and_update(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (v VARCHAR(4))")
    client.run(f"INSERT INTO {table} VALUES ('éé'), (NULL)")
    client.commit()
    for statement in (f"INSERT INTO {table} VALUES ('ééé')", f"UPDATE {table} SET v = 'ééé'", f"INSERT INTO {table} VALUES ('abcde')"):
        refusal = client.refused(statement)
        assert (refusal["C"], refusal["M"]) == ("22001", "value too long for type character varying(4)")


def test_char_takes_single_bytes_only(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (c CHAR(4))")
    client.commit()
    client.run(f"INSERT INTO {table} VALUES ('ab')")
    assert client.refused(f"INSERT INTO {table} VALUES ('é')")["C"] == "22021"


def test_a_primary_key_is_not_enforced_but_known(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (a INT, PRIMARY KEY (a))")
    client.run(f"INSERT INTO {table} VALUES (1), (1)")
    assert client.value(f"SELECT COUNT(*) FROM {table}") == 2
    assert client.refused(f"INSERT INTO {table} VALUES (NULL)")["C"] == "23502"


def test_catalog_views_know_what_postgresql_has_not(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (a BIGINT NOT NULL ENCODE az64, v VARCHAR(300) ENCODE zstd, b VARBYTE(7)) DISTKEY (a) SORTKEY (v, a)")
    described = client.rows('SELECT "column", type, encoding, distkey, sortkey, "notnull" FROM pg_table_def WHERE tablename = %s', (table,))
    assert described == [
        ["a", "bigint", "az64", True, 2, True],
        ["v", "character varying(300)", "zstd", False, 1, False],
        ["b", "binary varying(7)", "none", False, 0, False],
    ]
    assert client.rows("SELECT column_name, data_type FROM svv_redshift_columns WHERE table_name = %s ORDER BY 1", (table,))[0] == [
        "a",
        "bigint",
    ]
    assert client.rows("SELECT column_name, character_maximum_length FROM svv_columns WHERE table_name = %s", (table,))[1:] == [
        ["v", 300], ["b", 7]
    ]  # fmt: skip
    client.run(f"INSERT INTO {table} VALUES (1, 'x')")
    assert client.rows('SELECT diststyle, sortkey1, sortkey_num FROM svv_table_info WHERE "table" = %s', (table,)) == [["KEY(a)", "v", 2]]


def test_attributes_follow_a_renamed_column_and_like(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (a INT ENCODE zstd, v VARCHAR(4), PRIMARY KEY (a)) DISTKEY (a)")
    client.run(f"ALTER TABLE {table} RENAME COLUMN a TO b")
    client.run(f"ALTER TABLE {table} ADD COLUMN a INT ENCODE lzo")
    client.run(f"CREATE TEMP TABLE {table}_stage (LIKE {table})")
    for name in (table, f"{table}_stage"):
        rows = client.rows('SELECT "column", encoding, distkey FROM pg_table_def WHERE tablename = %s', (name,))
        assert rows == [["b", "zstd", True], ["v", "none", False], ["a", "lzo", False]]
    assert client.refused(f"INSERT INTO {table}_stage (b, v) VALUES (1, 'ééé')")["C"] == "22001"


def test_create_if_not_exists_leaves_the_table_alone(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (a INT) DISTSTYLE ALL")
    client.run(f"INSERT INTO {table} VALUES (1)")
    client.run(f"CREATE TABLE IF NOT EXISTS {table} (a INT, b INT) DISTSTYLE EVEN")
    assert client.rows(f"SELECT * FROM {table}") == [[1]]
    assert client.value('SELECT diststyle FROM svv_table_info WHERE "table" = %s', (table,)) == "ALL"


def test_a_varchar_is_resized_outside_of_blocks_only(snapshot: StandIn, client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (v VARCHAR(4))")
    client.run(f"INSERT INTO {table} VALUES ('abcd')")
    client.commit()
    assert client.refused(f"ALTER TABLE {table} ALTER COLUMN v TYPE VARCHAR(9)")["C"] == "25001"
    auto = Client(snapshot, autocommit=True)
    auto.run(f"ALTER TABLE {table} ALTER COLUMN v TYPE VARCHAR(9)")
    auto.run(f"INSERT INTO {table} VALUES ('éééé')")
    assert auto.refused(f"INSERT INTO {table} VALUES ('ééééé')")["M"].endswith("varying(9)")
    assert auto.refused(f"ALTER TABLE {table} ALTER COLUMN v TYPE VARCHAR(3)")["C"] == "22001"
    assert auto.value("SELECT type FROM pg_table_def WHERE tablename = %s", (table,)) == "character varying(9)"
    auto.close()


@pytest.mark.parametrize(
    "definition", ["v VARCHAR(4) DEFAULT 'x'", "v VARCHAR(4), PRIMARY KEY (v)", "v VARCHAR(4) ENCODE bytedict", "v INT", "w VARCHAR(4)"]
)
def test_some_columns_are_never_resized(snapshot: StandIn, table: str, definition: str) -> None:
    auto = Client(snapshot, autocommit=True)
    auto.run(f"CREATE TABLE {table} ({definition})")
    assert auto.refused(f"ALTER TABLE {table} ALTER COLUMN v TYPE VARCHAR(9)")["C"] in ("0A000", "42703")
    auto.close()


def test_a_dist_or_sort_key_or_the_only_column_is_not_dropped(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (d INT DISTKEY, s INT SORTKEY, p INT)")
    client.run(f"CREATE TABLE {table}_one (a INT)")
    client.commit()
    for name, column in ((table, "d"), (table, "s"), (f"{table}_one", "a")):
        assert client.refused(f"ALTER TABLE {name} DROP COLUMN {column}")["C"] == "0A000"
    client.run(f"ALTER TABLE {table} DROP COLUMN p")


def test_a_column_that_a_view_or_the_primary_key_needs_is_dropped_only_with_them(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (id INT NOT NULL, p INT, v INT, PRIMARY KEY (id))")
    client.run(f"CREATE VIEW {table}_view AS SELECT v FROM {table}")
    client.commit()
    for column in ("id", "v"):
        assert client.refused(f"ALTER TABLE {table} DROP COLUMN {column}")["C"] == "2BP01"
        client.run(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE")
        client.commit()
    assert client.refused(f"SELECT v FROM {table}_view")["C"] == "42P01"
    client.run(f"ALTER TABLE {table} ADD COLUMN id INT DEFAULT 0 NOT NULL")
    client.run(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")


def test_columns_are_added_filled_dropped_and_renamed_in_one_transaction_or_not_at_all(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (id INT, n INT)")
    client.run(f"INSERT INTO {table} VALUES (1, 5)")
    client.commit()
    for end in (client.rollback, client.commit):
        client.run(f"UPDATE {table} SET n = n")  # as the fence is held
        client.run(f"ALTER TABLE {table} ADD COLUMN held VARCHAR(12)")
        client.run(f"UPDATE {table} SET held = CAST(n AS VARCHAR(12)) WHERE id = 1")
        client.run(f"ALTER TABLE {table} DROP COLUMN n")
        client.run(f"ALTER TABLE {table} RENAME COLUMN held TO n")
        end()
        assert client.rows(f"SELECT n FROM {table}") == [["5" if end == client.commit else 5]]


def test_truncate_commits_what_came_before(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (a INT)")
    client.run(f"CREATE TABLE {table}_other (a INT)")
    client.commit()
    client.run(f"INSERT INTO {table}_other VALUES (1)")
    client.run(f"TRUNCATE {table}")
    client.rollback()
    assert client.value(f"SELECT COUNT(*) FROM {table}_other") == 1


def test_vacuum_stays_outside_of_blocks_and_analyze_may_be_inside(snapshot: StandIn, client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (a INT)")
    client.run(f"ANALYZE {table}")
    client.commit()
    assert client.refused(f"VACUUM {table}")["C"] == "25001"
    auto = Client(snapshot, autocommit=True)
    auto.run(f"VACUUM DELETE ONLY {table}")
    auto.close()


def test_names_are_folded_cut_at_127_bytes_and_longer_ones_than_postgresqls_work(client: Client, table: str) -> None:
    long = f"{table}_" + "n" * 100
    client.run(f'CREATE TABLE "{long.upper()}" ("{"C" * 140}" INT, "{"c" * 100}x" INT)')
    client.run(f"INSERT INTO {long} VALUES (1, 2)")
    client.cursor.execute(f"SELECT * FROM {long}")
    assert [c[0] for c in client.cursor.description] == ["c" * 127, "c" * 100 + "x"]
    assert client.value(f"SELECT {'c' * 127} FROM {long}") == 1
    assert client.rows("SELECT column_name FROM svv_columns WHERE table_name = %s ORDER BY ordinal_position", (long,)) == [
        ["c" * 127],
        ["c" * 100 + "x"],
    ]


def test_names_that_differ_in_case_are_one_name_unless_the_session_keeps_case(snapshot: StandIn, table: str) -> None:
    auto = Client(snapshot, autocommit=True)
    assert auto.refused(f'CREATE TABLE {table} ("A" INT, "a" INT)')["C"] == "42701"
    auto.run("SET enable_case_sensitive_identifier TO true")
    auto.run(f'CREATE TABLE {table} ("A" INT, "a" INT)')
    assert auto.value("SHOW enable_case_sensitive_identifier") == "true"
    auto.close()


def test_merge_updates_inserts_and_refuses_an_ambiguous_source(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (id INT, v INT)")
    client.run("CREATE TEMP TABLE s (id INT, v INT)")
    client.run(f"INSERT INTO {table} VALUES (1, 1), (2, 2)")
    client.run("INSERT INTO s VALUES (2, 20), (3, 30)")
    client.commit()
    clauses = "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)"
    merge = f"MERGE INTO {table} USING s ON {table}.id = s.id {clauses}"
    client.run(merge)
    assert client.rows(f"SELECT * FROM {table} ORDER BY id") == [[1, 1], [2, 20], [3, 30]]
    client.run("INSERT INTO s VALUES (2, 21)")
    client.commit()
    assert client.refused(merge)["M"] == "Found multiple matches to update the same tuple."


def test_merge_remove_duplicates_leaves_one_row_a_key(client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (id INT, v INT)")
    client.run("CREATE TEMP TABLE s (id INT, v INT)")
    client.run(f"INSERT INTO {table} VALUES (1, 1), (2, 2)")
    client.run("INSERT INTO s VALUES (2, 20), (2, 20), (3, 30)")
    client.run(f"MERGE INTO {table} USING s ON {table}.id = s.id REMOVE DUPLICATES")
    assert client.rows(f"SELECT * FROM {table} ORDER BY id") == [[1, 1], [2, 20], [3, 30]]


def test_dates_are_counted_as_redshift_counts_them(client: Client) -> None:
    assert client.value("SELECT DATEDIFF(year, '2023-12-31'::DATE, '2024-01-01'::DATE)") == 1
    assert client.value("SELECT DATEDIFF(hour, '2024-01-01 00:59'::TIMESTAMP, '2024-01-01 01:00'::TIMESTAMP)") == 1
    assert client.value("SELECT DATEADD(month, 1, '2024-01-31'::DATE)") == at(2024, 2, 29)
    assert client.value("SELECT TIMESTAMP 'epoch' + 86400 * INTERVAL '1 second'") == at(1970, 1, 2)
    assert client.value("SELECT EXTRACT(epoch FROM TIMESTAMP '1970-01-02')") == 86_400


def test_digests_and_text_functions_agree_with_their_definitions(client: Client) -> None:
    assert client.rows("SELECT MD5('a'), SHA2('a', 256), STRTOL('ff', 16), LEN('é'), OCTET_LENGTH('é'), FUNC_SHA1('a')") == [
        [
            "0cc175b9c0f1b6a831c399e269772661",
            "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
            255, 1, 2,
            "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",
        ]
    ]  # fmt: skip


def test_a_view_joins_tables_by_union_all(client: Client, table: str) -> None:
    for i in (1, 2):
        client.run(f"CREATE TABLE {table}_{i} (a INT)")
        client.run(f"INSERT INTO {table}_{i} VALUES ({i})")
    client.run(f"CREATE OR REPLACE VIEW {table} AS SELECT a FROM {table}_1 UNION ALL SELECT a FROM {table}_2")
    assert client.rows(f"SELECT a FROM {table} ORDER BY 1") == [[1], [2]]
    client.commit()
    assert client.refused(f"CREATE VIEW {table}_late AS SELECT a FROM {table}_1 WITH NO SCHEMA BINDING")["C"] == "42601"
