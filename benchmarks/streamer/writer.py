"""A steady writer: single-row transactions at a given rate over several tables, insert/update/delete 50/40/10, one connection a table.

`python -m benchmarks.streamer.writer --port 3306 --tables bench.t1,bench.t2 --rate 500 --seconds 30 --result FILE`: a process of its own,
so that it takes no time from the consumer that measures. A row's `changed_at` is NOW(6) of the statement that changed it.
"""

import argparse
import random
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import pymysql

from benchmarks.workloads import NARROW

_CONSTANT = {"changed_at": "NOW(6)"}


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

    def per_s(self, start_us: int, stop_us: int) -> list[int]:
        """Transactions in each whole second from `start_us` to before `stop_us`."""
        counts = [0] * ((stop_us - start_us) // 1_000_000)
        for at_us in self.committed_us:
            if start_us <= at_us < start_us + len(counts) * 1_000_000:
                counts[(at_us - start_us) // 1_000_000] += 1
        return counts


class Table:
    """One table's rows and what happens to them next."""

    def __init__(self, name: str, seed: int) -> None:
        self._name = name
        self._random = random.Random(seed)
        self._next_id = 1
        self._live: list[int] = []
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streamer.writer", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tables", type=lambda text: text.split(","), required=True)
    parser.add_argument("--rate", type=float, required=True, help="transactions a second, all tables together")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--result", type=Path, required=True)
    arguments = parser.parse_args()
    connections = [connect(arguments.port) for _ in arguments.tables]
    interval_s = len(arguments.tables) / arguments.rate
    start_s = time.time() + 0.1
    done: list[list[int]] = [[] for _ in arguments.tables]

    def write(number: int) -> None:
        table = Table(arguments.tables[number], seed=number)
        due_s = start_s + interval_s * number / len(arguments.tables)
        with connections[number].cursor() as cursor:
            while due_s < start_s + arguments.seconds:
                # Late ones follow at once: the rate is held as far as the server can.
                time.sleep(max(due_s - time.time(), 0))
                cursor.execute(*table.statement())
                done[number].append(time.time_ns() // 1000)
                due_s += interval_s

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(len(arguments.tables))]
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
