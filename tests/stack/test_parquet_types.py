"""Every type's Parquet through S3 and COPY into its staging table and back: what only a warehouse that coerces nothing can show."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.batch import Manifest, ManifestEntry
from contracts.sql import qualified, quote
from contracts.table import Column, Kind, TableId, TableSchema
from devstack.stack import Stack
from loader.core.encode import encode
from loader.core.plan import Mode, TargetColumn
from loader.core.staging import staging_statement
from loader.core.target import create_statements, table_columns
from loader.edges.s3 import S3BatchStore
from tests.loader.core.rowmaker import GTID, batch_of, target_of, upsert
from tests.loader.core.typecases import CASES

pytestmark = pytest.mark.stack

COLUMNS = tuple(replace(case.column, name=f"C{i}") for i, case in enumerate(CASES))
DEPTH = max(len(case.values) for case in CASES)


@pytest.mark.parametrize("mode", Mode)
def test_every_value_of_every_type_is_copied_as_it_was_meant(stack: Stack, mode: Mode) -> None:
    schema = TableSchema(TableId("parquet_types", f'"{mode}"; --'), (Column("id", Kind.INT, nullable=False), *COLUMNS), ("id",))
    target = target_of(schema, mode)
    cells = {column.name: case.values * DEPTH for column, case in zip(COLUMNS, CASES, strict=True)}
    rows = [{"id": i, **{name: values[i] for name, values in cells.items()}} for i in range(DEPTH)]
    encoded = encode(batch_of([upsert(i, row, schema=schema) for i, row in enumerate(rows)], schema), target)
    assert encoded.quarantine == ()
    assert encoded.parquet is not None

    client = stack.s3.client()
    client.create_bucket(Bucket=f"parquet-types-{mode}")
    store = S3BatchStore(client, f"parquet-types-{mode}", "tidemark")
    store.put("a.parquet", encoded.parquet)
    store.put("a.manifest", Manifest((ManifestEntry(store.url("a.parquet"), len(encoded.parquet)),)).encode())

    columns = table_columns(target)
    names = ", ".join(quote(column.name) for column in columns)
    table = qualified(target.schema, target.name)
    with stack.redshift.connect(ssl=False) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in (*create_statements(target, []), staging_statement(target, "stage")):
            cursor.execute(statement)
        role = "IAM_ROLE 'arn:aws:iam::000000000000:role/loader'"
        cursor.execute(f"COPY stage FROM '{store.url('a.manifest')}' {role} FORMAT AS PARQUET MANIFEST")
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM stage")
        cursor.execute(f"SELECT {', '.join(readable(column) for column in columns)} FROM {table} ORDER BY id")
        found = cursor.fetchall()

    assert len(found) == DEPTH
    for i, case in enumerate(CASES):
        assert [row[i + 1] for row in found] == [as_read(value) for value in (case.expected * DEPTH)[:DEPTH]], str(case)
    if mode is Mode.APPEND:
        assert [(row[-4], row[-3], row[-1]) for row in found] == [("c", i, GTID) for i in range(DEPTH)]


def readable(column: TargetColumn) -> str:
    """The driver takes a VARBYTE for text, so bytes that are no UTF-8 are asked for as hexadecimal digits."""
    name = quote(column.name)
    return f"FROM_VARBYTE({name}, 'hex')" if column.sql_type.startswith("VARBYTE") else name


def as_read(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
