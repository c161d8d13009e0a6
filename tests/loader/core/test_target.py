from dataclasses import replace

import pytest
import sqlfluff

from contracts.errors import Invalid
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.plan import Mode
from loader.core.staging import staging_statement
from loader.core.target import TargetNames, TargetNaming, create_statements, staging_columns, target_table
from tests.loader.core.rowmaker import ORDERS, TOPIC, target_of
from tests.loader.core.typecases import CASES

KEYLESS = replace(ORDERS, key=())


def schema_of(*columns: str, table: TableId = ORDERS.table) -> TableSchema:
    return TableSchema(table, tuple(Column(name, Kind.INT) for name in columns))


def test_a_table_with_a_key_is_merged_and_one_without_appended() -> None:
    assert target_of(ORDERS).mode is Mode.MERGE
    assert target_of(ORDERS).key == ("id",)
    assert target_of(KEYLESS).mode is Mode.APPEND
    assert target_of(KEYLESS).key == ()
    assert target_of(ORDERS, Mode.APPEND).mode is Mode.APPEND


@pytest.mark.parametrize("mode", [Mode.MERGE, Mode.SOFT_DELETE])
def test_to_load_a_table_without_a_key_by_key_is_refused_by_its_name(mode: Mode) -> None:
    with pytest.raises(Invalid, match=rf"shop\.orders has no key, so it can't be loaded in mode {mode.value}"):
        target_of(KEYLESS, mode)


def test_only_key_columns_are_not_null_and_only_when_rows_are_loaded_by_key() -> None:
    assert [column.nullable for column in target_of(ORDERS).columns] == [False, True, True]
    assert [column.nullable for column in target_of(ORDERS, Mode.SOFT_DELETE).columns] == [False, True, True]
    assert [column.nullable for column in target_of(ORDERS, Mode.APPEND).columns] == [True, True, True]


def test_names_follow_their_templates() -> None:
    naming = TargetNaming("raw_{db}", "{db}__{table}")
    target = target_table(TOPIC, replace(ORDERS, table=TableId("Shop", "Orders")), naming, None)
    assert (target.schema, target.name) == ("raw_shop", "shop__orders")


def test_a_table_named_like_a_placeholder_is_no_placeholder() -> None:
    naming = TargetNaming("x", "{db}.{table}")
    assert naming.name(TableId("{table}", "{db}")) == "{table}.{db}"


@pytest.mark.parametrize("template", ["", "{schema}", "{db", "db}", "{}", "{db.name}", "{table!r}", "{{db}}"])
def test_a_template_with_anything_but_db_and_table_is_refused(template: str) -> None:
    for templates in ((template, "{table}"), ("{db}", template)):
        with pytest.raises(Invalid, match="target name template"):
            TargetNaming(*templates)


def test_two_tables_of_one_target_are_refused_and_both_named() -> None:
    names = TargetNames()
    names.claim(target_of(ORDERS))
    names.claim(target_of(replace(ORDERS, columns=ORDERS.columns[:1])))
    names.claim(target_of(replace(ORDERS, table=TableId("shop2", "orders"))))
    with pytest.raises(Invalid, match=r"shop\.orders and shop\.Orders would both load into shop\.orders"):
        names.claim(target_of(replace(ORDERS, table=TableId("shop", "Orders"))))


def test_two_columns_of_one_name_are_refused_and_both_named() -> None:
    with pytest.raises(Invalid, match="column 'ID' and column 'Id' would both be 'id'"):
        target_of(schema_of("Id", "x", "ID"))
    assert [c.name for c in target_of(schema_of("É", "é")).columns] == ["É", "é"]


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (Mode.MERGE, "_tidemark_deleted"),
        (Mode.SOFT_DELETE, "_Tidemark_Deleted"),
        (Mode.SOFT_DELETE, "_tidemark_bare"),
        (Mode.APPEND, "_Tidemark_Seq"),
    ],
)
def test_a_column_named_like_one_of_ours_is_refused(mode: Mode, name: str) -> None:
    with pytest.raises(Invalid, match="Tidemark's own"):
        target_of(TableSchema(ORDERS.table, (Column("id", Kind.INT), Column(name, Kind.INT)), ("id",)), mode)


@pytest.mark.parametrize("name", ["ctid", "XMIN", "oid", "insertxid"])
def test_a_column_named_like_redshifts_own_gets_a_hash(name: str) -> None:
    (column,) = target_of(schema_of(name)).columns
    assert column.source == name
    assert column.name.startswith(f"{name.lower()}_")


