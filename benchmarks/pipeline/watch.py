"""What the warehouse says of a running pipeline, asked on a connection of its own."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redshift_connector.error import Error

from benchmarks.failure import Wrong
from benchmarks.servers import Servers
from devstack.pipeline import Pipeline

LEDGER = "tidemark"  # the schema of the ledger, production's default
_UNDEFINED = ("3F000", "42P01")  # no such schema, no such table: the loader has not made them yet


@dataclass(frozen=True, slots=True)
class State:
    """What is loaded, of all shards: commits, row changes, tables, and the commit time up to which everything is there, in
    microseconds."""

    commit_no: int
    rows: int
    tables: int
    commit_ts_us: int


class Watch:
    """A reader of the shards' fences and offsets."""

    def __init__(self, connection: Any) -> None:
        self._cursor = connection.cursor()

    def query(self, sql: str) -> Sequence[Sequence[Any]]:
        self._cursor.execute(sql)
        rows: Sequence[Sequence[Any]] = self._cursor.fetchall()
        return rows

    def execute(self, sql: str) -> None:
        self._cursor.execute(sql)

    def state(self) -> State:
        """One statement, so that all of it is of one moment."""
        sql = (
            "SELECT MAX(f.commit_no), MAX(f.commit_ts_us), COUNT(o.topic), COALESCE(SUM(o.next_seq), 0)"
            f" FROM (SELECT SUM(commit_no) AS commit_no, MIN(commit_ts_us) AS commit_ts_us FROM {LEDGER}.fence) AS f"
            f" LEFT JOIN {LEDGER}.offsets AS o ON TRUE"
        )
        try:
            found = self.query(sql)[0]
        except Error as error:
            if isinstance(error.args[0], dict) and error.args[0].get("C") in _UNDEFINED:
                return State(0, 0, 0, 0)
            raise
        commit_no, commit_ts_us, tables, rows = (int(value or 0) for value in found)
        return State(commit_no, rows, tables, commit_ts_us)

    def commit_no(self) -> int:
        """Of the first shard: the cheapest question there is."""
        return int(self.query(f"SELECT commit_no FROM {LEDGER}.fence_0")[0][0])

    def until(self, pipeline: Pipeline, reached: Callable[[State], bool], timeout_s: float, every_s: float = 0.1) -> State:
        """Asks until the state is so. Raises Wrong when a service ends before, or time does."""
        deadline = time.monotonic() + timeout_s
        while not reached(state := self.state()):
            must_run(pipeline)
            if time.monotonic() > deadline:
                logs = "\n".join(service.tail(5) for service in pipeline.services if service.running())
                raise Wrong(f"waited {timeout_s:.0f} s, and the warehouse is at {state}; the logs end:\n{logs}")
            time.sleep(every_s)
        return state


def must_run(pipeline: Pipeline) -> None:
    """Raises Wrong when a service of the pipeline has ended."""
    for service in pipeline.services:
        if not service.running() and service.name in ("streamer", "loader"):
            raise Wrong(f"{service.name} ended with {service.process.returncode}; its log, {service.log}, ends:\n{service.tail()}")


@contextmanager
def watching(servers: Servers) -> Iterator[Watch]:
    with servers.stack.redshift.connect(ssl=False) as connection:
        connection.autocommit = True
        yield Watch(connection)
