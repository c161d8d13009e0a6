from dataclasses import replace

import pytest

from contracts.errors import Invalid
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.evolve import StandingColumn, refuse_other_mode, widenings
from loader.core.plan import Mode, TargetTable
from loader.core.target import EVENT_COLUMNS, TargetNaming, table_columns, target_table


def target(mode: Mode = Mode.MERGE) -> TargetTable:
    columns = (Column("Id", Kind.INT, nullable=False), Column("note", Kind.VARCHAR, length=20, charset="utf8mb4"), Column("n", Kind.BIGINT))
    return target_table("tm.shop.orders", TableSchema(TableId("shop", "orders"), columns, ("Id",)), TargetNaming(), mode)


ADDS_MARK = 'ADD COLUMN "_tidemark_deleted" BOOLEAN DEFAULT FALSE NOT NULL'
DROPS_MARK = 'Run: DELETE FROM "shop"."orders" WHERE "_tidemark_deleted"; ALTER TABLE "shop"."orders" DROP COLUMN "_tidemark_deleted"'
FITS = [StandingColumn("id", "INTEGER"), StandingColumn("note", "VARCHAR(80)"), StandingColumn("n", "BIGINT")]


def instead(name: str, sql_type: str) -> list[StandingColumn]:
    return [StandingColumn(name, sql_type) if column.name == name else column for column in FITS]


def test_a_table_of_the_same_columns_takes_the_rows_in_whatever_order_they_stand() -> None:
    assert widenings(target(), FITS) == []
    assert widenings(target(), FITS[::-1]) == []
    assert widenings(target(Mode.APPEND), [*FITS, *(StandingColumn(c.name, c.sql_type) for c in EVENT_COLUMNS)]) == []


def test_a_longer_text_column_is_fine() -> None:
    assert widenings(target(), instead("note", "VARCHAR(81)")) == []


def test_a_shorter_text_column_is_widened() -> None:
    assert widenings(target(), instead("note", "VARCHAR(79)")) == ['ALTER TABLE "shop"."orders" ALTER COLUMN "note" TYPE VARCHAR(80)']


def test_a_shorter_text_column_of_the_primary_key_is_for_a_person() -> None:
    columns = (Column("code", Kind.VARCHAR, nullable=False, length=300, charset="utf8mb4"), Column("n", Kind.INT))
    keyed = target_table("tm.shop.codes", TableSchema(TableId("shop", "codes"), columns, ("code",)), TargetNaming(), Mode.MERGE)
    standing = [StandingColumn("code", "VARCHAR(1024)"), StandingColumn("n", "INTEGER")]
    with pytest.raises(Invalid) as refused:
        widenings(keyed, standing)
    assert (
        'Run: ALTER TABLE "shop"."codes" DROP CONSTRAINT "codes_pkey"; ALTER TABLE "shop"."codes" ALTER COLUMN "code" TYPE VARCHAR(1200);'
        ' ALTER TABLE "shop"."codes" ADD PRIMARY KEY ("code")'
    ) in refused.value.message
    # In append mode it is a column like any other.
    assert len(widenings(replace(keyed, key=()), standing)) == 1


def test_a_column_of_ours_that_is_too_short_was_made_by_somebody_else() -> None:
    standing = [*FITS, *(StandingColumn(c.name, "VARCHAR(64)" if c.name == "_tidemark_gtid" else c.sql_type) for c in EVENT_COLUMNS)]
    for look in (widenings, refuse_other_mode):
        with pytest.raises(Invalid, match="has column _tidemark_gtid as VARCHAR\\(64\\)"):
            look(target(Mode.APPEND), standing)


def test_nothing_is_widened_where_another_column_does_not_fit() -> None:
    with pytest.raises(Invalid, match="has column old"):
        widenings(target(), [*instead("note", "VARCHAR(79)"), StandingColumn("old", "DATE")])


@pytest.mark.parametrize(
    ("standing", "fix"),
    [
        (FITS[:2], 'ALTER TABLE "shop"."orders" ADD COLUMN "n" BIGINT'),
        (instead("n", "INTEGER"), 'DROP TABLE "shop"."orders", and read the table again'),
        (instead("note", "super"), 'DROP TABLE "shop"."orders", and read the table again'),
        ([*FITS, StandingColumn("old", "DATE")], 'ALTER TABLE "shop"."orders" DROP COLUMN "old"'),
    ],
)
def test_any_other_difference_names_table_column_and_the_statement_that_mends_it(standing: list[StandingColumn], fix: str) -> None:
    with pytest.raises(Invalid) as refused:
        widenings(target(), standing)
    assert fix in refused.value.message
    assert refused.value.fields["table"] == "shop.orders"


@pytest.mark.parametrize(
    ("mode", "fix"), [(Mode.MERGE, DROPS_MARK), (Mode.SOFT_DELETE, ADDS_MARK), (Mode.APPEND, 'ADD COLUMN "_tidemark_op" VARCHAR(1)')]
)
def test_a_table_made_in_another_mode_is_refused_though_its_schema_is_the_same(mode: Mode, fix: str) -> None:
    standing = FITS if mode is not Mode.MERGE else [*FITS, StandingColumn("_tidemark_deleted", "BOOLEAN")]
    for look in (widenings, refuse_other_mode):
        with pytest.raises(Invalid) as refused:
            look(target(mode), standing)
        assert fix in refused.value.message


@pytest.mark.parametrize("mode", Mode)
def test_a_table_made_in_the_same_mode_may_differ_in_columns_of_the_source(mode: Mode) -> None:
    own = [StandingColumn(column.name, column.sql_type) for column in table_columns(target(mode))[3:]]
    refuse_other_mode(target(mode), own)
    refuse_other_mode(target(mode), [*FITS, StandingColumn("new", "DATE"), *own])


def test_a_sources_own_column_named_like_another_modes_is_no_other_mode() -> None:
    schema = replace(target().source, columns=(*target().source.columns, Column("_tidemark_op", Kind.INT)))
    refuse_other_mode(target_table("tm.shop.orders", schema, TargetNaming(), None), [*FITS, StandingColumn("_tidemark_op", "INTEGER")])


def test_an_append_target_lacking_what_the_mode_adds_is_refused() -> None:
    with pytest.raises(Invalid, match="lacks column _tidemark_op"):
        widenings(target(Mode.APPEND), FITS)
