"""A table read whole while it is written to and the streamer is killed again and again: the rows are equal on both sides, and what was
read for nothing is counted.

`python -m tests.drills.snapshot --rows N --kills K`; the last line is one JSON object. Exit code 1 when the sides differ.
"""

import argparse
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import orjson
import pymysql

from devstack.pipeline import Pipeline, running_pipeline, wait_until
from devstack.stack import Stack, running_stack
from tests.stack.scenario import beside, logs

NAME = "snapkills"
PATIENCE_S = 600
_LIFE_S = 0.7
"""How long a streamer lives at most once its stream has begun."""
_INSERT_ROWS = 100_000
_CURSOR = re.compile(r" WHERE `id` > (\d+) ORDER BY")


@dataclass(frozen=True, slots=True)
class Report:
    """`kills` came while the table was being read. A chunk is `reread` when it was asked for again from the same place; `table_rows` are
    MySQL's at the end, `different` of them are others in the warehouse."""

    rows: int
    kills: int
    chunks: int
    chunks_reread: int
    transactions: int
    table_rows: int
    different: int
    seconds: float


class Churn:
    """Changes of rows anywhere in the table, one a transaction."""

    def __init__(self, connection: "pymysql.Connection[Any]", rows: int, seed: int) -> None:
        self._connection, self._rows, self._random = connection, rows, random.Random(seed)
        self.transactions = 0

    def act(self) -> None:
        row = self._random.randint(1, self._rows)
        statement = self._random.choice(
            (
                f"UPDATE {NAME}.big SET note = 'changed', n = n + 1 WHERE id = {row}",
                f"DELETE FROM {NAME}.big WHERE id = {row}",
                f"UPDATE IGNORE {NAME}.big SET id = {self._random.randint(1, 2 * self._rows)} WHERE id = {row}",
                f"INSERT IGNORE INTO {NAME}.big VALUES ({row}, 1, 'again', 2.50), ({self._rows + row}, 1, 'new', 3.75)",
            )
        )
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
        self._connection.commit()
        self.transactions += 1


def drill(stack: Stack, directory: Path, *, rows: int, kills: int, seed: int, say: Callable[[str], None]) -> Report:
    """Raises TimeoutError when the reading does not end, AssertionError when it ends before the last kill."""
    began, chance = time.monotonic(), random.Random(seed)
    settings = {"redshift": {"schema": f"tidemark_{NAME}"}, "s3": {"prefix": f"lake-{NAME}"}}
    with stack.mysql.connect() as connection, stack.mysql.connect() as own:
        say(f"{rows:,} rows: writing")
        _fill(connection, rows)
        churn = Churn(own, rows, seed)
        with running_pipeline(stack, directory, name=NAME, tables=[f"{NAME}.*"], settings=settings) as pipeline:
            pipeline.start("loader")
            with _statements_logged(connection), beside(churn.act, 0.005):
                for number in range(1, kills + 1):
                    _lives_and_dies(pipeline, chance.random() * _LIFE_S)
                    reading = _reading(pipeline)
                    assert reading is not None, f"all was read after {number} of {kills} kills: take more rows"
                    say(f"  kill {number}: {reading:,} rows on Kafka")
                pipeline.start("streamer")
                wait_until(lambda: _reading(pipeline) is None, PATIENCE_S, f"the reading does not end\n{logs(pipeline)}")
            asked = list(_cursors(connection))
            say("  read; comparing")
            patience = f"--patience={PATIENCE_S}s"
            done = pipeline.run("auditor", "verify", "--json", patience, f"--table={NAME}.big", timeout_s=2 * PATIENCE_S)
            if not done.stdout:
                raise AssertionError(f"{done.stderr}\n{logs(pipeline)}")
            (verdict,) = orjson.loads(done.stdout)
    return Report(
        rows=rows,
        kills=kills,
        chunks=len(set(asked)),
        chunks_reread=len(asked) - len(set(asked)),
        transactions=churn.transactions,
        table_rows=verdict["source_rows"],
        different=len(verdict["different"]) + len(verdict["quarantined"]),
        seconds=round(time.monotonic() - began, 1),
    )


def _fill(connection: "pymysql.Connection[Any]", rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {NAME}")
        cursor.execute(f"CREATE TABLE {NAME}.big (id BIGINT PRIMARY KEY, n INT NOT NULL, note VARCHAR(40), price DECIMAL(10,2))")
        cursor.execute("SET SESSION sql_log_bin = 0, cte_max_recursion_depth = 200000")
        for before in range(0, rows, _INSERT_ROWS):
            count = min(_INSERT_ROWS, rows - before)
            numbers = f"WITH RECURSIVE r (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < {count}) SELECT {before} + i AS id FROM r"
            cursor.execute(f"INSERT INTO {NAME}.big SELECT id, id % 1000, CONCAT('row ', id), id / 100 FROM ({numbers}) AS t")
            connection.commit()
        cursor.execute("SET SESSION sql_log_bin = 1")


@contextmanager
def _statements_logged(connection: "pymysql.Connection[Any]") -> Iterator[None]:
    """The server keeps every statement it is sent."""
    with connection.cursor() as cursor:
        cursor.execute("SET GLOBAL log_output = 'TABLE'")
        cursor.execute("TRUNCATE mysql.general_log")
        cursor.execute("SET GLOBAL general_log = ON")
        try:
            yield
        finally:
            cursor.execute("SET GLOBAL general_log = OFF")


def _cursors(connection: "pymysql.Connection[Any]") -> Iterator[str]:
    """Behind which row each chunk was asked for; empty for the table's first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type = 'Query'")
        for (sql,) in cursor.fetchall():
            if sql.startswith("SELECT `id`, ") and f"FROM `{NAME}`.`big`" in sql:
                behind = _CURSOR.search(sql)
                yield behind[1] if behind else ""


def _lives_and_dies(pipeline: Pipeline, seconds: float) -> None:
    streamer = pipeline.start("streamer")
    wait_until(lambda: b"stream.started" in streamer.log.read_bytes(), 60, f"no stream\n{streamer.tail()}")
    try:
        streamer.wait(seconds)
    except TimeoutExpired:
        streamer.kill9()
    else:
        raise AssertionError(f"the streamer ended by itself\n{streamer.tail()}")


def _reading(pipeline: Pipeline) -> int | None:
    """How many rows of the table are on Kafka; None when all are."""
    done = pipeline.run("streamer", "status", "--json")
    assert done.returncode == 0, done.stderr
    found = orjson.loads(done.stdout)
    if not found["started"]:
        return 0
    rows = [told["rows"] for told in found["reading"].values()]
    return rows[0] if rows else None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills.snapshot", description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, metavar="N")
    parser.add_argument("--kills", type=int, default=30, metavar="K")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidemark-drill-") as folder, running_stack(Path(folder) / "stack") as stack:
        report = drill(stack, Path(folder), rows=options.rows, kills=options.kills, seed=options.seed, say=partial(print, flush=True))
    print(orjson.dumps(asdict(report)).decode())
    return 1 if report.different else 0


if __name__ == "__main__":
    sys.exit(main())
