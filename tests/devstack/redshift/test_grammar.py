import pytest

from devstack.redshift.grammar import normalised, problems
from devstack.redshift.journal import Entry


def entry(sql: str, outcome: str = "ok") -> Entry:
    return Entry("2025-01-01T00:00:00+00:00", 1, "x", sql, outcome, 0, 1.0)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX i ON t (a)",
        "ALTER TABLE t ADD COLUMN a INT, ADD COLUMN b INT",
        "ALTER TABLE t ALTER COLUMN a TYPE INT",
        "MERGE INTO t AS x USING s ON x.a = s.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND t.a > 1 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "DELETE FROM t RETURNING a",
        "SELECT DISTINCT ON (a) b FROM t",
        "SELECT FROM WHERE",
    ],
)
def test_a_statement_redshift_would_refuse_is_a_problem(sql: str) -> None:
    assert [p.sql for p in problems([entry(sql)])] == [sql]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY t FROM 's3://b/k' IAM_ROLE default FORMAT AS PARQUET MANIFEST SERIALIZETOJSON",
        "ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(300)",
        "DELETE FROM t USING s WHERE t.a = s.a",
        'CREATE TABLE "s"."""merge""; --" ("/* c" INTEGER)',
        "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4), ($5, 'it''s')",
        "",
    ],
)
def test_a_statement_redshift_takes_is_none(sql: str) -> None:
    assert problems([entry(sql)]) == []


def test_refused_statements_are_not_looked_at() -> None:
    assert problems([entry("CREATE INDEX i ON t (a)", "0A000")]) == []


def test_statements_that_differ_in_literals_are_one() -> None:
    assert normalised("INSERT INTO t VALUES ($1, 'a''b'), ($2, 'c')") == normalised(
        "insert into t values ($9, 'z')".replace("insert into t values", "INSERT INTO t VALUES")
    )
    assert len(problems([entry(f"SELEC '{i}'") for i in range(3)])) == 1
