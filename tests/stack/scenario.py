"""What the scenarios share: a shop with traffic in a thread, a pipeline on the shared stack, and whether both sides are equal."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import orjson
from pymysql.constants import ER
from pymysql.err import MySQLError
from redshift_connector.core import Connection

from contracts.position import GtidSet
from demo.shop import TABLES, Shop
from devstack.pipeline import BUCKET, Pipeline, Service, running_pipeline, wait_until
from devstack.stack import Stack


@contextmanager
def shop_pipeline(stack: Stack, directory: Path, name: str, seed: int = 1, **settings: Any) -> Iterator[tuple[Pipeline, Shop]]:
    """A shop in a database of its own, and a pipeline of that name that captures it; its ledger lies in the schema `tidemark_<name>`."""
    settings = {"redshift": {"schema": f"tidemark_{name}"}, "s3": {"prefix": f"lake-{name}"}, **settings}
    with stack.mysql.connect() as connection:
        shop = Shop(connection, seed, database=name)
        shop.create()
        shop.fill(customers=60, products=40)
        with running_pipeline(stack, directory, name=name, tables=[f"{name}.*"], settings=settings) as pipeline:
            yield pipeline, shop


class Trader(Protocol):
    def act(self) -> None:
        """One transaction."""


def traffic(shop: Trader, pause_s: float = 0.002) -> AbstractContextManager[None]:
    """The shop's transactions, one after the other, while the block runs."""
    return beside(shop.act, pause_s)


def traffic_beside_ddl(shop: Trader) -> AbstractContextManager[None]:
    """The same beside DDL. A transaction that an ALTER waits for, and that waits for it, is ended; the shop then knows rows that are not
    there."""

    def act() -> None:
        try:
            shop.act()
        except MySQLError as error:
            if error.args[0] not in (ER.LOCK_DEADLOCK, ER.NO_REFERENCED_ROW_2):
                raise

    return beside(act, 0.002)


@contextmanager
def beside(act: Callable[[], object], pause_s: float) -> Iterator[None]:
    """Acts again and again in a thread while the block runs. What fails there fails here."""
    stop = threading.Event()
    failure: list[BaseException] = []

    def run() -> None:
        try:
            while not stop.wait(pause_s):
                act()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failure:
        raise failure[0]


def assert_equal(pipeline: Pipeline, timeout_s: float = 60) -> int:
    """Every row of every table is the same on both sides, and none in quarantine; returns how many rows were compared."""
    tables = [f"--table={pipeline.name}.{table}" for table in TABLES]
    done = pipeline.run("auditor", "verify", "--strict", "--json", f"--patience={timeout_s:.0f}s", *tables, timeout_s=timeout_s * 2)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs(pipeline)}"
    verdicts = orjson.loads(done.stdout)
    assert [verdict["table"] for verdict in verdicts] == [f"{pipeline.name}.{table}" for table in TABLES]
    return sum(verdict["source_rows"] for verdict in verdicts)


def logs(pipeline: Pipeline) -> str:
    return "\n".join(f"--- {service.log.name}\n{service.tail(12)}" for service in pipeline.services)


def events(services: Sequence[Service], *names: str) -> list[dict[str, Any]]:
    """Log lines of these events, service by service."""
    lines = [line for service in services for line in service.log.read_bytes().splitlines() if line.startswith(b"{")]
    return [event for event in map(orjson.loads, lines) if event.get("event") in names]


@contextmanager
def frozen(service: Service) -> Iterator[None]:
    """The process stands still while the block runs: it neither works nor dies, and hears nothing of the world."""
    os.kill(service.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(service.process.pid, signal.SIGCONT)


def query(warehouse: Connection, sql: str) -> list[Any]:
    cursor = warehouse.cursor()
    cursor.execute(sql)
    return list(cursor.fetchall())


def has_ledger(warehouse: Connection, schema: str) -> bool:
    """Whether the commit tables are there; the view is made last."""
    return bool(query(warehouse, f"SELECT 1 FROM svv_tables WHERE table_schema = '{schema}' AND table_name = 'watermarks'"))


def loaded(warehouse: Connection, schema: str) -> GtidSet:
    """What the last whole barrier of a pipeline of one shard brought; nothing while there is no ledger."""
    fences = query(warehouse, f"SELECT gtid_set FROM {schema}.fence") if has_ledger(warehouse, schema) else []
    return GtidSet.parse(fences[0][0]) if fences else GtidSet()


def assert_ledger_tiles(warehouse: Connection, pipeline: Pipeline) -> None:
    """The committed ranges of every topic join without gap or overlap, end where the offsets say, and account for every record."""
    schema = f"tidemark_{pipeline.name}"
    ends: dict[str, int] = {}
    columns = "topic, start_offset, end_offset, records, superseded, applied, quarantined"
    rows = query(warehouse, f"SELECT {columns} FROM {schema}.ledger ORDER BY topic, start_offset")
    assert rows
    for topic, start, end, records, superseded, applied, quarantined in rows:
        assert start == ends.get(topic, start), f"{topic}: a range ends at {ends.get(topic)}, the next starts at {start}"
        assert records == superseded + applied + quarantined
        ends[topic] = end
    assert ends == dict(query(warehouse, f"SELECT topic, next_offset FROM {schema}.offsets"))


def bucket_stems(stack: Stack, pipeline: Pipeline) -> set[str]:
    """Attempts the bucket holds objects of, by their key below the prefix and without suffix."""
    prefix = f"lake-{pipeline.name}/"
    pages = stack.s3.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return {item["Key"].removeprefix(prefix).rpartition(".")[0] for page in pages for item in page.get("Contents", [])}


def ledger_stems(warehouse: Connection, pipeline: Pipeline) -> set[str]:
    rows = query(warehouse, f"SELECT manifest_key FROM tidemark_{pipeline.name}.ledger")
    return {str(row[0]).rpartition(".")[0] for row in rows}


def wait_for_commits(warehouse: Connection, pipeline: Pipeline, count: int, timeout_s: float = 60) -> None:
    """Until the pipeline's ledger holds `count` batches."""

    def reached() -> bool:
        schema = f"tidemark_{pipeline.name}"
        return has_ledger(warehouse, schema) and query(warehouse, f"SELECT COUNT(*) FROM {schema}.ledger")[0][0] >= count

    wait_until(reached, timeout_s, f"{count} batches in the ledger\n{logs(pipeline)}")
