import pytest

from devstack.redshift.dialect import translate
from devstack.redshift.names import Relation
from devstack.redshift.plan import Block, Copy, Forward, Lock, Script
from devstack.redshift.refusal import SqlError

COPY = "COPY t FROM 's3://b/k' IAM_ROLE 'arn:aws:iam::123456789012:role/r'"


def forwarded(sql: str) -> str:
    plan = translate(sql)
    assert isinstance(plan, Forward)
    return plan.sql


def scripted(sql: str) -> Script:
    plan = translate(sql)
    assert isinstance(plan, Script)
    return plan


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX i ON t (a)",
        "CREATE FUNCTION f() RETURNS int AS 'x' LANGUAGE plpythonu",
        "SAVEPOINT s",
        "EXPLAIN SELECT 1",
        "UNLOAD ('SELECT 1') TO 's3://b/k'",
        "SELECT jsonb_build_object('a', 1)",
        "SELECT * FROM generate_series(1, 2)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM pg_shadow",
        "SELECT a[0] FROM t",
        "SELECT j.a.b.c.d FROM t",
        "SELECT 1 FOR UPDATE",
        "SELECT * INTO x FROM t",
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "INSERT INTO t VALUES (1) RETURNING a",
        "DELETE FROM t AS x WHERE x.a = 1",
        "CREATE TABLE t (a INT IDENTITY(1, 1))",
        "CREATE TABLE t (a INT, CHECK (a > 0))",
        "SET work_mem TO '1GB'",
        "SHOW shared_buffers",
        "ALTER TABLE t SET LOGGED",
        "SELECT * FROM stl_query",
        "SELECT * FROM a.b.c",
        COPY + " FORMAT AS CSV",
        COPY + " FORMAT AS PARQUET FILLRECORD",
        "COPY t FROM 's3://b/k' CREDENTIALS 'aws_access_key_id=x' FORMAT AS PARQUET",
        "COPY t FROM 'emr://x' IAM_ROLE default FORMAT AS PARQUET",
    ],
)
def test_what_the_stand_in_does_not_know_is_refused_by_name(sql: str) -> None:
    with pytest.raises(SqlError) as refusal:
        translate(sql)
    assert refusal.value.code == "0A000"
    assert refusal.value.fields["M"].startswith("stand-in: ")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT FROM WHERE", "42601"),
        ("SELECT 'open", "42601"),
        ("SELECT 1; SELECT 2", "42601"),
        ("SELECT tag FROM t", "42601"),
        ("CREATE TABLE t (a jsonb)", "42704"),
        ("CREATE TABLE t (a text[])", "0A000"),
        ("CREATE TABLE t (a VARCHAR(70000))", "22023"),
        ("CREATE TABLE t (a CHAR(5000))", "22023"),
        ("CREATE TABLE t (a DECIMAL(39, 0))", "22023"),
        ("CREATE TABLE t (a INT, a INT)", "42701"),
        ("CREATE TABLE t (a INT) DISTKEY (b)", "42703"),
        ("CREATE TABLE t (a INT) DISTSTYLE KEY", "42601"),
        ("CREATE TABLE t (a INT ENCODE gzip)", "42601"),
        ("ALTER TABLE t ADD COLUMN a INT, ADD COLUMN b INT", "42601"),
        ("ALTER TABLE t ADD COLUMN a INT ENCODE raw DEFAULT 1", "0A000"),
        ("ALTER TABLE t ADD COLUMN a INT NOT NULL", "0A000"),
        ("ALTER TABLE t ALTER COLUMN a TYPE INT", "0A000"),
        ("MERGE INTO t AS x USING s ON x.a = s.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)", "42601"),
        ("MERGE INTO t USING (SELECT 1) s ON t.a = s.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)", "0A000"),
        ("MERGE INTO t USING t ON t.a = t.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)", "42601"),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.b THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)", "42601"),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", "42601"),
        ("UPDATE t SET t.a = 1", "42601"),
        ("DELETE FROM svv_table_info", "42501"),
        ("SELECT xmin FROM t", "42703"),
        ("CREATE TEMP TABLE s.t (a INT)", "42P16"),
        ("CREATE SCHEMA standin", "42939"),
        ("SELECT * FROM standin.users", "3F000"),
        ("GRANT USAGE ON TABLE t TO u", "0LP01"),
        (COPY + " FORMAT AS PARQUET FORMAT AS PARQUET", "42601"),
        (COPY + " FORMAT AS PARQUET MAXERROR 10", "0A000"),
        (COPY + " FORMAT AS PARQUET TRUNCATECOLUMNS", "0A000"),
        ("COPY t FROM 's3://b/k' FORMAT AS PARQUET", "42601"),
        ("COPY t FROM 's3://b/k' IAM_ROLE 'nobody' FORMAT AS PARQUET", "XX000"),
    ],
)
def test_what_redshift_refuses_is_refused_with_a_code(sql: str, code: str) -> None:
    with pytest.raises(SqlError) as refusal:
        translate(sql)
    assert refusal.value.code == code


def test_a_word_after_a_whole_statement_is_never_passed_on() -> None:
    with pytest.raises(SqlError, match="'whatever'"):
        translate("DELETE FROM t WHERE a = 1 whatever")


