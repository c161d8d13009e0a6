"""What a reader of the warehouse may rely on: money that moves between two tables is never lost or doubled on the way, whichever moment
the reader looks at, as long as the view `watermarks` says that the cut is whole; and `complete_up_to` promises nothing that isn't there."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection as MysqlConnection
from redshift_connector.core import Connection

from devstack.pipeline import Pipeline, running_pipeline, wait_until
from devstack.stack import Stack
from tests.stack.scenario import assert_ledger_tiles, frozen, has_ledger, logs, query, traffic

pytestmark = pytest.mark.stack

ACCOUNTS = 300
WANDERER = 0
TABLES = ("checking", "savings")
TOTAL = 2 * ACCOUNTS * 1000 + 1000


class Bank:
    """Accounts in two tables. Every transaction touches both, leaves the sum as it is, and stamps account 1 of each with its number."""

    def __init__(self, connection: "MysqlConnection[Any]", database: str, big_every: int = 0) -> None:
        """`big_every`: each transaction of so many moves something on every account."""
        self._connection = connection
        self.database = database
        self._big_every = big_every
        self._random = random.Random(7)
        self.returned_us: list[int] = []
        """When transaction 1, 2, … had been committed for certain."""

    def open(self) -> None:
        rows = [(number, 1000, 0) for number in range(1, ACCOUNTS + 1)]
        with self._connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self.database}")
            self._connection.select_db(self.database)
            for table in TABLES:
                cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, balance BIGINT NOT NULL, stamp BIGINT NOT NULL)")
            self._connection.begin()
            for table in TABLES:
                cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s, %s)", rows)
            cursor.execute("INSERT INTO checking VALUES (%s, 1000, 0)", (WANDERER,))
        self._connection.commit()

    def act(self) -> None:
        """A transfer; now and then an account that moves to the other table, or interest paid from one table to the other."""
        number = len(self.returned_us) + 1
        self._connection.begin()
        with self._connection.cursor() as cursor:
            if self._big_every and number % self._big_every == 0:
                cursor.execute("UPDATE checking SET balance = balance - 1, stamp = %s WHERE id > 0", (number,))
                cursor.execute("UPDATE savings SET balance = balance + 1, stamp = %s WHERE id > 0", (number,))
            else:
                amount = self._random.randint(-500, 500)
                move = "UPDATE {} SET balance = balance + IF(id = %s, %s, 0), stamp = %s WHERE id IN (1, %s)"
                for table, change in zip(TABLES, (-amount, amount), strict=True):
                    account = self._random.randint(1, ACCOUNTS)
                    cursor.execute(move.format(table), (account, change, number, account))
            if number % 5 == 0:
                for table, other in (TABLES, TABLES[::-1]):
                    if cursor.execute(f"INSERT INTO {other} SELECT id, balance, stamp FROM {table} WHERE id = %s", (WANDERER,)):
                        cursor.execute(f"DELETE FROM {table} WHERE id = %s", (WANDERER,))
                        break
        self._connection.commit()
        self.returned_us.append(time.time_ns() // 1000)

    def committed_before(self, moment_us: int) -> int:
        """The number of the last transaction that had been committed by then for certain."""
        return sum(returned_us <= moment_us for returned_us in self.returned_us)


@contextmanager
def bank_pipeline(stack: Stack, directory: Path, name: str, big_every: int = 0, **settings: Any) -> Iterator[tuple[Pipeline, Bank]]:
    settings = {"redshift": {"schema": f"tidemark_{name}"}, "s3": {"prefix": f"lake-{name}"}, **settings}
    with stack.mysql.connect() as connection:
        bank = Bank(connection, name, big_every)
        bank.open()
        with running_pipeline(stack, directory, name=name, tables=[f"{name}.*"], settings=settings) as pipeline:
            yield pipeline, bank


@pytest.fixture
def reader(stack: Stack) -> Iterator[Connection]:
    """A session whose statements make transactions, as a driver's do unless told otherwise."""
    with stack.redshift.connect(ssl=False) as connection:
        yield connection


@dataclass(frozen=True, slots=True)
class Reading:
    """`whole`: the view says of both tables that they are ok and the cut is at a transaction's end."""

    commit_no: int
    whole: bool
    total: int


def in_one_statement(reader: Connection, name: str) -> Reading:
    ((commit_no, whole, total),) = query(
        reader,
        f"SELECT f.commit_no, w.whole, c.held + s.held FROM tidemark_{name}.fence AS f"
        f" CROSS JOIN (SELECT COUNT(*) AS whole FROM tidemark_{name}.watermarks WHERE state = 'ok' AND NOT partial) AS w"
        f" CROSS JOIN (SELECT SUM(balance) AS held FROM {name}.checking) AS c"
        f" CROSS JOIN (SELECT SUM(balance) AS held FROM {name}.savings) AS s",
    )
    reader.commit()
    return Reading(commit_no, whole == len(TABLES), total)


def in_one_transaction(reader: Connection, name: str) -> Reading:
    """The view first, then table by table, with time for a commit in between."""
    said = query(reader, f"SELECT state, partial FROM tidemark_{name}.watermarks")
    total = 0
    for table in TABLES:
        time.sleep(0.15)
        total += query(reader, f"SELECT SUM(balance) FROM {name}.{table}")[0][0]
    commit_no = query(reader, f"SELECT commit_no FROM tidemark_{name}.fence")[0][0]
    reader.commit()
    return Reading(commit_no, said == [["ok", False]] * len(TABLES), total)


