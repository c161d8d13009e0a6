"""A steady writer: single-row transactions at a given rate, table after table, insert/update/delete 50/40/10.

`python -m benchmarks.writer --port 3306 --tables bench.t1,bench.t2 --rate 500 --seconds 30 --result FILE`: a process of its own, so that it
takes no time from whoever measures. A row's `changed_at` is NOW(6) of the statement that changed it. A table named `bench.t1=1000` holds
rows 1 to 1000 already, some of which are changed, too. SIGTERM ends it early, its result written.
"""

import argparse
import itertools
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import pymysql

from benchmarks.failure import Wrong
from benchmarks.workloads import NARROW
from devstack.pipeline import Pipeline, Service

_CONSTANT = {"changed_at": "NOW(6)"}


HELD = 0.95  # of the rate, over the whole measurement
HELD_EACH_SECOND = 0.8
CONNECTIONS_MAX = 4
CHANGED_OF_HELD_MAX = 20_000
RESULT = "written.json"


@dataclass(frozen=True, slots=True)
class Times:
    """Warm-up, then the part that is measured, in seconds."""

    warm_up_s: int
    measured_s: int

    def scaled(self, scale: float, least: "Times") -> "Times":
        """Shorter for a quick look, but not below `least`."""
        share = min(scale, 1)
        return Times(max(least.warm_up_s, round(self.warm_up_s * share)), max(least.measured_s, round(self.measured_s * share)))


@dataclass(frozen=True, slots=True)
class Pace:
    """Transactions a second: what was achieved, in the slowest second, and whether that was steady enough for anything to mean much."""

    per_s: float
    slowest_second: int
    held: bool


@dataclass(frozen=True, slots=True)
class Written:
    """`committed_us`: when each transaction's commit had returned, in microseconds since the epoch, in order."""

    started_us: int
    committed_us: Sequence[int]

    def write(self, path: Path) -> None:
        path.write_bytes(orjson.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Written":
        return cls(**orjson.loads(path.read_bytes()))

    @classmethod
    def of(cls, writer: Service, pipeline: Pipeline) -> "Written":
        """Of a writer started by `started_writer`, once it has ended. Raises Wrong when it failed."""
        if writer.wait(30) != 0:
            raise Wrong(f"the writer failed; its log, {writer.log}, ends:\n{writer.tail()}")
        return cls.read(pipeline.directory / RESULT)

    def pace(self, start_us: int, stop_us: int, rate: float) -> Pace:
        """Of the whole seconds from `start_us` to before `stop_us`, where `rate` was wanted."""
        counts = self._per_s(start_us, stop_us)
        per_s, slowest = sum(counts) / len(counts), min(counts)
        return Pace(per_s, slowest, per_s >= HELD * rate and slowest >= HELD_EACH_SECOND * rate)

    def _per_s(self, start_us: int, stop_us: int) -> list[int]:
        counts = [0] * ((stop_us - start_us) // 1_000_000)
        for at_us in self.committed_us:
            if start_us <= at_us < start_us + len(counts) * 1_000_000:
                counts[(at_us - start_us) // 1_000_000] += 1
        return counts


def started_writer(pipeline: Pipeline, port: int, tables: Sequence[str], rate: float, seconds: float) -> Service:
    """The process, its result to be read by `Written.of`."""
    arguments = {"port": port, "tables": ",".join(tables), "rate": rate, "seconds": seconds, "result": pipeline.directory / RESULT}
    return pipeline.start("benchmarks.writer", *(f"--{name}={value}" for name, value in arguments.items()))


class Table:
    """One table's rows and what happens to them next. `held`: rows that are there, numbered from 1."""

    def __init__(self, name: str, held: int, seed: int) -> None:
        self._name = name
        self._random = random.Random(seed)
        self._next_id = held + 1
        self._live = self._random.sample(range(1, held + 1), min(held, CHANGED_OF_HELD_MAX))
        self._insert = _insert_statement(name)

    def statement(self) -> tuple[str, tuple[int, ...]]:
        """One single-row change: half inserts, two fifths updates, a tenth deletes."""
        choice = self._random.random()
        if choice < 0.5 or not self._live:
            self._live.append(self._next_id)
            self._next_id += 1
            return self._insert, (self._live[-1],)
        at = self._random.randrange(len(self._live))
        if choice < 0.9:
            return f"UPDATE {self._name} SET qty = qty + 1, changed_at = NOW(6) WHERE id = %s", (self._live[at],)
        self._live[at], last = self._live[-1], self._live[at]
        self._live.pop()
        return f"DELETE FROM {self._name} WHERE id = %s", (last,)


def _insert_statement(name: str) -> str:
    columns = ", ".join(column.name for column in NARROW)
    values = ", ".join(_CONSTANT.get(column.name, column.value) for column in NARROW).replace("%", "%%")
    return f"INSERT INTO {name} ({columns}) SELECT {values} FROM (SELECT %s AS id) AS numbered"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writer", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tables", type=lambda text: text.split(","), required=True)
    parser.add_argument("--rate", type=float, required=True, help="transactions a second, all tables together")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--result", type=Path, required=True)
    arguments = parser.parse_args()
    # A table is one connection's, or two would change a row at once.
    named = [name.partition("=") for name in arguments.tables]
    tables = [Table(name, int(held or 0), seed) for seed, (name, _, held) in enumerate(named)]
    connections = [connect(arguments.port) for _ in range(min(CONNECTIONS_MAX, len(tables)))]
    interval_s = len(connections) / arguments.rate
    start_s = time.time() + 0.1
    done: list[list[int]] = [[] for _ in connections]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())

    def write(number: int) -> None:
        mine = itertools.cycle(tables[number :: len(connections)])
        due_s = start_s + interval_s * number / len(connections)
        with connections[number].cursor() as cursor:
            # Late ones follow at once: the rate is held as far as the server can.
            while due_s < start_s + arguments.seconds and not stop.wait(max(due_s - time.time(), 0)):
                cursor.execute(*next(mine).statement())
                done[number].append(time.time_ns() // 1000)
                due_s += interval_s

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(len(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Written(int(start_s * 1e6), sorted(at_us for column in done for at_us in column)).write(arguments.result)
    return 0


def connect(port: int) -> Any:
    """Autocommit, so that a statement is a transaction; NOW(6) in UTC, as the envelope takes it."""
    return pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True, init_command="SET SESSION time_zone = '+00:00'")


if __name__ == "__main__":
    sys.exit(main())
