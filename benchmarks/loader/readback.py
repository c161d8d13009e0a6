"""Whether a run put into the bucket what MySQL holds: the objects of every batch, folded key by key as a merge would."""

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.churn import Churn
from benchmarks.failure import Wrong
from benchmarks.loader.measured import Batch, Measured
from benchmarks.servers import Servers
from contracts.batch import Manifest
from loader.core.target import DELETED


def check(servers: Servers, churn: Churn, measured: Measured) -> int:
    """Bytes of all data objects. Raises Wrong unless every object holds its batch's rows, each key once, and the last row of every key is
    the one MySQL has."""
    size_bytes = 0
    held: dict[int, tuple[Any, ...]] = {}
    for batch in measured.batches:
        table, found_bytes = _table(servers, batch)
        size_bytes += found_bytes
        if table.num_rows != batch.rows or batch.rows + batch.superseded != batch.records:
            raise Wrong(f"offsets {batch.start} to {batch.stop}: {batch.records} records, {batch.rows} rows staged, {table.num_rows} found")
        if len(set(table.column("id").to_pylist())) != table.num_rows:
            raise Wrong(f"offsets {batch.start} to {batch.stop}: a key is staged twice")
        _fold(held, table, churn.compared)
    _compare(held, churn.rows(servers))
    return size_bytes


def _table(servers: Servers, batch: Batch) -> tuple[pa.Table, int]:
    client = servers.stack.s3.client()

    def read(url: str) -> bytes:
        place = urlsplit(url)
        return client.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read()

    tables, size_bytes = [], 0
    for entry in Manifest.decode(read(batch.manifest_url)).entries if batch.manifest_url else ():
        data = read(entry.url)
        if len(data) != entry.size_bytes:
            raise Wrong(f"{entry.url} has {len(data)} bytes, its manifest says {entry.size_bytes}")
        size_bytes += len(data)
        tables.append(pq.read_table(io.BytesIO(data)))
    if not tables:
        raise Wrong(f"offsets {batch.start} to {batch.stop}: nothing was staged")
    return pa.concat_tables(tables), size_bytes


def _fold(held: dict[int, tuple[Any, ...]], table: pa.Table, compared: Sequence[str]) -> None:
    for key, deleted, *values in zip(*(table.column(name).to_pylist() for name in ("id", DELETED, *compared)), strict=True):
        if deleted:
            held.pop(key, None)
        else:
            held[key] = tuple(_plain(values))


def _plain(values: Sequence[Any]) -> Iterator[Any]:
    return (value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in values)


def _compare(held: Mapping[int, tuple[Any, ...]], wanted: Mapping[int, tuple[Any, ...]]) -> None:
    if held == wanted:
        return
    lacks, extra = wanted.keys() - held.keys(), held.keys() - wanted.keys()
    old = [key for key in wanted.keys() & held.keys() if wanted[key] != held[key]]
    example = f"; row {old[0]} is {held[old[0]]}, MySQL has {wanted[old[0]]}" if old else ""
    raise Wrong(f"of {len(wanted):,} rows {len(lacks):,} are lost, {len(old):,} are not the last; {len(extra):,} are too many{example}")
