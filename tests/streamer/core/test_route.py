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


def test_configured_columns_win_over_the_schemas_own_key() -> None:
    way = route(TableSchema(TABLE, (A, B, C), ("a",)), choices(TableChoice(key=("b", "a"))))
    assert way.schema.key == ("b", "a")


def test_a_row_is_named_by_the_key_its_own_schema_has_or_by_none() -> None:
    assert route(TableSchema(TABLE, (A, B, C), ("a",)), choices()).schema.key == ("a",)
    assert route(TableSchema(TABLE, (A, B, C)), choices()).schema.key == ()


def test_configured_columns_that_are_not_there_are_refused_by_name() -> None:
    with pytest.raises(Invalid, match=r"key columns zz are not columns of shop\.orders"):
        route(TableSchema(TABLE, (A,), ("a",)), choices(TableChoice(key=("zz",))))


def test_a_shard_is_the_configured_one_or_by_hash_of_the_topic() -> None:
    schema = TableSchema(TABLE, (A,), ("a",))
    assert route(schema, choices()).shard == shard_of("p.shop.orders", 4)
    for shard in range(4):
        assert route(schema, choices(TableChoice(shard=shard))).shard == shard


def test_a_table_stays_in_the_shard_its_rows_are_in() -> None:
    topic, other = "p.shop.orders", TableId("shop", "new")
    here = shard_of(topic, 4)
    choices().refuse_moved((TABLE, other), {topic: here})
    choices(TableChoice(shard=here)).refuse_moved((TABLE, other), {topic: here})
    choices(TableChoice(shard=(here + 1) % 4)).refuse_moved((other,), {topic: here})  # nothing of it is sent
    with pytest.raises(Invalid, match=rf"Set tables\.override\.shop\.orders\.shard: {here}$"):
        choices(TableChoice(shard=(here + 1) % 4)).refuse_moved((TABLE, other), {topic: here})


def test_another_key_is_another_fingerprint_and_another_schema_record() -> None:
    schema = TableSchema(TABLE, (A, B), ("a",))
    plain, chosen = route(schema, choices()), route(schema, choices(TableChoice(key=("b",))))
    first, second = schema_message(TOPICS, plain), schema_message(TOPICS, chosen)
    assert first.key != second.key
    assert first.key == f"p.shop.orders/{plain.schema.fingerprint}".encode()
    assert TableSchema.decode(second.value) == chosen.schema
