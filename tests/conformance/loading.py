"""The loader's own statements, as it makes them for a table of every type it loads, in the order it sends them."""

from contracts.ledger import ledger_ddl
from contracts.sql import quote
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.plan import Mode
from loader.core.staging import staging_statement
from loader.core.target import TargetNaming, create_statements, target_table
from tests.conformance.case import Case, Count, Done, Refused, Rows
from tests.conformance.statements import LOADED, STAGE, TWO, T

SCHEMA = TableSchema(
    TableId("{s}", "orders"),
    (
        Column("id", Kind.BIGINT, nullable=False),
        Column("code", Kind.VARCHAR, length=20, charset="utf8mb4", nullable=False),
        Column("note", Kind.TEXT, length=4294967295, charset="utf8mb4"),
        Column("paid", Kind.DECIMAL, precision=12, scale=2),
        Column("picture", Kind.BLOB, length=65535),
        Column("at", Kind.DATETIME),
        Column("stamp", Kind.TIMESTAMP),
        Column("day", Kind.DATE),
        Column("ratio", Kind.DOUBLE),
        Column("doc", Kind.JSON),
    ),
    ("id", "code"),
)
TARGETS = {mode: target_table("tm.orders", SCHEMA, TargetNaming(), mode) for mode in Mode}
CREATED = tuple(create_statements(TARGETS[Mode.MERGE], ["public"]))
LEDGER = tuple(ledger_ddl(quote("{s}"), 2))
OFFSET = (
    'INSERT INTO {s}.offsets_1 (topic, "partition", topic_id, next_offset, next_seq, state, state_since_us, source_table, target_table,'
    " because, emptied) VALUES ('t', 0, 'x', 5, 5, 'ok', 1000000, 's.t', '\"s\".\"t\"', '', FALSE)"
)
FENCE = (
    "INSERT INTO {s}.fence_1 (shard, epoch, commit_no, owner, progress_offset, barrier_no, gtid_set, partial, commit_ts_us)"
    " VALUES (1, 0, 0, '', 0, 0, 'g', FALSE, 86400000000)"
)
WORDS = "CREATE TABLE {s}.t (v VARCHAR(8) NOT NULL)"
SPACED = (WORDS, "INSERT INTO {s}.t VALUES ('a'), ('a ')", "CREATE TEMP TABLE stage (v VARCHAR(8))", "INSERT INTO stage VALUES ('a')")
MARKED = "CREATE TABLE {s}.t (id BIGINT NOT NULL, gone BOOLEAN NOT NULL)"
STAGED = "CREATE TEMP TABLE stage (id BIGINT NOT NULL, gone BOOLEAN NOT NULL, bare BOOLEAN NOT NULL)"