def test_more_columns_than_redshift_takes_are_refused() -> None:
    names = [f"c{i}" for i in range(1597)]
    with pytest.raises(Invalid, match="1597 columns"):
        target_of(schema_of(*names))
    assert len(staging_columns(target_of(schema_of(*names[:-1])))) == 1600
    keyed = replace(schema_of(*(f"c{i}" for i in range(1599))), key=("c0",))
    with pytest.raises(Invalid, match="1599 columns; Redshift takes 1600, 2 of them ours"):
        target_of(keyed, Mode.SOFT_DELETE)
    assert len(staging_columns(target_of(replace(keyed, columns=keyed.columns[:-1]), Mode.SOFT_DELETE))) == 1600


def test_a_merged_tables_statements() -> None:
    target = target_of(ORDERS)
    assert create_statements(target, []) == [
        'CREATE SCHEMA IF NOT EXISTS "shop"',
        'CREATE TABLE IF NOT EXISTS "shop"."orders" ("id" INTEGER NOT NULL, "name" VARCHAR(8), "total" DECIMAL(5,2), PRIMARY KEY ("id"))'
        " DISTSTYLE AUTO SORTKEY AUTO",
    ]
    assert staging_statement(target, "stage_1") == (
        'CREATE TEMP TABLE "stage_1" ("id" INTEGER NOT NULL, "name" VARCHAR(8), "total" DECIMAL(5,2), "_tidemark_deleted" BOOLEAN)'
    )


def test_the_statements_of_a_table_that_keeps_deleted_rows() -> None:
    target = target_of(ORDERS, Mode.SOFT_DELETE)
    columns = '"id" INTEGER NOT NULL, "name" VARCHAR(8), "total" DECIMAL(5,2), "_tidemark_deleted" BOOLEAN NOT NULL'
    assert create_statements(target, [])[1] == (
        f'CREATE TABLE IF NOT EXISTS "shop"."orders" ({columns}, PRIMARY KEY ("id")) DISTSTYLE AUTO SORTKEY AUTO'
    )
    assert staging_statement(target, "stage_1") == f'CREATE TEMP TABLE "stage_1" ({columns}, "_tidemark_bare" BOOLEAN)'


def test_an_appended_tables_statements() -> None:
    columns = (
        '("id" INTEGER, "name" VARCHAR(8), "total" DECIMAL(5,2), "_tidemark_op" VARCHAR(1), "_tidemark_seq" BIGINT,'
        ' "_tidemark_commit_ts" TIMESTAMP, "_tidemark_gtid" VARCHAR(128))'
    )
    target = target_of(ORDERS, Mode.APPEND)
    assert create_statements(target, [])[1] == f'CREATE TABLE IF NOT EXISTS "shop"."orders" {columns} DISTSTYLE AUTO SORTKEY AUTO'
    assert staging_statement(target, "stage_1") == f'CREATE TEMP TABLE "stage_1" {columns}'


def test_a_key_of_bytes_is_not_null_but_no_primary_key() -> None:
    schema = TableSchema(ORDERS.table, (Column("id", Kind.BINARY, nullable=False, length=16),), ("id",))
    assert create_statements(target_of(schema), [])[1] == (
        'CREATE TABLE IF NOT EXISTS "shop"."orders" ("id" VARBYTE(16) NOT NULL) DISTSTYLE AUTO SORTKEY AUTO'
    )


def test_grants_name_users_groups_and_roles() -> None:
    grants = create_statements(target_of(ORDERS), ["analyst", "group BI people", "ROLE IAMR:Reader", "public"])
    usage, select = grants[1:5], grants[6:]
    assert (
        [g.partition(" TO ")[2] for g in usage]
        == [g.partition(" TO ")[2] for g in select]
        == ['"analyst"', 'GROUP "BI people"', 'ROLE "IAMR:Reader"', "PUBLIC"]
    )
    assert [usage[0], select[0]] == ['GRANT USAGE ON SCHEMA "shop" TO "analyst"', 'GRANT SELECT ON TABLE "shop"."orders" TO "analyst"']


@pytest.mark.parametrize("grantee", ["", " ", "a\x00", 'x" ; drop'])
def test_a_grantee_is_quoted_or_refused(grantee: str) -> None:
    try:
        statements = create_statements(target_of(ORDERS), [grantee])
    except Invalid:
        return
    assert statements[1].endswith(' TO "x"" ; drop"')


HOSTILE = 'we"ird`; drop table x; -- 名'


@pytest.mark.parametrize("mode", Mode)
def test_statements_are_redshifts_for_every_type_and_a_hostile_name(mode: Mode) -> None:
    columns = (Column(HOSTILE, Kind.INT), *(replace(case.column, name=f'"{i}') for i, case in enumerate(CASES)))
    target = target_of(TableSchema(TableId(HOSTILE, HOSTILE), columns, (HOSTILE,)), mode)
    for statement in (*create_statements(target, ["group x"]), staging_statement(target, "stage_1")):
        parsed = sqlfluff.parse(statement, dialect="redshift")
        assert str(parsed).count("'statement'") == 1
