import re
from dataclasses import replace

import pytest

from contracts.batch import BatchKey
from contracts.ledger import Fence, LedgerEntry, TopicOffset
from contracts.offsets import OffsetRange
from contracts.position import GtidSet
from contracts.progress import TableState
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.plan import CommitPlan, Mode, QuarantinedValue, StagedLoad, TableLoad
from loader.core.statements import BINDS_MAX, CommitTables, Statement, after_the_fence, compare_and_set
from loader.core.target import TargetNaming, target_table
from tests.loader.core.reading import NOW

TABLES = CommitTables("tidemark", 2)
HELD = Fence(2, 7, 40, "me", 5, 3, GtidSet(), False, 2500)
PLAN = CommitPlan(HELD, replace(HELD, commit_no=41, progress_offset=6, barrier_no=4, partial=True), (), frozenset(), (), NOW)
BARE_NOW = NOW.replace(tzinfo=None)


def load(
    name: str,
    mode: Mode = Mode.MERGE,
    *,
    truncate: bool = False,
    rows: int = 3,
    quarantine: int = 0,
    closes: tuple[str, ...] = (),
    unformed: int = 0,
) -> TableLoad:
    columns = (Column("id", Kind.INT, nullable=False), Column("No", Kind.INT, nullable=False), Column("v", Kind.INT))
    schema = TableSchema(TableId("shop", name), columns, ("id", "No"))
    topic = f"tm.shop.{name}"
    target = target_table(topic, schema, TargetNaming(), mode)
    key = BatchKey(topic, 0, NOW, 1, OffsetRange(0, 3), 7, "0123abcd")
    staged = StagedLoad(target, f"staged_{name}", "s3://b/m", rows, bare=unformed > 0) if rows else None
    entry = LedgerEntry("0123abcd", topic, 0, "id-1", 7, OffsetRange(0, 3), 3, 1, 2 - unformed, unformed, quarantine, "m", "sha", NOW)
    kept = tuple(QuarantinedValue(topic, 0, i, "k", "v", "too long", "x", 1) for i in range(quarantine))
    return TableLoad(target, key, staged, truncate, entry, kept, closes)


def statements(*loads: TableLoad, offsets: tuple[TopicOffset, ...] = (), new: frozenset[str] = frozenset()) -> list[Statement]:
    return list(after_the_fence(replace(PLAN, loads=loads, offsets=offsets, new_topics=new), TABLES))


def test_the_first_statement_is_the_compare_and_set() -> None:
    assert compare_and_set(PLAN, TABLES) == Statement(
        'UPDATE "tidemark"."fence_2" SET commit_no = commit_no + 1, progress_offset = %s, barrier_no = %s, gtid_set = %s, partial = %s,'
        " commit_ts_us = %s WHERE shard = %s AND epoch = %s AND commit_no = %s",
        (6, 4, "", True, 2500, 2, 7, 40),
        rows=1,
    )


def test_a_merge_deletes_the_staged_keys_and_inserts_what_is_not_deleted() -> None:
    merge = statements(load("orders"))[:2]
    assert merge == [
        Statement(
            'DELETE FROM "shop"."orders" USING "staged_orders"'
            ' WHERE "orders"."id" = "staged_orders"."id" AND "orders"."no" = "staged_orders"."no"'
        ),
        Statement(
            'INSERT INTO "shop"."orders" ("id", "no", "v") SELECT "id", "no", "v" FROM "staged_orders" WHERE NOT "_tidemark_deleted"'
        ),
    ]


SAME_KEY = '"orders"."id" = "staged_orders"."id" AND "orders"."no" = "staged_orders"."no"'
SOFT_NAMES = '"id", "no", "v", "_tidemark_deleted"'


def test_rows_staged_whole_replace_those_of_their_keys_and_bring_their_mark() -> None:
    assert statements(load("orders", Mode.SOFT_DELETE))[:3] == [
        Statement(f'DELETE FROM "shop"."orders" USING "staged_orders" WHERE {SAME_KEY}'),
        Statement(f'INSERT INTO "shop"."orders" ({SOFT_NAMES}) SELECT {SOFT_NAMES} FROM "staged_orders"', rows=3),
        statements(load("orders"))[-1],
    ]


def test_a_key_staged_alone_is_marked_by_a_delete_and_removed_by_another_change() -> None:
    marks = '"staged_orders"."_tidemark_bare" AND "staged_orders"."_tidemark_deleted"'
    assert [statement.sql for statement in statements(load("orders", Mode.SOFT_DELETE, unformed=1))[:3]] == [
        f'UPDATE "shop"."orders" SET "_tidemark_deleted" = TRUE FROM "staged_orders" WHERE {SAME_KEY} AND {marks}',
        f'DELETE FROM "shop"."orders" USING "staged_orders" WHERE {SAME_KEY} AND NOT ({marks})',
        f'INSERT INTO "shop"."orders" ({SOFT_NAMES}) SELECT {SOFT_NAMES} FROM "staged_orders" WHERE NOT "staged_orders"."_tidemark_bare"',
    ]


def test_a_truncate_marks_what_is_not_marked_and_closes_the_tables_entries() -> None:
    assert statements(load("orders", Mode.SOFT_DELETE, truncate=True, rows=0))[:2] == [
        Statement('UPDATE "shop"."orders" SET "_tidemark_deleted" = TRUE WHERE NOT "_tidemark_deleted"'),
        statements(load("orders", truncate=True, rows=0))[1],
    ]