def wait_for_tables(reader: Connection, pipeline: Pipeline) -> None:
    """Until both are loaded, so that there is something to read."""

    def loaded() -> bool:
        schema = f"tidemark_{pipeline.name}"
        whole = f"SELECT COUNT(*) FROM {schema}.watermarks WHERE NOT partial"
        found = has_ledger(reader, schema) and query(reader, whole) == [[len(TABLES)]]
        reader.commit()
        return found

    try:
        wait_until(loaded, 60, "the tables are not loaded")
    except TimeoutError as error:
        raise AssertionError(f"{error}\n{logs(pipeline)}") from error


def test_a_sum_over_two_tables_is_the_same_at_every_whole_cut(stack: Stack, reader: Connection, tmp_path: Path) -> None:
    """Transactions of two rows, and some of hundreds, which are split over many commits."""
    name = "transfers"
    with bank_pipeline(stack, tmp_path, name, big_every=50, batch={"seconds": 0.2, "rows": 40}) as (pipeline, bank):
        pipeline.start("streamer")
        pipeline.start("loader")
        readings: list[Reading] = []

        def enough() -> bool:
            for read in (in_one_statement, in_one_transaction):
                reading = read(reader, name)
                assert not reading.whole or reading.total == TOTAL, f"{reading}, not {TOTAL}, after {readings}"
                readings.append(reading)
            whole = {reading.commit_no for reading in readings if reading.whole}
            return len(whole) >= 10 and len(readings) - sum(reading.whole for reading in readings) >= 3

        wait_for_tables(reader, pipeline)
        with traffic(bank, pause_s=0.02):
            wait_until(enough, 90, "too few commits were seen whole or partial")
        kinds = Counter((reading.whole, reading.total == TOTAL) for reading in readings)
        print(f"{len(readings)} readings of {len({reading.commit_no for reading in readings})} commits; (whole, sum right): {dict(kinds)}")
        wait_until(lambda: in_one_statement(reader, name).whole, 60, "the last cut stays partial")
        assert_ledger_tiles(reader, pipeline)


@dataclass(frozen=True, slots=True)
class Promise:
    """Of one table, read in one transaction: complete up to when, and the newest transaction that is there."""

    complete_us: int
    stamp: int


def promises(reader: Connection, name: str) -> dict[str, Promise]:
    """By table; to the microsecond, where the view tells the second before."""
    said = query(
        reader,
        f"SELECT o.source_table, f.commit_ts_us, w.complete_up_to FROM tidemark_{name}.offsets AS o"
        f" JOIN tidemark_{name}.fence AS f ON f.shard = o.shard JOIN tidemark_{name}.watermarks AS w ON w.source_table = o.source_table",
    )
    out: dict[str, Promise] = {}
    for source_table, complete_us, complete_up_to in said:
        assert complete_up_to.replace(tzinfo=UTC) == datetime.fromtimestamp(complete_us // 1_000_000, UTC)
        out[source_table] = Promise(complete_us, query(reader, f"SELECT MAX(stamp) FROM {source_table}")[0][0])
    reader.commit()
    return out


@pytest.mark.long
def test_complete_up_to_promises_no_more_than_the_slower_shard_holds(stack: Stack, reader: Connection, tmp_path: Path) -> None:
    name = "slower"
    apart = {f"{name}.{table}": {"shard": shard} for shard, table in enumerate(TABLES)}
    settings: dict[str, Any] = {"state_shards": 2, "tables": {"override": apart}, "batch": {"seconds": 0.2}}
    with bank_pipeline(stack, tmp_path, name, **settings) as (pipeline, bank):
        pipeline.start("streamer")
        loaders = {each: pipeline.start("loader", "--instance", each) for each in ("one", "two")}
        wait_for_tables(reader, pipeline)
        read = 0

        def kept() -> dict[str, Promise]:
            """Reads, and checks every table against MySQL's history."""
            nonlocal read
            found = promises(reader, name)
            for table, promise in found.items():
                assert bank.committed_before(promise.complete_us) <= promise.stamp, f"{table} lacks what it promises: {promise}"
            read += 1
            return found

        def owners() -> list[str]:
            rows = query(reader, f"SELECT owner FROM tidemark_{name}.fence ORDER BY shard")
            reader.commit()
            return [row[0] for row in rows]

        def advanced(tables: list[str], beyond_us: int) -> bool:
            found = kept()
            return all(found[table].complete_us > beyond_us for table in tables)

        checking, savings = (f"{name}.{table}" for table in TABLES)
        with traffic(bank, pause_s=0.02):
            wait_until(lambda: len(set(owners())) == 2, 60, "the shards are not shared")
            wait_until(lambda: advanced([checking, savings], time.time_ns() // 1000 - 3_000_000), 60, "the shards do not advance")
            with frozen(loaders[owners()[1]]):
                time.sleep(0.5)  # a COMMIT sent before lands
                stalled = kept()[savings].complete_us
                wait_until(lambda: advanced([checking], stalled + 3_000_000), 60, "the other shard waits for the one that stands")
                ahead = kept()
                assert min(promise.complete_us for promise in ahead.values()) == ahead[savings].complete_us == stalled
                assert ahead[checking].stamp > ahead[savings].stamp
            wait_until(lambda: advanced([savings], ahead[checking].complete_us), 60, "the slower shard does not catch up")
        done_us = bank.returned_us[-1]
        wait_until(lambda: advanced([checking, savings], done_us), 60, "the shards do not reach the end")
        assert in_two(reader, name) == TOTAL
        print(f"{read} readings; {ahead[checking].complete_us - stalled} µs ahead while the other shard stood still")
        assert_ledger_tiles(reader, pipeline)


def in_two(reader: Connection, name: str) -> int:
    return sum(int(query(reader, f"SELECT SUM(balance) FROM {name}.{table}")[0][0]) for table in TABLES)
