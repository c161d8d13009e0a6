"""Which topic, shard and key a table's rows get."""

import pytest

from contracts.errors import Invalid
from contracts.progress import shard_of
from contracts.table import Column, Kind, TableId, TableSchema
from contracts.topics import Topics
from streamer.core.route import Choices, TableChoice, route, schema_message

TABLE = TableId("shop", "orders")
A, B, C = Column("a", Kind.INT, nullable=False), Column("b", Kind.INT, nullable=False), Column("c", Kind.INT)
TOPICS = Topics("p")


def choices(choice: TableChoice | None = None) -> Choices:
    return Choices(TOPICS, 4, lambda table: True, ("shop.*",), {TABLE: choice} if choice else {})


def no_question(table: TableId) -> list[tuple[str, ...]]:
    raise AssertionError("the server need not be asked")


def test_configured_columns_win_over_the_primary_key() -> None:
    way = route(TableSchema(TABLE, (A, B, C), ("a",)), choices(TableChoice(key=("b", "a"))), no_question)
    assert way.schema.key == ("b", "a")


def test_the_primary_key_needs_no_question_to_the_server() -> None:
    assert route(TableSchema(TABLE, (A, B, C), ("a",)), choices(), no_question).schema.key == ("a",)


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        ([("c",), ("b",), ("a",)], ("b",)),  # c may be NULL in this row's own schema
        ([("a", "c"), ("a", "b")], ("a", "b")),
        ([("later",)], ()),  # a column that came after this row
        ([()], ()),
        ([], ()),
    ],
)
def test_without_a_primary_key_the_first_unique_key_that_cannot_be_null_names_rows(
    keys: list[tuple[str, ...]], chosen: tuple[str, ...]
) -> None:
    assert route(TableSchema(TABLE, (A, B, C)), choices(), lambda table: keys).schema.key == chosen


def test_configured_columns_that_are_not_there_are_refused_by_name() -> None:
    with pytest.raises(Invalid, match=r"key columns zz are not columns of shop\.orders"):
        route(TableSchema(TABLE, (A,), ("a",)), choices(TableChoice(key=("zz",))), no_question)


def test_a_shard_is_the_configured_one_or_by_hash_of_the_topic() -> None:
    schema = TableSchema(TABLE, (A,), ("a",))
    assert route(schema, choices(), no_question).shard == shard_of("p.shop.orders", 4)
    for shard in range(4):
        assert route(schema, choices(TableChoice(shard=shard)), no_question).shard == shard


def test_another_key_is_another_fingerprint_and_another_schema_record() -> None:
    schema = TableSchema(TABLE, (A, B), ("a",))
    plain, chosen = route(schema, choices(), no_question), route(schema, choices(TableChoice(key=("b",))), no_question)
    first, second = schema_message(TOPICS, plain), schema_message(TOPICS, chosen)
    assert first.key != second.key
    assert first.key == f"p.shop.orders/{plain.schema.fingerprint}".encode()
    assert TableSchema.decode(second.value) == chosen.schema