def test_physical_attributes_become_comments_and_the_key_only_not_null() -> None:
    plan = scripted("CREATE TABLE IF NOT EXISTS s.t (id BIGINT ENCODE az64, v VARCHAR(9), PRIMARY KEY (id)) DISTKEY (id) SORTKEY (v, id)")
    assert plan.unless_exists == Relation("s", "t")
    assert plan.steps[0].startswith('CREATE TABLE "s"."t" ("id" bigint NOT NULL, "v" varchar(9) CHECK (')
    assert "PRIMARY" not in plan.steps[0]
    assert plan.steps[1:] == (
        """COMMENT ON TABLE "s"."t" IS '{"diststyle": "KEY(id)", "sortstyle": "COMPOUND"}'""",
        """COMMENT ON COLUMN "s"."t"."id" IS '{"encoding": "az64", "distkey": true, "sortkey": 2, "primary_key": 1}'""",
        """COMMENT ON COLUMN "s"."t"."v" IS '{"sortkey": 1}'""",
    )


def test_a_name_with_a_hash_sign_is_a_temporary_table() -> None:
    assert scripted("CREATE TABLE #stage (a INT)").steps[0].startswith('CREATE TEMP TABLE "#stage"')


def test_identifiers_are_folded_even_in_quotes_unless_the_session_says_otherwise() -> None:
    assert forwarded('SELECT "Id", Name FROM "Orders"') == 'SELECT "id", "name" FROM "orders"'
    plan = translate('SELECT "Id", Name FROM "Orders"', case_sensitive=True)
    assert isinstance(plan, Forward)
    assert plan.sql == 'SELECT "Id", "name" FROM "Orders"'


def test_a_backslash_in_a_string_is_an_escape() -> None:
    assert forwarded(r"SELECT 'a\\b', 'it\'s', 'x\ty'") == "SELECT E'a\\\\b', 'it''s', 'x\ty'"


def test_changes_ask_for_the_write_lock_of_their_target_and_only_inserts_share_it() -> None:
    locks = {
        sql.split()[0]: plan.locks[0]
        for sql in (
            "INSERT INTO s.t SELECT * FROM u",
            "UPDATE s.t SET a = 1 FROM u WHERE t.id = u.id",
            "DELETE FROM s.t USING u WHERE t.id = u.id",
            "MERGE INTO s.t USING u ON t.id = u.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (u.id)",
        )
        if isinstance(plan := translate(sql), Forward)
    }
    table = Relation("s", "t")
    assert locks == {"INSERT": Lock(table, True), "UPDATE": Lock(table, False), "DELETE": Lock(table, False), "MERGE": Lock(table, False)}


def test_with_may_lead_a_delete() -> None:
    assert forwarded("WITH x AS (SELECT 1 AS a) DELETE FROM t USING x WHERE t.a = x.a").startswith(
        'WITH "x" AS (SELECT 1 AS "a") DELETE FROM "t"'
    )


def test_functions_are_written_as_postgresql_has_them() -> None:
    assert forwarded("SELECT NVL(a, 0), GETDATE(), DATEADD(day, -1, d), DATEDIFF('hour', a, b) FROM t") == (
        'SELECT coalesce("a", 0), standin.getdate(), standin.dateadd(\'day\', - 1, "d"), standin.datediff(\'hour\', "a", "b") FROM "t"'
    )
    assert forwarded("SELECT LISTAGG(a, ',') WITHIN GROUP (ORDER BY b) FROM t") == (
        'SELECT standin.listagg(string_agg(CAST("a" AS varchar), \',\' ORDER BY "b")) FROM "t"'
    )


def test_top_is_a_limit() -> None:
    assert forwarded("SELECT TOP 3 a FROM t ORDER BY a") == '(SELECT "a" FROM "t" ORDER BY "a" LIMIT 3)'


def test_truncate_commits_and_alter_column_stays_outside_of_blocks() -> None:
    assert scripted("TRUNCATE t").commits
    assert scripted("ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(9)").block is Block.OUTSIDE
    assert scripted("VACUUM t").block is Block.OUTSIDE
    assert scripted("LOCK t, u").block is Block.INSIDE


def test_locks_are_taken_in_the_order_written() -> None:
    assert scripted("LOCK TABLE b, a").steps == ('LOCK TABLE "b" IN ACCESS EXCLUSIVE MODE', 'LOCK TABLE "a" IN ACCESS EXCLUSIVE MODE')


def test_a_copy_is_read_into_its_parts() -> None:
    plan = translate(
        COPY.replace("COPY t", "COPY s.t (a, B)") + " FORMAT AS PARQUET MANIFEST STATUPDATE OFF SERIALIZETOJSON ACCEPTINVCHARS AS '^'"
    )
    assert plan == Copy(Relation("s", "t"), ("a", "b"), "s3://b/k", True, True, "^")


def test_users_groups_and_roles_have_name_spaces_of_their_own() -> None:
    assert scripted("GRANT SELECT ON t TO a, GROUP a, ROLE a").steps == ('GRANT SELECT ON TABLE "t" TO "a", "group a", "role a"',)


def test_an_empty_statement_has_no_plan() -> None:
    assert translate(" -- nothing\n ;") is None
