"""The janitor's commands as a person runs them, on an S3 server and the warehouse stand-in; batches and ledger are written by hand."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from redshift_connector.core import Connection

from contracts.batch import BatchKey
from contracts.ledger import cluster_id, ledger_ddl
from contracts.offsets import OffsetRange
from contracts.sql import quote
from devstack.stack import Stack, running_stack
from janitor.edges.redshift import RedshiftLedger
from runtime.connect import redshift
from runtime.settings import load
from tests.marks import long

pytestmark = pytest.mark.stack

BUCKET = "janitor-lake"
SESSION = datetime(2025, 8, 14, 15, 3, 12, tzinfo=UTC)
HELD = ("held", 0, 50, 1)  # nonce word, start, stop, epoch
NEWER = ("newer", 50, 100, 2)
DEAD_BY_EPOCH = ("epoch", 100, 110, 1)
DEAD_BY_OFFSET = ("offset", 50, 60, 2)
LIVE = ("live", 100, 120, 2)
NONCES = {"held": "00000001", "newer": "00000002", "epoch": "00000003", "offset": "00000004", "live": "00000005"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The two servers the janitor talks to."""
    with running_stack(tmp_path_factory.mktemp("janitor"), only=("s3", "redshift")) as running:
        running.s3.client().create_bucket(Bucket=BUCKET)
        yield running


