"""The janitor's commands as a person runs them, on an S3 server and the warehouse stand-in; batches and ledger are written by hand."""

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.batch import BatchKey
from contracts.offsets import OffsetRange
from janitor.edges.redshift import RedshiftLedger
from runtime.connect import redshift
from runtime.settings import load
from tests.marks import long
from tests.stack.lake import BUCKET, EVERYTHING, LIVE, NONCES, SESSION, Lake, readme
from tests.stack.throttle import throttled

pytestmark = pytest.mark.stack


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
    ageless = [re.sub(r" +\S+  session", "  session", text) for text in (shown.replace("orphan   ", "deleted  "), deleted)]
    assert ageless[0] == ageless[1]


@pytest.mark.long
def test_young_orphans_wait_for_their_age(lake: Lake) -> None:
    lake.run("orphans", "--all-tables", "--older-than", "1h", code=0)
    assert lake.words() == EVERYTHING | {readme(lake)}


@pytest.mark.long
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


def test_a_list_goes_through_a_pipe(lake: Lake) -> None:
    by_hour = lake.pipe("list -t shop.orders", "grep 20250814_15 | grep -c in-flight")
    assert (by_hour.returncode, by_hour.stdout, by_hour.stderr) == (0, "2\n", "9 objects of 5 attempts, 36 B\n")
    assert lake.pipe("list -t shop.orders", "grep -c 20250814_16").stdout == "0\n"
    proofs = lake.pipe("orphans -t shop.orders --json", f"{sys.executable} -c 'import sys, json; [json.loads(line) for line in sys.stdin]'")
    assert (proofs.returncode, proofs.stderr.count("orphan")) == (4, 1)
    cut = lake.pipe("list -t shop.orders", "true")
    assert (cut.returncode, cut.stderr) == (1, "9 objects of 5 attempts, 36 B\n")


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


def test_clean_by_age_takes_what_is_older_and_nothing_younger(lake: Lake) -> None:
    lake.keep_for_a_moment()
    assert lake.run("clean", "-t", "shop.orders", "--older-than", "1h", code=0).stderr == "deleted 0 batches, 0 B\n"
    assert lake.words() == EVERYTHING | {readme(lake)}
    done = lake.run("clean", "-t", "shop.orders", "--older-than", "1s", code=0)
    assert done.stderr == "deleted 4 batches, 28 B\n"
    assert lake.words() == {"live", readme(lake)}
    assert lake.marked() == {"held", "newer"}


@pytest.mark.long
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


def test_a_sweep_two_hours_later_as_the_cron_job_runs_it(lake: Lake, tmp_path: Path) -> None:
    """Orphans go without anybody's word, uploads nobody finished too; a table's own retention goes before the bucket's."""
    client = lake.servers.s3.client()
    fresh = BatchKey(f"{lake.name}.shop.fresh", 0, SESSION, 1, OffsetRange(0, 9), 1, "0000000a")
    for name in (lake.key(LIVE).data, fresh.data, f"{lake.name}.shop.orders/notes.txt"):
        client.create_multipart_upload(Bucket=BUCKET, Key=f"lake-{lake.name}/{name}")  # long ago: the server dates all of them 2010
    textfile = tmp_path / "janitor.prom"
    lake.change(None, janitor={"metrics_textfile": str(textfile)})
    lake.change("tables", override={"shop.orders": {"keep_committed_seconds": "90m"}})
    with throttled(lake.servers.s3.endpoint_url) as s3:
        lake.change("s3", endpoint_url=s3.url)
        s3.ahead = timedelta(minutes=59)
        young = orjson.loads(lake.run(code=0).stdout)
        assert (young["orphans"], young["expired"], young["uploads_aborted"]) == (0, 0, 2)
        assert lake.words() == EVERYTHING | {readme(lake)}
        s3.ahead = timedelta(hours=2)
        assert len(lake.run("--dry-run", code=4).stdout.splitlines()) == 4
        swept = orjson.loads(lake.run(code=0).stdout)
    assert (swept["event"], swept["tables"], swept["orphans"], swept["expired"], swept["uploads_aborted"]) == ("sweep.done", 1, 2, 2, 0)
    assert lake.words() == {"live", readme(lake)}
    assert lake.marked() == {"held", "newer"}
    (left,) = client.list_multipart_uploads(Bucket=BUCKET, Prefix=f"lake-{lake.name}/")["Uploads"]
    assert left["Key"].endswith("notes.txt")
    told = textfile.read_text()
    assert f'tidemark_janitor_deleted_attempts{{pipeline="{lake.name}",state="orphan"}} 2.0' in told
    assert f'tidemark_janitor_last_sweep_succeeded{{pipeline="{lake.name}"}} 1.0' in told


def test_a_sweep_beside_an_emptied_ledger_is_refused_until_a_person_says_it_is_right(lake: Lake) -> None:
    lake.sql(f"DELETE FROM {lake.schema}.ledger_0")
    with throttled(lake.servers.s3.endpoint_url) as s3:
        lake.change("s3", endpoint_url=s3.url)
        s3.ahead = timedelta(hours=2)
        assert "the ledger is empty" in lake.run(code=3).stderr
        assert lake.words() == EVERYTHING | {readme(lake)}
        lake.run("--yes", code=0)
    assert lake.words() == {"live", readme(lake)}


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
    torn = ledger.snapshot(topic, 0)
    assert (torn.offsets[0].next_offset, len(torn.batches)) == (100, 2)
    ledger.close()
    after = RedshiftLedger(lambda: redshift.connect(settings), lake.schema).snapshot(topic, 0)
    assert (after.offsets[0].next_offset, len(after.batches)) == (120, 3)


def test_check_finds_bucket_deletes_and_ledger_in_order_and_changes_nothing(lake: Lake) -> None:
    assert [line.split()[0] for line in lake.run("check", code=0).stdout.splitlines()] == ["ok"] * 4
    lake.change("s3", bucket="no-such-bucket")
    done = lake.run("check", code=3)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["fault"] * 4
    assert "s3.bucket" in done.stdout
    assert lake.words() == EVERYTHING | {readme(lake)}
