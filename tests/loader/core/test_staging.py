from dataclasses import replace

import pytest

from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.plan import Mode, StagedLoad
from loader.core.staging import DEAD_ROWS_MAX, StagingTables, copy_statement, staging_name
from loader.core.target import TargetNaming, target_table

SCHEMA = TableSchema(TableId("shop", "orders"), (Column("id", Kind.INT, nullable=False),), ("id",))
TARGET = target_table("tm.shop.orders", SCHEMA, TargetNaming(), None)
LOAD = StagedLoad(TARGET, "s", "s3://lake/o'clock", 3)
CREATE = 'CREATE TEMP TABLE "s" ("id" INTEGER NOT NULL, "_tidemark_deleted" BOOLEAN)'
COPY = "COPY \"s\" FROM 's3://lake/o''clock' IAM_ROLE default FORMAT AS PARQUET MANIFEST"


def test_a_staging_table_is_made_once_and_emptied_for_the_next_load() -> None:
    tables = StagingTables()
    assert list(tables.fill(LOAD, "default")) == [CREATE, COPY]
    assert list(tables.clear(LOAD)) == ['DELETE FROM "s"']
    assert list(tables.fill(LOAD, "default")) == [COPY]


def test_what_was_left_by_a_commit_that_failed_goes_before_the_next_copy() -> None:
    tables = StagingTables()
    list(tables.fill(LOAD, "default"))
    assert list(tables.fill(LOAD, "default")) == ['DELETE FROM "s"', COPY]


def test_a_table_in_which_much_was_deleted_is_made_anew() -> None:
    tables = StagingTables()
    for _ in range(2):
        list(tables.fill(replace(LOAD, rows=DEAD_ROWS_MAX // 2), "default"))
        assert list(tables.clear(LOAD)) == ['DELETE FROM "s"']
    list(tables.fill(LOAD, "default"))
    assert list(tables.clear(LOAD)) == ['DROP TABLE "s"']
    assert list(tables.fill(LOAD, "default")) == [CREATE, COPY]


def test_a_copy_of_them_forgets_nothing_and_tells_nothing() -> None:
    tables = StagingTables()
    list(tables.fill(LOAD, "default"))
    draft = tables.copy()
    list(draft.clear(LOAD))
    assert (tables.filled, draft.filled) == ({"s": 3}, {})


@pytest.mark.parametrize(
    "other",
    [
        target_table("tm.shop.orders", SCHEMA, TargetNaming(), Mode.APPEND),
        target_table("tm.shop.orders", SCHEMA, TargetNaming("x"), None),
        target_table("tm.shop.orders", replace(SCHEMA, columns=(*SCHEMA.columns, Column("b", Kind.INT))), TargetNaming(), None),
    ],
)
def test_targets_that_differ_in_name_mode_or_columns_have_staging_tables_of_their_own(other: object) -> None:
    assert staging_name(TARGET) == staging_name(replace(TARGET))
    assert staging_name(TARGET) != staging_name(other)  # type: ignore[arg-type]  # a parameter


def test_copy_reads_the_manifest_by_role_and_quotes_both() -> None:
    role = "arn:aws:iam::1:role/copy"
    assert copy_statement(LOAD, role) == COPY.replace("default", f"'{role}'")
    assert copy_statement(LOAD, "default") == COPY