@dataclass
class Lake:
    """One pipeline: shard 0 at epoch 2, `orders` loaded up to 100; two batches of it committed, three attempts not."""

    servers: Stack
    name: str
    config: Path
    warehouse: Connection

    @property
    def schema(self) -> str:
        return f"tidemark_{self.name}"

    def key(self, what: tuple[str, int, int, int], table: str = "orders") -> BatchKey:
        word, start, stop, epoch = what
        return BatchKey(f"{self.name}.shop.{table}", 0, SESSION, 1, OffsetRange(start, stop), epoch, NONCES[word])

    def put(self, what: tuple[str, int, int, int], table: str = "orders", suffixes: tuple[str, ...] = ("data", "manifest")) -> None:
        for suffix in suffixes:
            self.put_key(getattr(self.key(what, table), suffix))

    def put_key(self, key: str) -> None:
        self.servers.s3.client().put_object(Bucket=BUCKET, Key=f"lake-{self.name}/{key}", Body=b"PAR1")

    def record(self, what: tuple[str, int, int, int]) -> None:
        key = self.key(what)
        self.sql(
            f"INSERT INTO {self.schema}.ledger_0 VALUES (%s, %s, 0, 'A', %s, %s, %s, %s, 0, %s, 0, 0, %s, '', %s, NULL)",
            key.nonce,
            key.topic,
            key.epoch,
            key.offsets.start,
            key.offsets.stop,
            key.offsets.stop - key.offsets.start,
            key.offsets.stop - key.offsets.start,
            f"lake-{self.name}/{key.manifest}",
            datetime.now(UTC).replace(tzinfo=None),
        )

    def sql(self, sql: str, *values: Any) -> list[Any]:
        cursor = self.warehouse.cursor()
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.description else []

    def words(self) -> set[str]:
        """What is left in the bucket, by the words above; other names as they are."""
        pages = self.servers.s3.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"lake-{self.name}/")
        names = [item["Key"] for page in pages for item in page.get("Contents", [])]
        by_nonce = {nonce: word for word, nonce in NONCES.items()}
        return {by_nonce.get(name.rpartition("_")[2].partition(".")[0], name) for name in names}

    def marked(self) -> set[str]:
        rows = self.sql(f"SELECT batch_id FROM {self.schema}.ledger_0 WHERE object_deleted_at IS NOT NULL")
        return {word for word, nonce in NONCES.items() if [nonce] in [list(row) for row in rows]}

    def epoch(self) -> int:
        return int(self.sql(f"SELECT epoch FROM {self.schema}.fence_0")[0][0])

    def run(self, *arguments: str, code: int, **environ: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "janitor", *arguments],
            env={**os.environ, "TIDEMARK_CONFIG": str(self.config), **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def change(self, section: str, **values: Any) -> None:
        settings = yaml.safe_load(self.config.read_text())
        settings[section] |= values
        self.config.write_text(yaml.safe_dump(settings))

    def keep_for_a_moment(self) -> None:
        """What is committed is past its time when this returns."""
        self.change("s3", keep_committed_seconds=1)
        time.sleep(3)  # S3's clock has whole seconds


@pytest.fixture
def lake(servers: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lake]:
    name = f"lake{abs(hash(request.node.name)) % 10**9}"
    to = servers.redshift
    settings = {
        "pipeline": name,
        # Nobody gives the janitor what it has no use for.
        "mysql": {"host": "mysql", "user": "u", "password": "${MYSQL_PASSWORD_OF_OTHERS}"},
        "kafka": {"bootstrap_servers": "kafka:1", "allow_plaintext": True},
        "s3": {
            "bucket": BUCKET,
            "prefix": f"lake-{name}",
            "endpoint_url": servers.s3.endpoint_url,
            "region": servers.s3.region,
            "access_key_id": servers.s3.access_key,
            "secret_access_key": servers.s3.secret_key,
        },
        "redshift": {
            "host": to.host,
            "port": to.port,
            "database": to.database,
            "user": to.user,
            "password": to.password,
            "ssl_ca": str(to.ca_file),
            "schema": f"tidemark_{name}",
        },
        "tables": {"include": ["shop.*"]},
    }
    config = tmp_path / "tidemark.yaml"
    config.write_text(yaml.safe_dump(settings))
    with to.connect(ssl=False) as warehouse:
        warehouse.autocommit = True
        made = Lake(servers, name, config, warehouse)
        for statement in ledger_ddl(quote(made.schema), 1):
            made.sql(statement)
        made.sql(f"INSERT INTO {made.schema}.fence_0 VALUES (0, 2, 9, 'loader', 0, 0, '', FALSE, 0)")
        made.sql(
            f"INSERT INTO {made.schema}.offsets_0 VALUES (%s, 0, 'A', 100, 100, 'ok', 0, 'shop.orders', 'shop.orders')",
            f"{name}.shop.orders",
        )
        made.sql(
            f"INSERT INTO {made.schema}.pipeline VALUES (%s, %s, %s, %s, 1, %s)",
            name,
            BUCKET,
            f"lake-{name}",
            cluster_id(to.host, to.port, to.database),
            datetime(2025, 8, 1),  # noqa: DTZ001  # TIMESTAMP without zone
        )
        for what in (HELD, NEWER):
            made.record(what)
        for what in (HELD, NEWER, DEAD_BY_OFFSET, LIVE):
            made.put(what)
        made.put(DEAD_BY_EPOCH, suffixes=("data",))  # its writer died before the manifest
        made.put_key("readme.txt")
        yield made


EVERYTHING = {"held", "newer", "epoch", "offset", "live"}


def readme(lake: Lake) -> str:
    return f"lake-{lake.name}/readme.txt"


def test_orphans_shows_exactly_what_is_proven_with_its_proof_and_deletes_nothing(lake: Lake) -> None:
    done = lake.run("orphans", "-t", "shop.orders", code=4)
    by_offset, by_epoch = done.stdout.splitlines()
    assert "offsets 100 to 109" in by_epoch
    assert "(parquet)" in by_epoch
    assert by_epoch.endswith("epoch 1 is below the fence's 2")
    assert "offsets 50 to 59" in by_offset
    assert "(manifest and parquet)" in by_offset
    assert by_offset.endswith("starts at 50, below the next offset 100")
    for line in (by_epoch, by_offset):
        assert "session 2025-08-14 15:03:12  batch 1" in line
        assert "orders_20250814_150312_batch_0001_" in line
    assert done.stderr == "2 orphans, 12 B; nothing was deleted; --older-than 1h or --all deletes\n"
    assert lake.words() == EVERYTHING | {readme(lake)}


def test_orphans_all_deletes_what_is_proven_and_the_next_run_finds_none(lake: Lake) -> None:
    done = lake.run("orphans", "-t", "shop.orders", "--all", code=0)
    assert done.stdout.count("deleted") == 2
    assert done.stderr == "deleted 2 orphans, 12 B\n"
    assert lake.words() == {"held", "newer", "live", readme(lake)}
    assert lake.run("orphans", "--all-tables", code=0).stdout == ""
    assert lake.epoch() == 2


def test_a_dry_run_shows_the_same_and_deletes_nothing(lake: Lake) -> None:
    shown = lake.run("orphans", "-t", "shop.orders", "--all", "--dry-run", code=4).stdout
    assert lake.words() == EVERYTHING | {readme(lake)}
    deleted = lake.run("orphans", "-t", "shop.orders", "--all", code=0).stdout
    ageless = [re.sub(r"\S+  session", "session", text) for text in (shown.replace("orphan   ", "deleted  "), deleted)]
    assert ageless[0] == ageless[1]


def test_young_orphans_wait_for_their_age(lake: Lake) -> None:
    lake.run("orphans", "--all-tables", "--older-than", "1h", code=0)
    assert lake.words() == EVERYTHING | {readme(lake)}


def test_after_the_fence_the_newest_attempt_goes_too(lake: Lake) -> None:
    lake.run("orphans", "-t", "shop.orders", "--all", "--fence", "--dry-run", code=4)
    assert lake.epoch() == 2
    lake.run("orphans", "-t", "shop.orders", "--all", "--fence", code=0)
    assert lake.epoch() == 3
    assert lake.words() == {"held", "newer", readme(lake)}


def test_list_names_every_object_with_its_state_and_filters(lake: Lake) -> None:
    lines = lake.run("list", "-t", "shop.orders", code=0).stdout.splitlines()
    states = sorted(line.split()[0] for line in lines)
    assert states == ["committed"] * 4 + ["in-flight"] * 2 + ["orphan"] * 3
    assert all("20250814_15" in line for line in lines)
    live = lake.run("list", "-t", "shop.orders", "--state", "in-flight", "--json", code=0).stdout.splitlines()
    assert {orjson.loads(line)["key"] for line in live} == {lake.key(LIVE).data, lake.key(LIVE).manifest}
    assert lake.run("list", "-t", "shop.orders", "--session", "20250814_16", code=0).stdout == ""
    assert len(lake.run("list", "-t", "shop.orders", "--session", "20250814_15", code=0).stdout.splitlines()) == 9
    assert "readme.txt" in lake.run("list", "--all-tables", "--state", "foreign", code=0).stdout


def test_clean_removes_committed_batches_by_pattern_and_the_ledger_says_so(lake: Lake) -> None:
    pattern = f"*_e00000001_{NONCES['held']}*"
    assert "left 1 committed batch" in lake.run("clean", "-t", "shop.orders", "--pattern", pattern, code=0).stderr
    assert lake.words() == EVERYTHING | {readme(lake)}
    lake.keep_for_a_moment()
    assert "committed" in lake.run("clean", "-t", "shop.orders", "--pattern", pattern, "--dry-run", code=4).stdout
    assert lake.marked() == set()
    lake.run("clean", "-t", "shop.orders", "--pattern", pattern, code=0)
    assert lake.words() == EVERYTHING - {"held"} | {readme(lake)}
    assert lake.marked() == {"held"}


def test_clean_by_hour_never_takes_what_is_in_flight(lake: Lake) -> None:
    lake.keep_for_a_moment()
    lake.run("clean", "-t", "shop.orders", "--pattern", "*20250814_15*", code=0)
    assert lake.words() == {"live", readme(lake)}
    assert lake.marked() == {"held", "newer"}


def test_a_sweep_leaves_the_young_and_expires_committed_batches_past_their_time(lake: Lake) -> None:
    lake.run(code=0)
    assert lake.words() == EVERYTHING | {readme(lake)}
    lake.keep_for_a_moment()
    done = lake.run(code=0)
    assert lake.words() == {"epoch", "offset", "live", readme(lake)}
    assert lake.marked() == {"held", "newer"}
    (line,) = done.stdout.splitlines()
    summary = orjson.loads(line)
    assert (summary["event"], summary["expired"], summary["orphans"]) == ("sweep.done", 2, 0)
    assert (summary["objects_in_flight"], summary["objects_foreign"]) == (2, 1)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("UPDATE {s}.pipeline SET bucket = 'a-copy'", "bucket 'a-copy' there"),
        ("DELETE FROM {s}.fence_0", "fence row of shard 0 is absent"),
        ("INSERT INTO {s}.fence_0 VALUES (0, 9, 9, 'x', 0, 0, '', FALSE, 0)", "once only"),
        ("DELETE FROM {s}.ledger_0", "--yes"),
        ("DROP VIEW {s}.fence CASCADE", "there is no ledger"),
    ],
)
def test_a_ledger_that_proves_nothing_stops_everything(lake: Lake, damage: str, complaint: str) -> None:
    lake.sql(damage.format(s=lake.schema))
    done = lake.run("orphans", "--all-tables", "--all", code=3)
    assert complaint in done.stderr
    assert lake.words() == EVERYTHING | {readme(lake)}


