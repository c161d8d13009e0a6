"""The loader on real Kafka, S3 and the warehouse stand-in, fed by hand: what only real clients, real locks and `kill -9` show."""

import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition
from redshift_connector.error import Error

from contracts.progress import shard_of
from contracts.table import Column, Kind
from devstack.pipeline import Pipeline, Service, wait_until
from devstack.redshift.faults import FaultRules
from devstack.stack import Stack
from devstack.warehouse import RedshiftStandIn
from tests.marks import long
from tests.stack.feed import Feed, drop, moved, put, table, truncated
from tests.stack.scenario import has_ledger

pytestmark = pytest.mark.stack

ORDERS = table("shop", "orders", Column("note", Kind.VARCHAR, length=20, charset="utf8mb4"))
EVENTS = table("shop", "events", Column("what", Kind.VARCHAR, length=20, charset="utf8mb4"), key=())


class Scene:
    """A pipeline of its own: a feed, and loaders as the processes a person would start."""

    def __init__(self, stack: Stack, directory: Path, name: str, redshift: RedshiftStandIn | None = None, **settings: Any) -> None:
        self.stack = stack
        self.redshift = redshift or stack.redshift
        self.feed = Feed(stack, name, shards=settings.get("state_shards", 1))
        self.schema = f"tidemark_{name}"
        self.pipeline = Pipeline(
            stack,
            directory,
            name,
            settings={
                "redshift": {
                    "schema": self.schema,
                    "lock_patience_seconds": 2,
                    "port": self.redshift.port,
                    "ssl_ca": str(self.redshift.ca_file),
                },
                "s3": {"prefix": f"lake-{name}"},
                "target": {"schema": name},
                "batch": {"seconds": 0.2},
                **settings,
            },
        )
        self.pipeline.prepare()
        self.warehouse = self.redshift.connect(ssl=False)
        self.warehouse.autocommit = True

    def loader(self, *arguments: str, crash: str | None = None) -> Service:
        return self.pipeline.start("loader", *arguments, crash=crash)

    def choose(self, mode: str) -> None:
        """The mode of shop.orders, for loaders started from here on."""
        tables = {"include": ["shop.*"], "override": {"shop.orders": {"mode": mode}}}
        self.pipeline.settings = {**self.pipeline.settings, "tables": tables}
        self.pipeline.prepare()

    def query(self, sql: str) -> list[Any]:
        cursor = self.warehouse.cursor()
        cursor.execute(sql)
        return list(cursor.fetchall())

    def execute(self, sql: str) -> None:
        self.warehouse.cursor().execute(sql)

    @property
    def faults(self) -> FaultRules:
        return FaultRules(self.redshift.faults_path)

    def command(self, *arguments: str, variables: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """A loader command run to its end."""
        return subprocess.run(
            [sys.executable, "-m", "loader", *arguments],
            env={**os.environ, "TIDEMARK_CONFIG": str(self.pipeline.config_path), **(variables or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def fence(self) -> Any:
        (row,) = self.query(f"SELECT epoch, commit_no, barrier_no, gtid_set, partial, progress_offset FROM {self.schema}.fence")
        return row

    def reaches(self, n: int, timeout_s: float = 60) -> None:
        """Waits until the fence is at barrier `n`."""

        def reached() -> bool:
            return has_ledger(self.warehouse, self.schema) and bool(
                self.query(f"SELECT 1 FROM {self.schema}.fence_0 WHERE barrier_no >= {n}")
            )

        try:
            wait_until(reached, timeout_s, f"the fence is not at barrier {n}")
        except TimeoutError as error:
            raise AssertionError("\n".join(service.tail(30) for service in self.pipeline.services)) from error

    def orders(self) -> dict[int, str | None]:
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
        made.faults.clear()
        made.pipeline.stop()
        made.warehouse.close()
        made.feed.close()


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


def test_a_truncate_empties_the_table_and_rows_after_it_stay(scene: Scene) -> None:
    scene.feed.transaction(*(put(ORDERS, id=i, note="old") for i in range(5)))
    scene.feed.transaction(truncated(ORDERS))
    scene.feed.transaction(put(ORDERS, id=7, note="new"))
    scene.loader()
    scene.reaches(3)
    assert scene.orders() == {7: "new"}
    scene.assert_ledger_tiles()


@pytest.mark.parametrize(
    "point",
    [
        "loader.commit.merged:1",
        *long(
            "loader.put.after:1",
            "loader.commit.after:1",
            "loader.bump_epoch.after:1",
            "loader.read_state.after:1",
            "loader.ensure_target.after:1",
            "loader.put.before:1",
            "loader.put.after:2",
            "loader.stage.before:1",
            "loader.stage.after:1",
            "loader.commit.before:1",
            "loader.mirror.before:1",
        ),
    ],
)
def test_a_kill_around_any_effect_neither_loses_nor_repeats_rows(scene: Scene, point: str) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"), put(EVENTS, id=1, what="once"))
    scene.feed.transaction(put(ORDERS, id=2, note="b"), drop(ORDERS, id=1, note="a"), put(EVENTS, id=2, what="once"))
    assert scene.loader(crash=point).wait(60) == -signal.SIGKILL
    scene.feed.transaction(put(ORDERS, id=3, note="c"))
    scene.loader()
    scene.reaches(3)
    assert scene.orders() == {2: "b", 3: "c"}
    assert scene.query(f"SELECT id, what FROM {scene.pipeline.name}.events ORDER BY id") == [[1, "once"], [2, "once"]]
    scene.assert_ledger_tiles()


@pytest.mark.parametrize("moment", [*long("drop_before"), "drop_after"])
def test_a_lost_answer_to_commit_is_settled_by_the_next_epoch(scene: Scene, moment: Any) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.loader()
    scene.reaches(1)
    scene.faults.add(moment, kind="commit", nth=3)  # the first is of a new table's version, the second of staging
    scene.feed.transaction(put(ORDERS, id=2, note="b"), put(EVENTS, id=1, what="once"))
    scene.reaches(2)
    wait_until(lambda: scene.fence()[0] == 2, 60, "no epoch was taken after the lost answer")
    scene.feed.transaction(put(ORDERS, id=3, note="c"))
    scene.reaches(3)
    assert [event["error"] for event in scene.events("shard.restarted")] == ["OutcomeUnknown"]
    assert scene.orders() == {1: "a", 2: "b", 3: "c"}
    assert scene.query(f"SELECT id FROM {scene.pipeline.name}.events") == [[1]]
    scene.assert_ledger_tiles()


def test_a_serialization_failure_is_retried_with_the_same_objects(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.loader()
    scene.reaches(1)
    scene.faults.add("error_1023", statement="SET commit_no", times=2)
    scene.feed.transaction(put(ORDERS, id=2, note="b"))
    scene.reaches(2)
    assert [event["attempt"] for event in scene.events("commit.retried")] == [1, 2]
    assert scene.events("shard.restarted") == []
    assert scene.fence()[0] == 1
    assert scene.orders() == {1: "a", 2: "b"}
    scene.assert_ledger_tiles()


def test_a_connection_lost_before_commit_is_retried_on_a_new_one(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.loader()
    scene.reaches(1)
    scene.faults.add("drop_before", statement="INSERT INTO .*ledger")
    scene.feed.transaction(put(ORDERS, id=2, note="b"))
    scene.reaches(2)
    assert scene.orders() == {1: "a", 2: "b"}
    assert scene.fence()[0] == 1
    scene.assert_ledger_tiles()


def test_a_value_too_long_loads_as_null_and_is_kept_until_its_key_is_good_again(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="x" * 200), put(ORDERS, id=2, note="fits"))
    scene.loader()
    scene.reaches(1)
    assert scene.orders() == {1: None, 2: "fits"}
    entries = f"SELECT row_key, column_name, raw_size_bytes, closed_at IS NULL FROM {scene.schema}.quarantine"
    assert scene.query(entries) == [['{"id":1}', "note", 202, True]]
    scene.feed.transaction(put(ORDERS, id=1, note="short"))
    scene.reaches(2)
    assert scene.orders() == {1: "short", 2: "fits"}
    assert scene.query(entries) == [['{"id":1}', "note", 202, False]]
    scene.assert_ledger_tiles()


@pytest.mark.long
def test_quarantine_entries_left_open_by_another_session_are_closed_too(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="x" * 200))
    first = scene.loader()
    scene.reaches(1)
    assert first.stop() == 0
    scene.loader()
    scene.feed.transaction(put(ORDERS, id=1, note="short"))
    scene.reaches(2)
    assert scene.query(f"SELECT count(*) FROM {scene.schema}.quarantine WHERE closed_at IS NULL") == [[0]]


def test_on_bad_row_halt_stops_before_anything_is_loaded(stack: Stack, tmp_path: Path) -> None:
    with staged(stack, tmp_path, "halt", on_bad_row="halt") as scene:
        scene.feed.transaction(put(ORDERS, id=1, note="x" * 200))
        loader = scene.loader()
        assert loader.wait(60) == 1
        assert "on_bad_row says halt" in loader.tail()
        assert scene.orders() == {}
        assert scene.fence()[1] == 0


def test_barriers_without_rows_move_the_watermark(scene: Scene) -> None:
    scene.loader()
    for _ in range(3):
        scene.feed.transaction()
    scene.reaches(3)
    assert scene.fence()[3] == str(scene.feed.gtids)
    assert scene.query(f"SELECT count(*) FROM {scene.schema}.ledger") == [[0]]


def test_the_standby_takes_over_from_a_killed_loader(scene: Scene) -> None:
    first = scene.loader("--instance", "first")
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.reaches(1)
    scene.loader("--instance", "second")
    first.kill9()
    scene.feed.transaction(put(ORDERS, id=2, note="b"))
    scene.reaches(2)
    assert scene.orders() == {1: "a", 2: "b"}
    assert scene.query(f"SELECT owner FROM {scene.schema}.fence") == [["second"]]
    scene.assert_ledger_tiles()


@pytest.mark.long
def test_a_loader_frozen_in_its_copy_commits_nothing_when_it_wakes(scene: Scene) -> None:
    first = scene.loader("--instance", "first")
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.reaches(1)
    scene.faults.add("delay", kind="copy", seconds=3)
    scene.feed.transaction(put(ORDERS, id=2, note="b"), put(EVENTS, id=1, what="once"))
    wait_until(lambda: scene.query(f"SELECT 1 FROM {scene.schema}.schema_version WHERE target_table LIKE '%events%'"), 60, "no COPY began")
    time.sleep(0.5)
    os.kill(first.process.pid, signal.SIGSTOP)
    scene.loader("--instance", "second")
    scene.reaches(2)
    os.kill(first.process.pid, signal.SIGCONT)

    def hears() -> bool:
        """Of the group, or of the fence, whichever tells it first."""
        return bool(scene.events("shard.lost") or [e for e in scene.events("shard.restarted") if e["error"] == "Fenced"])

    wait_until(hears, 60, "the frozen loader never heard that it is out")
    scene.feed.transaction(put(ORDERS, id=3, note="c"))
    scene.reaches(3)
    assert scene.orders() == {1: "a", 2: "b", 3: "c"}
    assert scene.query(f"SELECT id FROM {scene.pipeline.name}.events") == [[1]]
    scene.assert_ledger_tiles()


def test_a_commit_still_on_its_way_when_its_sender_dies_counts_once(scene: Scene) -> None:
    first = scene.loader("--instance", "first")
    scene.feed.transaction(put(ORDERS, id=1, note="a"), put(EVENTS, id=1, what="once"))
    scene.reaches(1)
    scene.faults.add("delay", kind="commit", nth=2, seconds=1.5)  # the first is of staging
    scene.feed.transaction(put(ORDERS, id=2, note="b"), put(EVENTS, id=2, what="once"))
    locked = "SELECT 1 FROM svv_transactions t JOIN pg_class c ON c.oid = t.relation JOIN pg_namespace n ON n.oid = c.relnamespace"
    where = f"WHERE n.nspname = '{scene.pipeline.name}' AND c.relname = 'events' AND t.granted AND t.lock_mode <> 'AccessShareLock'"
    wait_until(lambda: scene.query(f"{locked} {where}"), 60, "the commit did not begin")
    first.kill9()
    scene.loader("--instance", "first")
    scene.feed.transaction(put(ORDERS, id=3, note="c"))
    scene.reaches(3)
    assert scene.orders() == {1: "a", 2: "b", 3: "c"}
    assert scene.query(f"SELECT id FROM {scene.pipeline.name}.events ORDER BY 1") == [[1], [2]]
    scene.assert_ledger_tiles()


@pytest.mark.long
def test_a_second_loader_of_the_same_name_puts_the_first_out_and_says_so(scene: Scene) -> None:
    first = scene.loader("--instance", "same")
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.reaches(1)
    scene.loader("--instance", "same")
    assert first.wait(60) == 1
    assert "give each its own --instance" in first.tail()
    scene.feed.transaction(put(ORDERS, id=2, note="b"))
    scene.reaches(2)
    assert scene.orders() == {1: "a", 2: "b"}


def test_kafka_shows_lag_from_a_mirror_of_the_committed_offsets(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.loader()
    scene.reaches(1)
    group = f"tidemark-{scene.pipeline.name}-loader"
    watcher = Consumer({"bootstrap.servers": scene.stack.kafka.bootstrap_servers, "group.id": group, "log_level": 0})
    places = [TopicPartition(scene.feed.topics.progress, 0), TopicPartition(scene.feed.topics.rows(ORDERS.table), 0)]
    try:
        wait_until(lambda: all(place.offset > 0 for place in watcher.committed(places, timeout=10)), 30, "nothing was mirrored")
        progress, orders = watcher.committed(places, timeout=10)
    finally:
        watcher.close()
    next_offsets = dict(scene.query(f"SELECT topic, next_offset FROM {scene.schema}.offsets"))
    assert (progress.offset, orders.offset) == (scene.fence()[5], next_offsets[orders.topic])
    assert progress.metadata == orders.metadata == "2025-10-09T08:53:21+00:00 commit 1 epoch 1"


@pytest.mark.long
def test_a_session_that_holds_the_fence_too_long_is_ended(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    first = scene.loader()
    scene.reaches(1)
    assert first.stop() == 0
    hung = scene.redshift.connect(ssl=False)
    hung.cursor().execute(f"UPDATE {scene.schema}.fence_0 SET owner = 'hung'")
    scene.loader()
    scene.feed.transaction(put(ORDERS, id=2, note="b"))
    scene.reaches(2)
    assert scene.orders() == {1: "a", 2: "b"}
    assert len(scene.events("session.ended")) == 1
    with pytest.raises(Error):
        hung.commit()


def test_a_column_more_parks_the_table_and_names_the_alter_that_mends_it(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"), put(EVENTS, id=1, what="once"))
    scene.loader()
    scene.reaches(1)
    wider = table("shop", "orders", *ORDERS.columns[1:], Column("paid", Kind.INT))
    scene.feed.transaction(put(wider, id=2, note="b", paid=5), put(EVENTS, id=2, what="once"))
    scene.reaches(2)
    alter = f'ALTER TABLE "{scene.pipeline.name}"."orders" ADD COLUMN "paid" INTEGER'
    ((state, because),) = scene.query(f"SELECT state, because FROM {scene.schema}.watermarks WHERE source_table = 'shop.orders'")
    assert state == "parked"
    assert f"{alter}, and read the table again: streamer snapshot -t shop.orders --resync" in because
    assert scene.query(f"SELECT COUNT(*) FROM {scene.pipeline.name}.events") == [[2]]
    scene.execute(alter)
    scene.feed.transaction(put(wider, id=3, note="c", paid=5))  # too late: the row before it is missing
    scene.reaches(3)
    assert scene.orders() == {1: "a"}
    scene.feed.transaction(truncated(wider))
    scene.feed.transaction(put(wider, id=4, note="d", paid=5))
    scene.reaches(5)
    assert scene.query(f"SELECT id, note, paid FROM {scene.pipeline.name}.orders ORDER BY id") == [[4, "d", 5]]
    assert scene.query(f"SELECT DISTINCT state, because FROM {scene.schema}.watermarks") == [["ok", ""]]
    scene.assert_ledger_tiles()


def test_a_text_column_that_grows_is_widened_before_the_rows_that_need_it(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    first = scene.loader(crash="loader.commit.before:2")
    scene.reaches(1)
    longer = table("shop", "orders", Column("note", Kind.VARCHAR, length=300, charset="utf8mb4"))
    scene.feed.transaction(put(longer, id=2, note="é" * 300))
    assert first.wait(60) == -signal.SIGKILL
    statement = f'ALTER TABLE "{scene.pipeline.name}"."orders" ALTER COLUMN "note" TYPE VARCHAR(1200)'
    assert [event["statement"] for event in scene.events("target.widened")] == [statement]
    assert scene.orders() == {1: "a"}
    scene.loader()
    scene.reaches(2)
    scene.feed.transaction(put(ORDERS, id=1, note="b"))
    scene.reaches(3)
    scene.feed.transaction(put(longer, id=3, note="c" * 300))
    scene.reaches(4)
    assert scene.orders() == {1: "b", 2: "é" * 300, 3: "c" * 300}
    assert len(scene.events("target.widened")) == 1  # whoever comes later finds it long enough
    assert scene.events("shard.restarted") == []
    scene.assert_ledger_tiles()


@pytest.mark.long
def test_a_table_changes_its_mode_once_a_person_has_altered_it(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"), put(ORDERS, id=2, note="b"))
    first = scene.loader()
    scene.reaches(1)
    assert first.stop() == 0
    scene.choose("soft_delete")
    scene.feed.transaction(drop(ORDERS, id=1, note="a"))
    loader = scene.loader()
    assert loader.wait(60) == 2
    alter = f'ALTER TABLE "{scene.pipeline.name}"."orders" ADD COLUMN "_tidemark_deleted" BOOLEAN DEFAULT FALSE NOT NULL'
    assert alter in loader.tail().replace("\\", "")
    scene.execute(alter)
    second = scene.loader()
    scene.reaches(2)
    rows = f"SELECT id, note, _tidemark_deleted FROM {scene.pipeline.name}.orders ORDER BY id"
    assert scene.query(rows) == [[1, "a", True], [2, "b", False]]
    assert second.stop() == 0
    scene.choose("merge")
    scene.feed.transaction(put(ORDERS, id=3, note="c"))
    loader = scene.loader()
    assert loader.wait(60) == 2
    table = f'"{scene.pipeline.name}"."orders"'
    fixes = (f'DELETE FROM {table} WHERE "_tidemark_deleted"', f'ALTER TABLE {table} DROP COLUMN "_tidemark_deleted"')
    assert "; ".join(fixes) in loader.tail().replace("\\", "")
    for fix in fixes:
        scene.execute(fix)
    scene.loader()
    scene.reaches(3)
    assert scene.orders() == {2: "b", 3: "c"}
    scene.assert_ledger_tiles()


def test_a_ledger_of_another_prefix_or_shard_count_is_refused(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.loader()
    scene.reaches(1)
    scene.pipeline.stop()
    for variable, value, code, says in (
        ("TIDEMARK__S3__PREFIX", "elsewhere", 3, "holds the ledger of prefix"),
        ("TIDEMARK__STATE_SHARDS", "2", 2, "Set state_shards: 1"),
    ):
        done = scene.command(variables={variable: value})
        assert (done.returncode, says in done.stderr) == (code, True), done.stderr


@pytest.mark.long
def test_a_ledger_restored_into_another_warehouse_is_refused_until_it_is_adopted(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.loader()
    scene.reaches(1)
    scene.pipeline.stop()
    scene.feed.transaction(put(ORDERS, id=2, note="b"))
    elsewhere = {"TIDEMARK__REDSHIFT__HOST": "localhost"}  # the same one under another name
    refused = scene.command("sync", "-t", "shop.orders", variables=elsewhere)
    assert refused.returncode == 3
    assert "holds the ledger of cluster" in refused.stderr
    assert "loader adopt-warehouse" in refused.stderr
    adopted = scene.command("adopt-warehouse", variables=elsewhere)
    assert adopted.returncode == 0, adopted.stderr
    assert "lacks nothing" in adopted.stdout
    done = scene.command("sync", "-t", "shop.orders", variables=elsewhere)
    assert done.returncode == 0, done.stderr
    assert scene.orders() == {1: "a", 2: "b"}


def test_sync_returns_when_the_table_holds_what_kafka_holds(scene: Scene) -> None:
    for i in range(20):
        scene.feed.transaction(put(ORDERS, id=i, note="n"))
    done = scene.command("sync", "-t", "shop.orders")
    assert done.returncode == 0, done.stderr
    assert str(scene.feed.gtids) in done.stdout
    assert len(scene.orders()) == 20


def test_status_and_check_show_a_pipeline_at_work(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.loader()
    scene.reaches(1)
    status = scene.command("status", "--json")
    shard, orders = map(orjson.loads, status.stdout.splitlines())
    assert (shard["shard"], shard["epoch"], shard["gtid_set"]) == (0, 1, str(scene.feed.gtids))
    assert shard["kafka_headroom_hours"] == 168  # Kafka's own default, which the feed's topics have
    assert (orders["source_table"], orders["state"], orders["rows_applied"], orders["quarantined"]) == ("shop.orders", "ok", 1, 0)
    check = scene.command("check")
    assert check.returncode == 0, check.stdout
    broken = scene.command("check", "--json", variables={"TIDEMARK__S3__BUCKET": "not-there"})
    assert broken.returncode == 2
    assert {item["check"] for item in map(orjson.loads, broken.stdout.splitlines()) if not item["ok"]} == {"s3", "redshift"}


def test_two_shards_are_cut_and_fenced_apart(stack: Stack, tmp_path: Path) -> None:
    with staged(stack, tmp_path, "shards", state_shards=2) as scene:
        many = [table("shop", f"t{i}", Column("v", Kind.INT)) for i in range(40)]
        tables = [next(one for one in many if shard_of(scene.feed.topics.rows(one.table), 2) == shard) for shard in (0, 1)]
        scene.loader("--instance", "first")
        scene.loader("--instance", "second")
        for n in range(10):
            scene.feed.transaction(*(put(one, id=n, v=n) for one in tables))
        scene.reaches(10)
        wait_until(lambda: scene.query(f"SELECT min(barrier_no) FROM {scene.schema}.fence") == [[10]], 60, "shard 1 is behind")
        for one in tables:
            assert scene.query(f"SELECT count(*) FROM {scene.pipeline.name}.{one.table.name}") == [[10]]
        scene.assert_ledger_tiles()


@pytest.mark.long
def test_serializable_isolation_is_as_good(stack: Stack, tmp_path: Path) -> None:
    serializable = RedshiftStandIn(tmp_path / "serializable", s3=stack.s3, isolation="serializable", name="serializable")
    serializable.start()
    try:
        with staged(stack, tmp_path, "serializable", redshift=serializable) as scene:
            first = scene.loader("--instance", "first")
            for n in range(5):
                scene.feed.transaction(put(ORDERS, id=n, note="a"), put(EVENTS, id=n, what="once"))
            scene.reaches(1)
            first.kill9()
            scene.loader("--instance", "second")
            scene.feed.transaction(put(ORDERS, id=9, note="z"), drop(ORDERS, id=0, note="a"))
            scene.reaches(6)
            assert sorted(scene.orders()) == [1, 2, 3, 4, 9]
            assert scene.query(f"SELECT count(*) FROM {scene.pipeline.name}.events") == [[5]]
            scene.assert_ledger_tiles()
    finally:
        serializable.stop()
        serializable.remove()


@pytest.mark.long
def test_more_than_memory_takes_is_loaded_in_several_commits(stack: Stack, tmp_path: Path) -> None:
    with staged(stack, tmp_path, "memory", memory_bytes_max="64MiB", batch={"seconds": 2, "bytes": "64MiB"}) as scene:
        wide = table("shop", "wide", Column("v", Kind.VARCHAR, length=3000, charset="ascii"))
        for n in range(12):
            scene.feed.transaction(*(put(wide, id=n * 1000 + i, v="x" * 2000) for i in range(1000)), put(ORDERS, id=n, note="n"))
        scene.loader()
        scene.reaches(12)
        assert scene.query(f"SELECT count(*), count(DISTINCT id) FROM {scene.pipeline.name}.wide") == [[12_000, 12_000]]
        assert len(scene.orders()) == 12
        assert "memory" in {event["reason"] for event in scene.events("shard.committed")}
        scene.assert_ledger_tiles()
