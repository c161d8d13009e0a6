"""`streamer --from-timestamp T --again` on real servers: each event of an append table since T is in its target once more, those before and
after it once, whatever dies meanwhile."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection as MysqlConnection
from redshift_connector.core import Connection

from devstack.pipeline import Service, running_pipeline, wait_until
from devstack.stack import Stack
from tests.stack.scenario import assert_ledger_tiles, beside, events, logs, query
from tests.stack.test_backfill import now
from tests.stack.test_backfill_live import Scene
from tests.stack.test_streamer import run

pytestmark = [pytest.mark.stack, pytest.mark.long]

EVENTS = 24_000
COLUMNS = "id, v, _tidemark_op, _tidemark_gtid, _tidemark_commit_ts"


@pytest.fixture
def source(stack: Stack) -> Iterator["MysqlConnection[Any]"]:
    with stack.mysql.connect() as connection:
        connection.autocommit(True)
        yield connection


@pytest.fixture
def scene(
    stack: Stack, source: "MysqlConnection[Any]", warehouse: Connection, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    """Of the name and decoder the test chooses: `log`, by choice, and `loose`, for want of a key, hold every event; `orders` holds rows."""
    name, decoder = request.param
    settings = {
        "streamer": {"snapshot": "never", "decoder": decoder},
        "redshift": {"schema": f"tidemark_{name}"},
        "s3": {"prefix": f"lake-{name}"},
        "tables": {"override": {f"{name}.log": {"mode": "append"}}},
    }
    with running_pipeline(stack, tmp_path, name=name, tables=[f"{name}.*"], settings=settings) as pipeline:
        run(source, f"CREATE DATABASE {name}")
        for table, key in (("log", " PRIMARY KEY"), ("orders", " PRIMARY KEY"), ("loose", "")):
            run(source, f"CREATE TABLE {name}.{table} (id INT{key}, v LONGTEXT)")
        pipeline.start("streamer")
        pipeline.start("loader")
        yield Scene(pipeline, source, warehouse)


def act(scene: Scene, *statements: str) -> None:
    """On each of the tables, in a transaction of its own."""
    for statement in statements:
        for table in ("log", "loose", "orders"):
            run(scene.source, statement.format(f"{scene.pipeline.name}.{table}"))


def held(scene: Scene, table: str) -> "Counter[tuple[Any, ...]]":
    """The events in the target, and how often."""
    return Counter(map(tuple, query(scene.warehouse, f"SELECT {COLUMNS} FROM {scene.pipeline.name}.{table}")))


def loaded(scene: Scene) -> None:
    """Until the warehouse holds what MySQL holds by now."""
    named = [f"--table={scene.pipeline.name}.{table}" for table in ("log", "loose", "orders")]
    for each in named:
        done = scene.pipeline.run("loader", "sync", each, timeout_s=120)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs(scene.pipeline)}"


def numbers(counted: "Counter[tuple[Any, ...]]") -> dict[tuple[int, str, int], int]:
    """By id, op and length of v."""
    return {(event[0], event[2], len(event[1] or "")): times for event, times in counted.items()}


@pytest.mark.parametrize("scene", [("againkernel", "auto"), ("againpython", "python")], indirect=True)
def test_every_event_since_the_moment_is_there_twice_and_no_other_is(scene: Scene) -> None:
    name = scene.pipeline.name
    act(scene, "INSERT INTO {} VALUES (1, 'a'), (2, 'a'), (3, 'a')", "UPDATE {} SET v = 'bb' WHERE id = 1")
    since = now(scene.source)
    act(
        scene,
        "INSERT INTO {} VALUES (4, 'a'), (5, REPEAT('w', 3000000))",
        "UPDATE {} SET v = 'ccc' WHERE id IN (1, 2)",
        "DELETE FROM {} WHERE id = 3",
        "UPDATE {} SET id = 6 WHERE id = 4",
        "TRUNCATE {}",
        "INSERT INTO {} VALUES (7, NULL)",
    )
    loaded(scene)
    orders, before = query(scene.warehouse, f"SELECT * FROM {name}.orders ORDER BY id"), held(scene, "log")
    counted = scene.dry_run("--from-timestamp", since, "--again", f"--table={name}.log", f"--table={name}.loose")
    assert {table["table"]: (table["events"], table["keys"]) for table in counted["tables"]} == {
        f"{name}.log": (8, 0),
        f"{name}.loose": (7, 0),
    }
    assert all(table["not_emitted"].startswith("TRUNCATE TABLE") for table in counted["tables"])
    refused = scene.backfill("--from-timestamp", since, f"--table={name}.log", code=2)
    assert "--again" in refused.stderr + refused.stdout
    said = scene.backfill("--from-timestamp", since, "--again", f"--table={name}.log", f"--table={name}.loose").stdout
    assert "emitted again: 15 events of 2 tables" in said
    act(scene, "INSERT INTO {} VALUES (8, 'a')")
    loaded(scene)
    once = {(1, "c", 1): 1, (2, "c", 1): 1, (3, "c", 1): 1, (1, "u", 2): 1, (8, "c", 1): 1}
    # A row that fills a signal alone: no VARCHAR holds it, so it is quarantined both times.
    twice = [(4, "c", 1), (5, "c", 0), (1, "u", 3), (2, "u", 3), (3, "d", 1), (7, "c", 0)]
    found = held(scene, "log")
    truncated = [event for event in found if event[2] == "t"]
    assert [found.pop(event) for event in truncated] == [1]
    assert numbers(found) == {**once, **dict.fromkeys([*twice, (4, "d", 1), (6, "c", 1)], 2)}
    assert found.keys() >= before.keys() - set(truncated), "as they were: GTID and commit time, too"
    found = held(scene, "loose")
    assert [found.pop(event) for event in [event for event in found if event[2] == "t"]] == [1]
    assert numbers(found) == {**once, **dict.fromkeys([*twice, (6, "u", 1)], 2)}
    assert query(scene.warehouse, f"SELECT * FROM {name}.orders ORDER BY id") == [*orders, [8, "a"]]
    quarantined = query(scene.warehouse, f"SELECT topic FROM tidemark_{name}.quarantine ORDER BY 1")
    assert [topic for (topic,) in quarantined] == [f"{name}.{name}.{table}" for table in ("log", "log", "loose", "loose", "orders")]
    assert_ledger_tiles(scene.warehouse, scene.pipeline)


@pytest.mark.parametrize("scene", [("againkill", "auto")], indirect=True)
def test_a_streamer_killed_meanwhile_emits_each_event_once_more_while_the_stream_goes_on(scene: Scene, stack: Stack) -> None:
    act(scene, "INSERT INTO {} VALUES (-1, 'before')")
    since = now(scene.source)
    act(scene, "INSERT INTO {} VALUES (-2, 'since')", "UPDATE {} SET v = 'since, too' WHERE id = -1")
    for first in range(0, EVENTS, 400):
        rows = ", ".join(f"({number}, REPEAT('x', 500))" for number in range(first, first + 400))
        run(scene.source, f"INSERT INTO againkill.log VALUES {rows}")
    loaded(scene)
    orders, loose, until = query(scene.warehouse, "SELECT * FROM againkill.orders ORDER BY id"), held(scene, "loose"), now(scene.source)
    after = iter(range(EVENTS, 2 * EVENTS))
    # Among the events of a signal, before their commit, and behind it: few of either kind come between a start and the first signal.
    crashes = iter(("streamer.definition.after:3", "streamer.commit.before:3", "streamer.commit.after:3", "streamer.send_rows.after:4"))
    with stack.mysql.connect() as connection:
        connection.autocommit(True)

        def trade() -> None:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO againkill.log VALUES (%s, 'after')", (next(after),))

        with beside(trade, 0.3):
            streamer = scene.pipeline.services[0]
            asking = scene.pipeline.start("streamer", "--from-timestamp", since, "--until", until, "--again")
            wait_until(lambda: emitted(streamer) > 0 or not asking.running(), 60, "nothing is emitted")
            streamer.kill9()
            kills = 0
            streamer = scene.pipeline.start("streamer", crash=next(crashes))
            while asking.running():
                if not streamer.running():
                    kills += 1
                    streamer = scene.pipeline.start("streamer", crash=next(crashes, None))
                time.sleep(0.05)
    assert asking.wait(10) == 0, asking.tail()
    assert kills >= 3, logs(scene.pipeline)
    loaded(scene)
    found = held(scene, "log")
    assert {(event[:2], times) for event, times in found.items() if event[0] < 0} == {
        ((-1, "before"), 1),
        ((-2, "since"), 2),
        ((-1, "since, too"), 2),
    }
    assert {event[0]: times for event, times in found.items() if 0 <= event[0] < EVENTS} == dict.fromkeys(range(EVENTS), 2)
    stream = {event[0]: times for event, times in found.items() if event[0] >= EVENTS}
    assert stream == dict.fromkeys(range(EVENTS, next(after)), 1)
    assert held(scene, "loose") == loose + Counter(event for event in loose if event[1] != "before")
    assert query(scene.warehouse, "SELECT * FROM againkill.orders ORDER BY id") == orders
    assert_ledger_tiles(scene.warehouse, scene.pipeline)


def emitted(streamer: Service) -> int:
    return sum(done.get("events", 0) for done in events([streamer], "reread.done"))


@pytest.mark.parametrize("scene", [("againstop", "auto")], indirect=True)
def test_a_command_that_is_stopped_tells_the_moment_that_goes_on(scene: Scene) -> None:
    since = now(scene.source)
    for first in range(0, 40_000, 200):
        rows = ", ".join(f"({number}, REPEAT('y', 700))" for number in range(first, first + 200))
        run(scene.source, f"INSERT INTO againstop.log VALUES {rows}")
    loaded(scene)
    until = now(scene.source)
    arguments = "--until", until, "--again", "-t", "againstop.log"
    asking = scene.pipeline.start("streamer", "--from-timestamp", since, *arguments)
    wait_until(lambda: len(events([asking], "backfill.emitted")) >= 3, 60, "nothing is sent")
    assert asking.stop() == 1
    said = asking.log.read_text()
    assert "with this moment" in said
    moment = said.rpartition("--from-timestamp '")[2].partition("'")[0]
    last = events([asking], "backfill.emitted")[-1]
    assert (last["before"], last["beyond"]) == (moment, 0), "a signal ends at the end of a transaction"
    assert len(events([asking], "backfill.emitted")) < 20, "stopped in the middle"
    scene.backfill("--from-timestamp", moment, *arguments)
    loaded(scene)
    assert {event[0]: times for event, times in held(scene, "log").items()} == dict.fromkeys(range(40_000), 2)


@pytest.mark.parametrize("scene", [("againalter", "auto")], indirect=True)
def test_events_of_a_former_schema_are_refused_with_the_moment_that_is_not(scene: Scene) -> None:
    since = now(scene.source)
    run(scene.source, "INSERT INTO againalter.log VALUES (1, 'a')", "ALTER TABLE againalter.log ADD COLUMN w INT")
    run(scene.source, "INSERT INTO againalter.log VALUES (2, 'b', 3)")
    loaded(scene)
    before = held(scene, "log")
    told = scene.backfill("--from-timestamp", since, "--again", "-t", "againalter.log", "--dry-run", code=4).stdout
    assert "refused: up to" in told
    done = scene.backfill("--from-timestamp", since, "--again", "-t", "againalter.log", code=3)
    said = done.stdout + done.stderr
    assert "againalter.log" in said
    moment = said.partition("up to ")[2].partition(" ")[0]
    told = scene.backfill("--from-timestamp", moment, "--again", "-t", "againalter.log", "--dry-run", code=4).stdout
    assert "0 keys, 1 events, 0 whole tables; nothing was asked of the streamer" in told
    scene.backfill("--from-timestamp", moment, "--again", "-t", "againalter.log")
    loaded(scene)
    assert held(scene, "log") - before == Counter(event for event in before if (event[0], event[2]) == (2, "c"))