def test_an_unreachable_warehouse_stops_everything(lake: Lake) -> None:
    lake.change("redshift", port=1)
    done = lake.run("orphans", "--all-tables", "--all", "--yes", code=3)
    assert "nothing was deleted" in done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert lake.words() == EVERYTHING | {readme(lake)}


def test_too_many_need_a_yes(lake: Lake) -> None:
    assert "--max-delete 2" in lake.run("orphans", "--all-tables", "--all", "--max-delete", "2", code=3).stderr
    assert lake.words() == EVERYTHING | {readme(lake)}
    lake.run("orphans", "--all-tables", "--all", "--max-delete", "2", "--yes", code=0)
    assert lake.words() == {"held", "newer", "live", readme(lake)}


def test_a_misspelt_table_exits_2_and_touches_nothing(lake: Lake) -> None:
    assert "did you mean shop.orders?" in lake.run("orphans", "-t", "shop.oders", "--all", code=2).stderr
    assert lake.words() == EVERYTHING | {readme(lake)}


@pytest.mark.parametrize("point", ["delete.after:1", *long("delete.before:1", "mark_deleted.before:1", "mark_deleted.after:1")])
def test_a_janitor_killed_anywhere_leaves_what_the_next_one_finishes(lake: Lake, point: str) -> None:
    lake.keep_for_a_moment()
    lake.run(code=-9, TIDEMARK_CRASH=f"janitor.{point}", TIDEMARK_TEST="1")
    assert {"epoch", "offset", "live", readme(lake)} <= lake.words()
    lake.run(code=0)
    assert lake.words() == {"epoch", "offset", "live", readme(lake)}
    assert lake.marked() == {"held", "newer"}


