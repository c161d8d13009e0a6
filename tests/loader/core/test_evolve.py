import pytest

from contracts.errors import Invalid
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.evolve import StandingColumn, refuse_misfit
from loader.core.plan import Mode, TargetTable
from loader.core.target import EVENT_COLUMNS, TargetNaming, target_table


def target(mode: Mode = Mode.MERGE) -> TargetTable:
    columns = (Column("Id", Kind.INT, nullable=False), Column("note", Kind.VARCHAR, length=20, charset="utf8mb4"), Column("n", Kind.BIGINT))
    return target_table("tm.shop.orders", TableSchema(TableId("shop", "orders"), columns, ("Id",)), TargetNaming(), mode)


FITS = [StandingColumn("id", "INTEGER"), StandingColumn("note", "VARCHAR(80)"), StandingColumn("n", "BIGINT")]


def instead(name: str, sql_type: str) -> list[StandingColumn]:
    return [StandingColumn(name, sql_type) if column.name == name else column for column in FITS]


def test_a_table_of_the_same_columns_takes_the_rows_in_whatever_order_they_stand() -> None:
    refuse_misfit(target(), FITS)
    refuse_misfit(target(), FITS[::-1])
    refuse_misfit(target(Mode.APPEND), [*FITS, *(StandingColumn(c.name, c.sql_type) for c in EVENT_COLUMNS)])


def test_a_longer_text_column_is_fine() -> None:
    refuse_misfit(target(), instead("note", "VARCHAR(81)"))


@pytest.mark.parametrize(
    ("standing", "fix"),
    [
        (FITS[:2], 'ALTER TABLE "shop"."orders" ADD COLUMN "n" BIGINT'),
        (instead("note", "VARCHAR(79)"), 'ALTER TABLE "shop"."orders" ALTER COLUMN "note" TYPE VARCHAR(80)'),
        (instead("n", "INTEGER"), 'DROP TABLE "shop"."orders", and read the table again'),
        (instead("note", "super"), 'DROP TABLE "shop"."orders", and read the table again'),
        ([*FITS, StandingColumn("old", "DATE")], 'ALTER TABLE "shop"."orders" DROP COLUMN "old"'),
    ],
)
def test_any_other_difference_names_table_column_and_the_statement_that_mends_it(standing: list[StandingColumn], fix: str) -> None:
    with pytest.raises(Invalid) as refused:
        refuse_misfit(target(), standing)
    assert fix in refused.value.message
    assert refused.value.fields["table"] == "shop.orders"


def test_an_append_target_lacking_what_the_mode_adds_is_refused() -> None:
    with pytest.raises(Invalid, match="lacks column _tidemark_op"):
        refuse_misfit(target(Mode.APPEND), FITS)
