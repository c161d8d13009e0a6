"""`streamer --from-timestamp` on a real MySQL: a new pipeline begins with the first transaction committed then or later."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from contracts.envelope import Envelope, Op
from devstack.stack import Stack, running_stack
from tests.stack.test_streamer import World, patiently, query, run

pytestmark = pytest.mark.stack

ALTERS = (
    "ADD COLUMN a INT",
    "ADD COLUMN b VARCHAR(10) DEFAULT 'x' FIRST",
    "MODIFY v BIGINT",
    "DROP COLUMN a",
    "RENAME COLUMN b TO c",
    "MODIFY c VARCHAR(200)",
    "ADD COLUMN d INT UNSIGNED NOT NULL DEFAULT 7, ALGORITHM=INSTANT",
    "MODIFY d BIGINT UNSIGNED AFTER id",
    "CHANGE c e TEXT",
    "DROP COLUMN d, ADD COLUMN f INT",
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("servers"), ("mysql", "kafka")) as stack:
        stack.mysql.create_capture_user("tidemark", "capture-only")
        yield stack


def now(connection: "Connection[Any]") -> str:
    """The server's clock, as a person would write it."""
    time.sleep(0.005)  # what was committed before was committed before
    return str(query(connection, "SELECT SYSDATE(6)")[0][0])


def begun(servers: Stack, directory: Path, name: str, database: str, since: str) -> list[Envelope]:
    """What a new pipeline of this name has of `orders`, once it has caught up."""
    directory = directory / name
    directory.mkdir()
    made = World(servers, directory, name, {"tables": {"include": [f"{database}.*"]}})
    try:
        made.start("--from-timestamp", since)
        made.wait_until_caught_up()
        patiently(lambda: (position := made.position()) is not None and not position.rereads, "what was altered is not read anew")
        made.stop()
        return [Envelope.decode(value) for _, value in made.records(f"{name}.{database}.orders")]
    finally:
        made.kill()


@pytest.mark.long
def test_each_row_since_ten_alters_is_decoded_by_its_own_schema(servers: Stack, tmp_path: Path) -> None:
    with servers.mysql.connect() as connection:
        run(connection, "CREATE DATABASE alters", "CREATE TABLE alters.orders (id INT PRIMARY KEY, v INT)")
        run(connection, "INSERT INTO alters.orders (id, v) VALUES (0, 0)")
        moments, rows = [], []
        for number, alter in enumerate(ALTERS, start=1):
            if number % 3 == 0:
                run(connection, "FLUSH BINARY LOGS")
            moments.append(now(connection))
            run(connection, "SET timestamp = 1000000000")  # which the search must not believe
            run(connection, f"ALTER TABLE alters.orders {alter}", f"INSERT INTO alters.orders (id, v) VALUES ({number}, {number})")
            run(connection, "SET timestamp = DEFAULT")
            with connection.cursor(DictCursor) as cursor:
                cursor.execute(f"SELECT * FROM alters.orders WHERE id = {number}")
                rows.append(cursor.fetchone())
        with connection.cursor(DictCursor) as cursor:
            cursor.execute("SELECT * FROM alters.orders ORDER BY id")
            rows_now = cursor.fetchall()
    for first in (0, 4, 9):
        found = begun(servers, tmp_path, f"since{first}", "alters", moments[first])
        assert [envelope.after for envelope in found if envelope.op is Op.CREATE] == rows[first:]
        assert [envelope.source.seq for envelope in found] == list(range(len(found)))
        # An ALTER has the table read anew, so what did not change since comes too, as it is now.
        held = {envelope.after["id"]: envelope.after for envelope in found if envelope.after is not None}
        assert [held[row["id"]] for row in rows_now] == list(rows_now)


@pytest.mark.long
def test_what_is_refused_leaves_nothing_and_names_the_oldest_moment(servers: Stack, tmp_path: Path) -> None:
    with servers.mysql.connect() as connection:
        run(connection, "CREATE DATABASE gone", "CREATE TABLE gone.orders (id INT PRIMARY KEY, v INT)")
        before = now(connection)
        run(connection, "INSERT INTO gone.orders VALUES (1, 1)")
        servers.mysql.purge_binlogs()
        run(connection, "INSERT INTO gone.orders VALUES (2, 2)")
    made = World(servers, tmp_path, "gone")
    said = {}
    for since, code, words in (
        ("2999-01-01", 2, "is in the future"),
        ("yesterday", 2, "not a time: 'yesterday'"),
        (before, 3, "the server has purged its older binlogs and holds nothing before 20"),
    ):
        done = made.run("--from-timestamp", since)
        assert done.returncode == code, done
        said[since] = done.stdout + done.stderr
        assert words in said[since]
    assert [name for name in servers.kafka.admin().list_topics(timeout=10).topics if name.startswith("gone.")] == []
    oldest = said[before].partition("holds nothing before ")[2].partition(",")[0]
    assert [envelope.after for envelope in begun(servers, tmp_path, "there", "gone", oldest)] == [{"id": 2, "v": 2}]
    there = World(servers, tmp_path / "there", "there", {"tables": {"include": ["gone.*"]}})
    for arguments, code, words in (
        (("--from-timestamp", oldest), 3, "a stream is never set back"),  # no streamer runs, and this is none
        (("--from-timestamp", before), 3, "streamer snapshot -t TABLE --resync"),
        (("--from-timestamp", oldest, "--until", before), 2, "is not after --from-timestamp"),
        (("--from-timestamp", oldest, "-t", "other.t"), 2, "other.t is not captured by this pipeline"),
        (("--from-timestamp", oldest, "--json"), 2, "--json goes with --dry-run"),
        (("--until", oldest), 2, "belong to --from-timestamp"),
        (("--from-timestamp", "0s", "--dry-run"), 0, "0 keys, 0 whole tables"),
        (("--from-timestamp", oldest, "--dry-run"), 4, "1 keys, 0 whole tables"),
    ):
        done = there.run(*arguments)
        assert done.returncode == code, (arguments, done)
        assert words in done.stdout + done.stderr
    appended = World(
        servers, tmp_path / "there", "there", {"tables": {"include": ["gone.*"], "override": {"gone.orders": {"mode": "append"}}}}
    )
    done = appended.run("--from-timestamp", oldest, "-t", "gone.orders")
    assert (done.returncode, "have its events emitted a second time: --again" in done.stderr) == (2, True)
    new = World(servers, tmp_path, "new", {"tables": {"include": ["gone.*"]}})
    assert new.run("--from-timestamp", oldest, "--dry-run").returncode == 4
    done = new.run("--from-timestamp", oldest, "-t", "gone.orders")
    assert (done.returncode, "has no position yet" in done.stderr) == (2, True)