LOADING: tuple[Case, ...] = (
    # making the tables
    Case("the ledger is made", "r_CREATE_TABLE_NEW", LEDGER, Done(), autocommit=True),
    Case("and made again, nothing happens", "r_CREATE_TABLE_NEW", (*LEDGER, *LEDGER), Done(), autocommit=True),
    Case(
        "watermarks join what is there",
        "r_CREATE_VIEW",
        (
            *LEDGER,
            OFFSET,
            FENCE,
            "SELECT source_table, state, CAST(since AS VARCHAR), gtid_set, CAST(complete_up_to AS VARCHAR), partial, rows_applied, batches,"
            " quarantined, seconds_behind > 0 FROM {s}.watermarks",
        ),
        Rows([["s.t", "ok", "1970-01-01 00:00:01", "g", "1970-01-02 00:00:00", False, 0, 0, 0, True]]),
        autocommit=True,
    ),
    Case("a target is made", "r_CREATE_TABLE_NEW", (*CREATED, *CREATED), Done(), autocommit=True),
    Case(
        "its columns are in svv_columns, with their sizes",
        "SVV_COLUMNS",
        (
            *CREATED,
            "SELECT column_name, character_maximum_length, numeric_precision, numeric_scale FROM svv_columns"
            " WHERE table_schema = '{s}' AND table_name = 'orders' AND column_name IN ('code', 'paid') ORDER BY ordinal_position",
        ),
        Rows([["code", 1024, None, None], ["paid", None, 12, 2]]),
        autocommit=True,
    ),
    *(
        Case(f"a staging table is made, {mode.value}", "r_CREATE_TABLE_NEW", (staging_statement(TARGETS[mode], "staged"),), Done())
        for mode in Mode
    ),
    Case("a temp table may be dropped", "r_DROP_TABLE", (T, STAGE, "DROP TABLE stage", STAGE), Done()),
    Case(
        "a temp table that was rolled back is not there",
        "r_CREATE_TABLE_NEW",
        (T, "COMMIT", STAGE, "ROLLBACK", "SELECT * FROM stage"),
        Refused("42P01"),
    ),
    Case(
        "and is there after the commit",
        "r_CREATE_TABLE_NEW",
        (T, STAGE, "INSERT INTO stage VALUES (1, 'a')", "COMMIT", "SELECT id FROM stage"),
        Rows([[1]]),
    ),
    # merging
    Case(
        "rows are moved, not doubled",
        "t_updating-inserting-using-staging-tables-",
        (
            T,
            TWO,
            STAGE,
            "INSERT INTO stage VALUES (2, 'x'), (3, 'y')",
            'DELETE FROM "{s}"."t" USING "stage" WHERE "t"."id" = "stage"."id"',
            'INSERT INTO "{s}"."t" ("id", "v") SELECT "id", "v" FROM "stage"',
            'DELETE FROM "stage"',
            LOADED,
        ),
        Rows([[1, "a"], [2, "x"], [3, "y"]]),
    ),
    Case(
        "keys that differ in trailing blanks are told apart by their bytes",
        "r_Character_types",
        (*SPACED, "DELETE FROM {s}.t USING stage WHERE t.v = stage.v AND OCTET_LENGTH(t.v) = OCTET_LENGTH(stage.v)"),
        Count(1),
    ),
    Case(
        "rows are marked from a staging table",
        "r_UPDATE",
        (
            MARKED,
            STAGED,
            "INSERT INTO {s}.t VALUES (1, FALSE), (2, FALSE)",
            "INSERT INTO stage VALUES (1, TRUE, TRUE), (2, TRUE, FALSE)",
            'UPDATE "{s}"."t" SET "gone" = TRUE FROM "stage" WHERE "t"."id" = "stage"."id" AND "stage"."bare" AND "stage"."gone"',
        ),
        Count(1),
    ),
    Case(
        "and spared by NOT",
        "r_DELETE",
        (
            MARKED,
            STAGED,
            "INSERT INTO {s}.t VALUES (1, FALSE), (2, FALSE)",
            "INSERT INTO stage VALUES (1, TRUE, TRUE), (2, TRUE, FALSE)",
            'DELETE FROM "{s}"."t" USING "stage" WHERE "t"."id" = "stage"."id" AND NOT ("stage"."bare" AND "stage"."gone")',
        ),
        Count(1),
    ),
    Case(
        "an UPDATE takes a CASE",
        "r_CASE_function",
        (T, TWO, "UPDATE {s}.t SET v = CASE WHEN v = 'a' THEN 'z' ELSE v END WHERE id <> 9", LOADED),
        Rows([[1, "z"], [2, "b"]]),
    ),
    Case("several rows are inserted at once", "c_Using_a_multi-row_insert", (T, TWO), Count(2)),
    Case("and moved by IN", "r_DELETE", (T, TWO, "DELETE FROM {s}.t WHERE v IN ('a', 'c')"), Count(1)),
    Case(
        "a DELETE may ask the table it changes",
        "r_DELETE",
        (T, TWO, "DELETE FROM {s}.t WHERE v NOT IN (SELECT MAX(v) FROM {s}.t GROUP BY id / 1000)"),
        Count(1),
    ),
    # evolving
    Case("a table is renamed", "r_ALTER_TABLE", (T, TWO, "ALTER TABLE {s}.t RENAME TO u", "SELECT COUNT(*) FROM {s}.u"), Rows([[2]])),
    Case(
        "a table is dropped and made again in one transaction",
        "c_serial_isolation",
        (T, TWO, "COMMIT", "DROP TABLE {s}.t", T, "ROLLBACK", "SELECT COUNT(*) FROM {s}.t"),
        Rows([[2]]),
    ),
    Case(
        "numbers become text as MySQL would write them",
        "r_CAST_function",
        ("SELECT CAST(CAST(-1.50 AS DECIMAL(10,2)) AS VARCHAR(12)), CAST(CAST(12 AS BIGINT) AS VARCHAR(12))",),
        Rows([["-1.50", "12"]]),
    ),
    # types
    Case("VARBYTE has at most 16,777,216 bytes", "r_VARBYTE_type", ("CREATE TABLE {s}.t (b VARBYTE(16777217))",), Refused()),
    Case("so many it may have", "r_VARBYTE_type", ("CREATE TABLE {s}.t (b VARBYTE(16777216))",), Done()),
    Case(
        "bytes of a VARBYTE are equal or not",
        "r_VARBYTE_type",
        ("CREATE TABLE {s}.t (b VARBYTE(4))", "INSERT INTO {s}.t SELECT FROM_HEX('00ff')", "DELETE FROM {s}.t WHERE b = FROM_HEX('00ff')"),
        Count(1),
    ),
    Case(
        "a TIMESTAMP has six digits",
        "r_Datetime_types",
        ("SELECT CAST(TIMESTAMP '2024-02-29 23:59:59.123456' AS VARCHAR)",),
        Rows([["2024-02-29 23:59:59.123456"]]),
    ),
    Case("there is no 30 February", "r_Datetime_types", ("SELECT CAST('2024-02-30' AS DATE)",), Refused()),
    Case(
        "microseconds since 1970 become a TIMESTAMP",
        "r_interval_literals",
        ("SELECT CAST(TIMESTAMP 'epoch' + (1709251199000000 / 1000000) * INTERVAL '1 second' AS VARCHAR)",),
        Rows([["2024-02-29 23:59:59"]]),
    ),
    Case("a BIGINT does not overflow unseen", "r_Numeric_types201", ("SELECT CAST(9223372036854775807 AS BIGINT) + 1",), Refused()),
)