def test_text_keys_that_differ_in_trailing_spaces_only_are_two_rows() -> None:
    schema = TableSchema(TableId("shop", "words"), (Column("w", Kind.VARCHAR, nullable=False, length=9, charset="utf8mb4"),), ("w",))
    same = '"words"."w" = "staged_a"."w" AND OCTET_LENGTH("words"."w") = OCTET_LENGTH("staged_a"."w")'
    delete = statements(replace(load("a"), target=target_table("tm.shop.words", schema, TargetNaming(), None)))[0]
    assert delete.sql == f'DELETE FROM "shop"."words" USING "staged_a" WHERE {same}'
    soft = target_table("tm.shop.words", schema, TargetNaming(), Mode.SOFT_DELETE)
    for statement in statements(replace(load("a", unformed=1), target=soft))[:2]:
        assert same in statement.sql


def test_an_append_inserts_every_staged_row_with_its_event() -> None:
    names = '"id", "no", "v", "_tidemark_op", "_tidemark_seq", "_tidemark_commit_ts", "_tidemark_gtid"'
    expected = Statement(f'INSERT INTO "shop"."log" ({names}) SELECT {names} FROM "staged_log"', rows=3)
    assert statements(load("log", Mode.APPEND))[0] == expected


def test_a_truncate_deletes_and_never_truncates() -> None:
    assert statements(load("orders", truncate=True, rows=0))[:2] == [
        Statement('DELETE FROM "shop"."orders"'),
        Statement(
            'UPDATE "tidemark"."quarantine_2" SET closed_at = %s WHERE topic = %s AND closed_at IS NULL', (BARE_NOW, "tm.shop.orders")
        ),
    ]


def test_a_truncate_of_an_append_table_deletes_nothing() -> None:
    assert not any(statement.sql.startswith(("DELETE", "UPDATE")) for statement in statements(load("log", Mode.APPEND, truncate=True)))


def test_offsets_of_any_number_of_topics_move_in_two_statements() -> None:
    held = TopicOffset("tm.shop.a", 0, "id-1", 10, 9, TableState.OK, 17, "shop.a", '"shop"."a"')
    new = replace(held, topic="tm.shop.b")
    names = (
        '"topic", "partition", "topic_id", "next_offset", "next_seq", "state", "state_since_us", "source_table", "target_table", "because",'
        ' "emptied"'
    )
    row = ("tm.shop.a", 0, "id-1", 10, 9, "ok", 17, "shop.a", '"shop"."a"', "", False)
    marks = "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    assert statements(offsets=(held, new), new=frozenset({"tm.shop.b"})) == [
        Statement('DELETE FROM "tidemark"."offsets_2" WHERE topic IN (%s)', ("tm.shop.a",), rows=1),
        Statement(f'INSERT INTO "tidemark"."offsets_2" ({names}) VALUES {marks}, {marks}', (*row, "tm.shop.b", *row[1:]), rows=2),
    ]


def test_entries_are_closed_before_new_ones_are_made() -> None:
    close, enter = statements(load("orders", rows=0, quarantine=1, closes=("1", "2")))[:2]
    assert close == Statement(
        'UPDATE "tidemark"."quarantine_2" SET closed_at = %s WHERE topic = %s AND closed_at IS NULL AND row_key IN (%s, %s)',
        (BARE_NOW, "tm.shop.orders", "1", "2"),
    )
    assert enter.sql.startswith('INSERT INTO "tidemark"."quarantine_2" ("topic", "partition", "record_offset", "row_key"')
    assert enter.values == ("tm.shop.orders", 0, 0, "k", "v", "too long", "x", 1, "0123abcd", BARE_NOW)


def test_the_ledger_is_last_and_holds_a_row_for_each_table() -> None:
    last = statements(load("a"), load("b", rows=0))[-1]
    assert last.sql.startswith('INSERT INTO "tidemark"."ledger_2" ("batch_id", "topic", "partition", "topic_id", "epoch"')
    row = ("0123abcd", "tm.shop.a", 0, "id-1", 7, 0, 3, 3, 1, 2, 0, 0, "m", "sha", BARE_NOW)
    assert last.values == (*row, "0123abcd", "tm.shop.b", *row[2:])
    assert last.rows == 2


def test_nothing_in_a_commit_commits_by_itself() -> None:
    everything = [
        compare_and_set(PLAN, TABLES),
        *statements(load("a"), load("b", Mode.APPEND), load("c", truncate=True, rows=0, quarantine=2)),
        *statements(load("d", Mode.SOFT_DELETE, unformed=1), load("e", Mode.SOFT_DELETE, truncate=True, rows=0)),
    ]
    for statement in everything:
        assert re.fullmatch(r"(UPDATE|DELETE FROM|INSERT INTO) .*", statement.sql), statement.sql


@pytest.mark.parametrize("count", [1, 64, 65, 5000])
def test_large_quarantines_go_in_pieces_a_statement_can_bind(count: int) -> None:
    made = [statement for statement in statements(load("a", rows=0, quarantine=count)) if "quarantine_2" in statement.sql]
    assert sum(len(statement.values) for statement in made) == count * 10
    assert all(len(statement.values) == statement.sql.count("%s") <= BINDS_MAX for statement in made)


def test_names_are_quoted_whatever_they_hold() -> None:
    schema = TableSchema(TableId('we"ird; drop', "t%s"), (Column('a"b', Kind.INT, nullable=False),), ('a"b',))
    target = target_table("tm.x", schema, TargetNaming(), None)
    made = load("a")
    delete, insert = statements(replace(made, target=target))[:2]
    assert delete.sql == 'DELETE FROM "we""ird; drop"."t%s" USING "staged_a" WHERE "t%s"."a""b" = "staged_a"."a""b"'
    assert insert.sql.startswith('INSERT INTO "we""ird; drop"."t%s" ("a""b") SELECT "a""b" FROM')
