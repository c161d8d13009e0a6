"""A pipeline from nothing: servers as they were at first, its services running, and at the end the proof that both sides are equal."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from benchmarks.failure import Wrong
from benchmarks.pipeline.watch import LEDGER, Watch, watching
from benchmarks.servers import DATABASE, Servers
from benchmarks.window import Moment
from contracts.table import TableId
from contracts.topics import Topics
from devstack.pipeline import Pipeline, Service

COMPARED_AT_ONCE = 50  # tables in one statement


@contextmanager
def new_pipeline(servers: Servers, name: str, settings: Mapping[str, Any]) -> Iterator[tuple[Pipeline, Watch]]:
    """The pipeline `name` before anything of it is in the warehouse, the bucket or on Kafka; its services are ended with the block, and
    what it left is removed."""
    pipeline = servers.pipeline(name, settings)
    try:
        with watching(servers) as watch:
            for schema in (LEDGER, DATABASE):
                watch.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            yield pipeline, watch
            for service in reversed(pipeline.services):
                if service.running():
                    service.stop(60)
    finally:
        for service in pipeline.services:
            if service.running():
                service.kill9()
        servers.empty_bucket()
        servers.forget(Topics(name))


def processes(servers: Servers, services: Sequence[Service]) -> Moment:
    """The CPU of servers and services so far."""
    return Moment.now({**servers.pids, **{service.name: service.process.pid for service in services}}, servers.families)


def load(servers: Servers, name: str, watch: Watch, rows: int, timeout_s: float = 600) -> None:
    """Has a loader of the pipeline `name` bring `rows` row changes, which are on Kafka, to the warehouse, with small micro-batches."""
    pipeline = servers.pipeline(name, {"batch": {"seconds": 1}}, directory=f"{name}-before")
    loader = pipeline.start("loader")
    try:
        watch.until(pipeline, lambda state: state.rows >= rows, timeout_s)
        loader.stop(60)
    finally:
        if loader.running():
            loader.kill9()


def verify(servers: Servers, pipeline: Pipeline, tables: Sequence[TableId], timeout_s: float = 300) -> int:
    """How many rows are the same on both sides. Raises Wrong when one is not."""
    options = [f"--table={table}" for table in tables]
    done = pipeline.run("auditor", "verify", "--json", f"--patience={timeout_s:.0f}s", *options, timeout_s=2 * timeout_s)
    if done.returncode != 0:
        raise Wrong(f"the auditor ends with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    rows = sum(int(verdict["source_rows"]) for verdict in orjson.loads(done.stdout))
    servers.say(f"  verified: {rows:,} rows are the same in MySQL and in the warehouse")
    return rows


def compare(servers: Servers, watch: Watch, tables: Sequence[TableId]) -> None:
    """Raises Wrong unless each table has the same number of rows on both sides, and sums that show lost and old rows."""
    for at in range(0, len(tables), COMPARED_AT_ONCE):
        some = tables[at : at + COMPARED_AT_ONCE]
        sql = " UNION ALL ".join(f"SELECT '{table}', COUNT(*), COALESCE(SUM(id), 0), COALESCE(SUM(qty), 0) FROM {table}" for table in some)
        with servers.mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            wanted = {str(row[0]): tuple(map(int, row[1:])) for row in cursor.fetchall()}
        held = {str(row[0]): tuple(map(int, row[1:])) for row in watch.query(sql)}
        if held != wanted:
            wrong = next(table for table in wanted if held.get(table) != wanted[table])
            raise Wrong(f"table {wrong}: count and sums are {held.get(wrong)} in the warehouse, {wanted[wrong]} in MySQL")
    servers.say(f"  compared: {len(tables):,} tables have the same rows in MySQL and in the warehouse, by count and sums")
