from collections.abc import Sequence
from dataclasses import replace

import pytest

from contracts.errors import Invalid, Unfit
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.evolve import Evolution, StandingColumn, evolution, refuse_other_mode, refused
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


def widenings(wanted: TargetTable, standing: Sequence[StandingColumn]) -> list[str]:
    """What is done whatever was loaded before, while nothing is read anew."""
    found = evolution(wanted, standing, (), renewing=False)
    assert found.alterations == ()
    return list(found.widenings)


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
    # Nobody knows what the warehouse made of the constraint's name where that is too long.
    with pytest.raises(Unfit, match=f'Run: DROP TABLE "shop"."{"c" * 125}", and read the table again'):
        widenings(replace(keyed, name="c" * 125), standing)


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
        (FITS[:2], 'ADD COLUMN "n" BIGINT, and read the table again: streamer snapshot -t shop.orders'),
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
    assert type(refused.value) is Unfit
    # Of a table of events, those that come meanwhile would be lost.
    with pytest.raises(Invalid) as halts:
        widenings(replace(target(Mode.APPEND), key=()), [*standing, StandingColumn("_tidemark_op", "BOOLEAN")])
    assert type(halts.value) is Invalid


@pytest.mark.parametrize(
    ("mode", "fix"), [(Mode.MERGE, DROPS_MARK), (Mode.SOFT_DELETE, ADDS_MARK), (Mode.APPEND, 'ADD COLUMN "_tidemark_op" VARCHAR(1)')]
)
def test_a_table_made_in_another_mode_is_refused_though_its_schema_is_the_same(mode: Mode, fix: str) -> None:
    standing = FITS if mode is not Mode.MERGE else [*FITS, StandingColumn("_tidemark_deleted", "BOOLEAN")]
    for look in (widenings, refuse_other_mode):
        with pytest.raises(Invalid) as refused:
            look(target(mode), standing)
        assert fix in refused.value.message
        assert type(refused.value) is Invalid


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


# while the table is read anew -------------------------------------------------------------------------------------------------

PAID = Column("Paid", Kind.DECIMAL, precision=10, scale=2)


def altered(before: TargetTable, *columns: Column, key: tuple[str, ...] = ("Id",), mode: Mode | None = None) -> TargetTable:
    """The target after an ALTER that leaves these columns beside the key's."""
    schema = TableSchema(before.source.table, (before.source.columns[0], *columns), key)
    return target_table(before.topic, schema, TargetNaming(), before.mode if mode is None else mode)


def stands(*targets: TargetTable) -> list[StandingColumn]:
    """The table as these targets made it, one after the other."""
    return list({column.name: StandingColumn(column.name, column.sql_type) for one in targets for column in table_columns(one)}.values())


def alterations(before: TargetTable, after: TargetTable, *, renewing: bool = True) -> list[str]:
    """Without ALTER TABLE and the table's name."""
    found = evolution(after, stands(before), [before], renewing=renewing)
    assert found.widenings == ()
    return [statement.replace('ALTER TABLE "shop"."orders" ', "") for statement in found.alterations]


def refusal(before: TargetTable, after: TargetTable, *, renewing: bool = True) -> str:
    with pytest.raises(Invalid) as found:
        evolution(after, stands(before), [before], renewing=renewing)
    return found.value.message


NOTE, N = target().source.columns[1:]
BIG = replace(N, kind=Kind.DECIMAL, precision=38)
TEXT = Column("n", Kind.VARCHAR, length=30, charset="utf8mb4")
DAY = Column("n", Kind.DATE)


@pytest.mark.parametrize("mode", Mode)
def test_a_new_column_is_added(mode: Mode) -> None:
    before = target(mode)
    assert alterations(before, altered(before, NOTE, PAID, N)) == ['ADD COLUMN "paid" DECIMAL(10,2)']


def test_a_column_is_added_to_events_though_nothing_is_read_anew_but_not_to_rows() -> None:
    for mode in Mode:
        before = target(mode)
        after = altered(before, NOTE, N, PAID)
        if mode is Mode.APPEND:
            assert alterations(before, after, renewing=False) == ['ADD COLUMN "paid" DECIMAL(10,2)']
        else:
            assert 'Run: ALTER TABLE "shop"."orders" ADD COLUMN "paid" DECIMAL(10,2), and read' in refusal(before, after, renewing=False)


