"""The loader on real Kafka, S3 and the warehouse stand-in, fed by hand: what only real clients, real locks and `kill -9` show."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.table import Column, Kind
from devstack.pipeline import Pipeline, Service, wait_until
from devstack.redshift.faults import FaultRules
from devstack.stack import Stack
from tests.stack.feed import Feed, drop, moved, put, table, truncated

pytestmark = pytest.mark.stack

ORDERS = table("shop", "orders", Column("note", Kind.VARCHAR, length=20, charset="utf8mb4"))
EVENTS = table("shop", "events", Column("what", Kind.VARCHAR, length=20, charset="utf8mb4"), key=())


class Scene:
    """A pipeline of its own: a feed, and loaders as the processes a person would start."""

    def __init__(self, stack: Stack, directory: Path, name: str, **settings: Any) -> None:
        self.stack = stack
        self.feed = Feed(stack, name, shards=settings.get("state_shards", 1))
        self.schema = f"tidemark_{name}"
        self.pipeline = Pipeline(
            stack,
            directory,
            name,
            settings={
                "redshift": {"schema": self.schema, "lock_patience_seconds": 2},
                "s3": {"prefix": f"lake-{name}"},
                "target": {"schema": name},
                "batch": {"seconds": 0.2},
                **settings,
            },
        )
        self.pipeline.prepare()
        self.warehouse = stack.redshift.connect(ssl=False)
        self.warehouse.autocommit = True

    def loader(self, *arguments: str, crash: str | None = None) -> Service:
        return self.pipeline.start("loader", *arguments, crash=crash)

    def query(self, sql: str) -> list[Any]:
        cursor = self.warehouse.cursor()
        cursor.execute(sql)
        return list(cursor.fetchall())

    def fence(self) -> Any:
        (row,) = self.query(f"SELECT epoch, commit_no, barrier_no, gtid_set, partial, progress_offset FROM {self.schema}.fence")
        return row

    def reaches(self, n: int, timeout_s: float = 60) -> None:
        """Waits until the fence is at barrier `n`."""

        def reached() -> bool:
            there = self.query(f"SELECT 1 FROM svv_tables WHERE table_schema = '{self.schema}' AND table_name = 'watermarks'")
            return bool(there) and bool(self.query(f"SELECT 1 FROM {self.schema}.fence_0 WHERE barrier_no >= {n}"))

        try:
            wait_until(reached, timeout_s, f"the fence is not at barrier {n}")
        except TimeoutError as error:
            raise AssertionError("\n".join(service.tail(30) for service in self.pipeline.services)) from error

    def orders(self) -> dict[int, str]:
        rows = self.query(f"SELECT id, note FROM {self.pipeline.name}.orders")
        assert len({row[0] for row in rows}) == len(rows), f"a key is there twice: {sorted(rows)}"
        return dict(rows)

    def assert_ledger_tiles(self) -> None:
        """Every record once: the ranges join, their counts add up, and end where offsets and seqs say."""
        rows = self.query(f"SELECT topic, start_offset, end_offset, records, superseded + applied + quarantined FROM {self.schema}.ledger")
        ends: dict[str, int] = {}
        counted: dict[str, int] = {}
        for topic, start, end, records, accounted in sorted(rows):
            assert (topic, start) == (topic, ends.get(topic, 0))
            assert records == accounted
            ends[topic] = end
            counted[topic] = counted.get(topic, 0) + records
        assert ends == dict(self.query(f"SELECT topic, next_offset FROM {self.schema}.offsets"))
        assert counted == dict(self.query(f"SELECT topic, next_seq FROM {self.schema}.offsets")) == self.feed.seqs

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of this event, of every loader."""
        lines = [line for service in self.pipeline.services for line in service.log.read_bytes().splitlines() if line.startswith(b"{")]
        return [event for event in map(orjson.loads, lines) if event.get("event") == name]


@pytest.fixture
def scene(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    with staged(stack, tmp_path, request.node.name) as made:
        yield made


@contextmanager
def staged(stack: Stack, directory: Path, test: str, **settings: Any) -> Iterator[Scene]:
    made = Scene(stack, directory, f"l{zlib.crc32(test.encode())}", **settings)
    try:
        yield made
    finally:
        FaultRules(stack.redshift.faults_path).clear()
        made.pipeline.stop()
        made.warehouse.close()


def test_rows_deletes_and_key_changes_arrive_once_with_the_watermark(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"), put(ORDERS, id=2, note="b"), put(ORDERS, id=3, note="c"))
    scene.feed.transaction(put(ORDERS, id=9, note="never"), abort=True)
    scene.loader()
    scene.reaches(1)
    scene.feed.transaction(drop(ORDERS, id=2, note="b"), *moved(ORDERS, {"id": 3, "note": "c"}, {"id": 4, "note": "C"}))
    scene.feed.transaction(put(ORDERS, id=1, note="A"), put(EVENTS, id=1, what="seen"), put(EVENTS, id=1, what="seen"))
    scene.reaches(3)
    assert scene.orders() == {1: "A", 4: "C"}
    assert scene.query(f"SELECT id, what, _tidemark_op, _tidemark_seq FROM {scene.pipeline.name}.events ORDER BY 4") == [
        [1, "seen", "c", 0],
        [1, "seen", "c", 1],
    ]
    assert scene.fence()[3] == str(scene.feed.gtids)
    scene.assert_ledger_tiles()
