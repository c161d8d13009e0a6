"""COPY at work: files from S3, checked, as PostgreSQL's binary COPY stream into the client's own transaction."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq import encoders as pgpq_encoders
from pgpq import schema as pgpq_schema

from devstack.redshift.lexer import literal
from devstack.redshift.loaderror import LoadError
from devstack.redshift.manifest import ObjectStore, SourceFile, read_manifest
from devstack.redshift.names import Relation, quoted, stored
from devstack.redshift.parquet import SUPER_BYTES_MAX, TargetColumn, check_rows, checked_values, read_checked
from devstack.redshift.plan import Copy
from devstack.redshift.refusal import SqlError
from devstack.redshift.upstream import Upstream

READERS = 4
BATCH_ROWS = 16_384
DESCRIBE = """SELECT a.attname, format_type(a.atttypid, NULL), a.atttypmod, a.attnotnull, standin.varbyte_length(a.attrelid, a.attnum)
FROM pg_catalog.pg_attribute a WHERE a.attrelid = {table}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a COPY loaded: rows in all, and rows by file."""

    rows: int
    size_bytes: int
    files: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file, read and checked."""

    url: str
    size_bytes: int
    table: Any


def load(copy: Copy, upstream: Upstream, store: ObjectStore) -> Loaded:
    """Loads every file into `copy.table`, in the transaction `upstream` is in. Raises LoadError, or SqlError of PostgreSQL."""
    columns = target_columns(copy.table, copy.columns, upstream)
    files = read_manifest(store.read(copy.url), copy.url) if copy.manifest else store.under(copy.url)
    statement = f"COPY {copy.table.sql} ({', '.join(quoted(c.name) for c in columns)}) FROM STDIN (FORMAT binary)"
    done: list[tuple[str, int]] = []
    size_bytes = 0
    with ThreadPoolExecutor(READERS) as readers:
        for part in readers.map(lambda f: read_part(f, columns, copy, store), files):
            if part is None:
                continue
            upstream.query(statement, encoded(part.table, columns))
            done.append((part.url, part.table.num_rows))
            size_bytes += part.size_bytes
    if not done:
        raise LoadError("No files of the manifest were found", 8001, file=copy.url)
    return Loaded(sum(rows for _, rows in done), size_bytes, tuple(done))


def target_columns(table: Relation, chosen: tuple[str, ...], upstream: Upstream) -> list[TargetColumn]:
    """The table's columns in order, or the chosen ones in theirs."""
    columns = [target_column(row) for row in upstream.query(DESCRIBE.format(table=literal(table.sql))).rows]
    if not chosen:
        return columns
    by_name = {column.name: column for column in columns}
    for name in chosen:
        if stored(name) not in by_name:
            raise SqlError(f'column "{name}" of relation "{table.name}" does not exist', "42703")
    return [by_name[stored(name)] for name in chosen]


def target_column(row: list[str | None]) -> TargetColumn:
    name, kind, modifier, not_null = str(row[0]), str(row[1]), int(str(row[2])), row[3] == "t"
    if kind == "numeric":
        return TargetColumn(name, kind, not_null, precision=((modifier - 4) >> 16) & 0xFFFF, scale=(modifier - 4) & 0x7FF)
    if kind in ("character varying", "character"):
        return TargetColumn(name, kind, not_null, length=modifier - 4)
    if kind == "bytea":
        return TargetColumn(name, kind, not_null, length=int(row[4] or 64_000))
    return TargetColumn(name, kind, not_null)


def read_part(file: SourceFile, columns: list[TargetColumn], copy: Copy, store: ObjectStore) -> FilePart | None:
    """The file's rows, None for one that is missing and may be."""
    try:
        data = store.read(file.url)
    except LoadError as e:
        if e.missing and not file.mandatory:
            return None
        raise
    if file.size_bytes is not None and file.size_bytes != len(data):
        reason = f"Manifest content_length {file.size_bytes} differs from the object's size {len(data)}"
        raise LoadError(reason, 15001, file=file.url)
    table = read_checked(data, file.url, columns, serialize=copy.serialize_to_json)
    arrays = [
        as_json(values, column, file.url)
        if column.kind == "jsonb"
        else checked_values(values, column, file.url, invalid_character=copy.invalid_character)
        for values, column in zip(table.columns, columns, strict=True)
    ]
    check_rows(arrays, columns, file.url)
    return FilePart(file.url, len(data), pa.table(arrays, names=[f"c{i}" for i in range(len(arrays))]))


def as_json(values: Any, column: TargetColumn, url: str) -> Any:
    """SERIALIZETOJSON: nested values as JSON. A string stays one string, it is not parsed: that takes JSON_PARSE."""
    if column.not_null and values.null_count:
        raise LoadError("Missing data for not-null field", 1213, file=url, column=column.name, column_type="SUPER")
    texts: list[str | None] = []
    for value in values.to_pylist():
        raw = None if value is None else orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
        if raw is not None and len(raw) > SUPER_BYTES_MAX:
            raise LoadError(f"SUPER value of {len(raw)} bytes is over 16 MB", 15001, file=url, column=column.name, column_type="SUPER")
        texts.append(None if raw is None else raw.decode())
    return pa.chunked_array([pa.array(texts, pa.string())])


def encoded(table: Any, columns: list[TargetColumn]) -> Iterator[bytes]:
    """The table as PostgreSQL's binary COPY format."""
    encoders = {field.name: ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in table.schema}
    for field, column in zip(table.schema, columns, strict=True):
        if column.kind == "jsonb":
            encoders[field.name] = pgpq_encoders.StringEncoderBuilder.new_with_output(field, pgpq_schema.Jsonb())
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(table.schema, encoders)
    yield encoder.write_header()
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        yield encoder.write_batch(batch)
    yield encoder.finish()