def test_a_column_the_source_dropped_is_dropped_where_rows_equal_the_source_and_kept_where_they_are_history() -> None:
    before = target(Mode.MERGE)
    assert alterations(before, altered(before, N)) == ['DROP COLUMN "note"']
    assert 'Run: ALTER TABLE "shop"."orders" DROP COLUMN "note"' in refusal(before, altered(before, N), renewing=False)
    for mode in (Mode.SOFT_DELETE, Mode.APPEND):
        before = target(mode)
        for renewing in (True, False):
            assert alterations(before, altered(before, N), renewing=renewing) == []


@pytest.mark.parametrize("mode", Mode)
def test_a_column_no_schema_loaded_here_had_is_somebody_elses_and_never_dropped(mode: Mode) -> None:
    before = target(mode)
    for theirs in (StandingColumn("remark", "VARCHAR(80)"), StandingColumn("note", "DATE")):
        after = altered(before, N)
        standing = [*(column for column in stands(after)), theirs]
        with pytest.raises(Invalid, match=f"has column {theirs.name}, which shop.orders has not"):
            evolution(after, standing, [before], renewing=True)


def test_a_column_of_a_schema_before_the_last_is_the_sources_too() -> None:
    first = target()
    second = altered(first, N)
    assert evolution(second, stands(first), [first, second], renewing=True).alterations == (
        'ALTER TABLE "shop"."orders" DROP COLUMN "note"',
    )


def replaced(name: str, sql_type: str, fill: str | None = None) -> list[str]:
    held = {"n": "_tidemark_1b16b1df"}[name]
    return [
        f'ADD COLUMN "{held}" {sql_type}',
        *([f'UPDATE "shop"."orders" SET "{held}" = CAST("{name}" AS {sql_type}){fill}'] if fill is not None else []),
        f'DROP COLUMN "{name}"',
        f'RENAME COLUMN "{held}" TO "{name}"',
    ]


@pytest.mark.parametrize(("column", "sql_type"), [(BIG, "DECIMAL(38,0)"), (TEXT, "VARCHAR(120)"), (DAY, "DATE")])
def test_a_column_of_another_type_is_replaced(column: Column, sql_type: str) -> None:
    before = target()
    assert alterations(before, altered(before, NOTE, column)) == replaced("n", sql_type)
    assert "has column n as BIGINT" in refusal(before, altered(before, NOTE, column), renewing=False)
    theirs = [StandingColumn(c.name, "super" if c.name == "n" else c.sql_type) for c in stands(before)]
    with pytest.raises(Invalid, match="has column n as super"):
        evolution(altered(before, NOTE, column), theirs, [before], renewing=True)


def test_what_deleted_rows_hold_is_converted_or_a_person_decides() -> None:
    before = target(Mode.SOFT_DELETE)
    assert alterations(before, altered(before, NOTE, BIG)) == replaced("n", "DECIMAL(38,0)", ' WHERE "_tidemark_deleted"')
    assert "; ".join(replaced("n", "DECIMAL(38,0)", "")) in refusal(before, altered(before, NOTE, BIG), renewing=False).replace(
        'ALTER TABLE "shop"."orders" ', ""
    )
    assert 'Run: ALTER TABLE "shop"."orders" DROP COLUMN "n", and read' in refusal(before, altered(before, NOTE, DAY))


def test_what_events_hold_is_never_altered_but_by_a_person() -> None:
    before = target(Mode.APPEND)
    says = refusal(before, altered(before, NOTE, BIG)).replace('ALTER TABLE "shop"."orders" ', "")
    assert "Run: " + "; ".join(replaced("n", "DECIMAL(38,0)", "")) in says
    says = refusal(before, altered(before, NOTE, DAY))
    assert 'Run: ALTER TABLE "shop"."orders" RENAME TO "orders_before", and read the table again' in says


def test_whole_numbers_go_into_a_column_of_larger_ones_also_of_the_key() -> None:
    small = [replace(column, kind=Kind.SMALLINT) if column.name != "note" else column for column in target().source.columns]
    narrow = target_table("tm.shop.orders", replace(target().source, columns=tuple(small)), TargetNaming(), None)
    assert alterations(target(), narrow, renewing=False) == []
    assert 'has column id as SMALLINT, and shop.orders needs INTEGER. Run: DROP TABLE "shop"."orders"' in refusal(
        narrow, target(), renewing=False
    )


def test_text_grows_beside_what_is_altered() -> None:
    before = target()
    longer = replace(NOTE, length=300)
    found = evolution(altered(before, longer, PAID), stands(before), [before], renewing=True)
    assert found.widenings == ('ALTER TABLE "shop"."orders" ALTER COLUMN "note" TYPE VARCHAR(1200)',)
    assert found.alterations == (
        'ALTER TABLE "shop"."orders" ADD COLUMN "paid" DECIMAL(10,2)',
        'ALTER TABLE "shop"."orders" DROP COLUMN "n"',
    )