def test_a_snapshot_is_of_one_moment(lake: Lake) -> None:
    """A commit that lands between two of its statements is in none of them."""
    settings = load(str(lake.config), {}, uses=("redshift",)).redshift
    connection = redshift.connect(settings)

    class Between:
        """The connection, with a commit by a loader after the fence was read."""

        def __getattr__(self, name: str) -> Any:
            return getattr(connection, name)

        def cursor(self) -> Any:
            cursor: Any = connection.cursor()
            execute = cursor.execute

            def interrupted(sql: str, values: tuple[Any, ...] = ()) -> Any:
                done = execute(sql, values)
                if '"fence"' in sql:
                    lake.sql(f"UPDATE {lake.schema}.fence_0 SET commit_no = commit_no + 1")
                    lake.sql(f"UPDATE {lake.schema}.offsets_0 SET next_offset = 120")
                    lake.record(LIVE)
                return done

            cursor.execute = interrupted
            return cursor

    ledger = RedshiftLedger(Between, lake.schema)  # type: ignore[arg-type]  # stands for a Connection
    topic = f"{lake.name}.shop.orders"
    torn = ledger.snapshot(topic)
    assert (torn.offsets[0].next_offset, len(torn.batches)) == (100, 2)
    ledger.close()
    after = RedshiftLedger(lambda: redshift.connect(settings), lake.schema).snapshot(topic)
    assert (after.offsets[0].next_offset, len(after.batches)) == (120, 3)


def test_check_finds_bucket_deletes_and_ledger_in_order_and_changes_nothing(lake: Lake) -> None:
    assert [line.split()[0] for line in lake.run("check", code=0).stdout.splitlines()] == ["ok"] * 3
    lake.change("s3", bucket="no-such-bucket")
    done = lake.run("check", code=3)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["fault"] * 3
    assert "s3.bucket" in done.stdout
    assert lake.words() == EVERYTHING | {readme(lake)}
