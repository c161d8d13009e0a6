from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.table import Column, Kind, TableId, TableSchema
from tests.contracts.specimens import SCHEMA

NAMES = st.text(min_size=1, max_size=10)
COLUMNS = st.builds(
    Column,
    name=NAMES,
    kind=st.sampled_from(Kind),
    nullable=st.booleans(),
    unsigned=st.booleans(),
    length=st.integers(0, 2**32),
    precision=st.integers(0, 65),
    scale=st.integers(0, 30),
    fraction=st.integers(0, 6),
    charset=st.none() | st.sampled_from(["utf8mb4", "latin1"]),
    labels=st.lists(st.text(max_size=5), max_size=3).map(tuple),
)


@st.composite
def schemas(draw: st.DrawFn) -> TableSchema:
    columns = draw(st.lists(COLUMNS, min_size=1, max_size=5, unique_by=lambda column: column.name))
    key = draw(st.lists(st.sampled_from([column.name for column in columns]), unique=True))
    return TableSchema(TableId(draw(NAMES), draw(NAMES)), tuple(columns), tuple(key))


@given(schemas())
def test_a_schema_survives_encoding_with_its_fingerprint(schema: TableSchema) -> None:
    assert TableSchema.decode(schema.encode()) == schema
    assert TableSchema.decode(schema.encode()).fingerprint == schema.fingerprint


@given(schemas(), schemas())
def test_a_fingerprint_tells_schemas_apart(a: TableSchema, b: TableSchema) -> None:
    assert (a == b) == (a.fingerprint == b.fingerprint)


def test_the_order_of_columns_and_of_the_key_is_part_of_the_fingerprint() -> None:
    turned = replace(SCHEMA, columns=SCHEMA.columns[::-1])
    assert turned.fingerprint != SCHEMA.fingerprint
    assert replace(SCHEMA, key=("id", "state")).fingerprint != replace(SCHEMA, key=("state", "id")).fingerprint


def test_a_key_names_columns_of_the_table() -> None:
    with pytest.raises(ValueError, match="nope"):
        TableSchema(TableId("a", "b"), (Column("id", Kind.INT),), ("nope",))


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": None},
        {"columns": None},
        {"columns": [{"name": "a"}]},
        {"columns": [{"name": "a", "kind": "cube"}]},
        {"columns": [{"name": "a", "kind": "int", "colour": "red"}]},
        {"columns": ["a"]},
        {"key": ["nope"]},
        {"key": None},
    ],
)
def test_a_schema_of_another_version_or_form_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        TableSchema.decode(orjson.dumps({**orjson.loads(SCHEMA.encode()), **change}))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b'{"v":1}'])
def test_bytes_that_are_no_schema_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        TableSchema.decode(data)


def test_a_table_is_named_by_database_and_name() -> None:
    assert TableId.parse("shop.orders") == TableId("shop", "orders")
    assert str(TableId("shop", "orders")) == "shop.orders"


@pytest.mark.parametrize("text", ["", "orders", ".orders", "shop."])
def test_half_a_table_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"database\.table"):
        TableId.parse(text)