def test_columns_are_added_before_any_is_dropped() -> None:
    before = target()
    assert [statement.partition(" ")[0] for statement in alterations(before, altered(before, DAY, PAID))] == [
        "ADD",
        "ADD",
        "DROP",
        "RENAME",
        "DROP",
    ]


def test_there_and_back_is_nothing() -> None:
    before = target()
    after = altered(before, NOTE, PAID)
    both = [before, after]
    assert [s.partition('"orders" ')[2] for s in evolution(before, stands(after), both, renewing=True).alterations] == [
        'ADD COLUMN "n" BIGINT',
        'DROP COLUMN "paid"',
    ]
    assert evolution(after, stands(after), both, renewing=True) == Evolution()


@pytest.mark.parametrize(
    ("before", "key", "mode", "says"),
    [
        (target(), (), Mode.APPEND, "is keyed by (Id), and shop.orders is keyed by nothing now. Run: DROP TABLE"),
        (target(Mode.SOFT_DELETE), ("n",), Mode.SOFT_DELETE, 'RENAME TO "orders_before"'),
        (altered(target(Mode.APPEND), NOTE, N, key=()), ("Id",), Mode.MERGE, "is keyed by nothing, and shop.orders is keyed by (Id) now"),
    ],
)
def test_another_key_is_for_a_person(before: TargetTable, key: tuple[str, ...], mode: Mode, says: str) -> None:
    assert says in refusal(before, altered(before, NOTE, N, key=key, mode=mode))


def test_the_key_of_events_is_free_to_change_and_so_is_its_order() -> None:
    before = target(Mode.APPEND)
    assert alterations(before, altered(before, NOTE, N, key=("n",))) == []
    before = altered(target(), NOTE, N, key=("Id", "n"))
    assert alterations(before, altered(before, NOTE, N, key=("n", "Id"))) == []


KEYED = replace(N, nullable=False)


@pytest.mark.parametrize(
    "after",
    [
        altered(target(), NOTE, KEYED, key=("Id", "n")),
        altered(target(), NOTE, KEYED, key=("n",)),
        target_table(
            "tm.shop.orders",
            replace(target().source, columns=(Column("Id", Kind.BIGINT, nullable=False), NOTE, N)),
            TargetNaming(),
            Mode.MERGE,
        ),
    ],
)
def test_a_table_under_another_key_is_made_again_while_its_rows_come_anew(after: TargetTable) -> None:
    found = evolution(after, stands(target()), [target()], renewing=True)
    assert found == Evolution(alterations=('DROP TABLE "shop"."orders"',), made_again=True)
    assert 'Run: DROP TABLE "shop"."orders", and read the table again' in refusal(target(), after, renewing=False)
    # Nobody else's column is lost.
    with pytest.raises(Invalid, match=r"has column remark, which no schema of shop\.orders had"):
        evolution(after, [*stands(target()), StandingColumn("remark", "DATE")], [target()], renewing=True)


def test_what_a_mode_adds_is_never_added_or_dropped_by_the_loader() -> None:
    merged, marked = target(), target(Mode.SOFT_DELETE)
    for standing, wanted in ((stands(merged), marked), (stands(marked), merged)):
        with pytest.raises(Invalid, match="_tidemark_deleted"):
            evolution(wanted, standing, [wanted], renewing=True)


def test_a_refused_alteration_says_what_may_stand_in_its_way() -> None:
    error = refused(target(), 'ALTER TABLE "shop"."orders" DROP COLUMN "n"', "other objects depend on it")
    assert 'DROP COLUMN "n": other objects depend on it' in error.message
    assert 'ALTER TABLE "shop"."orders" ALTER SORTKEY NONE' in error.message


@pytest.mark.parametrize("mode", list(Mode))
def test_a_decimal_of_19_digits_that_a_former_release_made_stays_in_every_mode(mode: Mode) -> None:
    amount = Column("n", Kind.DECIMAL, precision=19, scale=4)
    before = altered(target(mode), NOTE, amount)
    after = altered(before, NOTE, amount, PAID)
    standing = [replace(column, sql_type="DECIMAL(19,4)") if column.name == "n" else column for column in stands(before)]
    found = evolution(after, standing, [before], renewing=True)
    assert [statement.partition('"orders" ')[2] for statement in found.alterations] == ['ADD COLUMN "paid" DECIMAL(10,2)']
