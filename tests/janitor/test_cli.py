import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from janitor import cli
from janitor.service import Janitor
from tests.janitor.builders import GUARD, NOW, TOPIC, FakeBucket, FakeLedger, attempt, committed, objects, snapshot, stored

HELD = attempt(90, 100, epoch=5, nonce="000000ff")
DEAD = attempt(90, 100, epoch=4, nonce="0000dead")
LIVE = attempt(100, 110, epoch=5, nonce="0000beef")


@pytest.fixture
def bucket() -> FakeBucket:
    made = FakeBucket()
    made.put(*objects(HELD, DEAD, LIVE), stored("readme.txt"))
    return made


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger({TOPIC: snapshot(committed(HELD))})


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: FakeBucket, ledger: FakeLedger) -> Path:
    """A settings file, and fakes where the command would connect."""
    config = tmp_path / "tidemark.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "pipeline": "shop",
                "mysql": {"host": "m", "user": "u", "password": "${NOT_FOR_THE_JANITOR}"},
                "kafka": {"bootstrap_servers": "k:1", "security_protocol": "SSL"},
                "s3": {"bucket": "bucket"},
                "redshift": {"host": "r", "database": "dev", "user": "u", "password": "p"},
                "tables": {"include": ["shop.*"]},
            }
        )
    )
    monkeypatch.setenv("TIDEMARK_CONFIG", str(config))

    @contextmanager
    def fakes(*_: object) -> Iterator[Janitor]:
        yield Janitor(bucket, ledger, GUARD)

    monkeypatch.setattr(cli, "_janitor", fakes)
    return config


def change(settings: Path, **sections: object) -> None:
    settings.write_text(yaml.safe_dump(yaml.safe_load(settings.read_text()) | sections))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["orphans"], "one of the arguments -t/--table --all-tables is required"),
        (["orphans", "-t", "orders", "--all"], "not database.table"),
        (["orphans", "-t", "shop.orders", "--all-tables"], "not allowed with"),
        (["orphans", "-t", "shop.orders", "--all", "--older-than", "1h"], "not allowed with"),
        (["orphans", "-t", "shop.orders", "--fence"], "--all or --older-than"),
        (["orphans", "-t", "shop.orders", "--all", "--max-delete", "-1"], "not a number"),
        (["clean", "-t", "shop.orders"], "say what"),
        (["clean", "-t", "shop.orders", "--older-than", "soon"], "write 90s, 15m, 1h or 7d"),
        (["list", "-t", "shop.orders", "--state", "lost"], "invalid choice"),
        (["list", "-t", "shop.orders", "--session", "2025-08-14"], "20250814_15"),
        (["list", "-t", "shop.orders", "--yes"], "unrecognized"),
        (["--yes", "list", "-t", "shop.orders"], "--yes is for janitor without a verb"),
        (["--dry-run", "check"], "--dry-run is for janitor without a verb"),
        (["sweep"], "invalid choice"),
        (["--older-than=1h"], "unrecognized"),
    ],
)
def test_wrong_usage_exits_2_with_the_reason(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str], bucket: FakeBucket
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err
    assert bucket.effects == []


@pytest.mark.parametrize(
    ("arguments", "code", "deleted"),
    [
        ("orphans -t shop.orders", 4, 0),
        ("orphans --all-tables", 4, 0),
        ("orphans -t shop.orders --all --dry-run", 4, 0),
        ("--dry-run orphans -t shop.orders --all", 4, 0),
        ("orphans -t shop.orders --older-than 1h", 0, 2),
        ("orphans -t shop.orders --older-than 3h", 0, 0),
        ("orphans -t shop.orders --older-than 3h --dry-run", 0, 0),
        ("orphans -t shop.orders --all --max-delete 1", 3, 0),
        ("orphans -t shop.orders --all --max-delete 1 --yes", 0, 2),
        ("--yes orphans -t shop.orders --all --max-delete 1", 0, 2),
        ("orphans -t shop.orders --all --fence", 0, 4),
        ("orphans -t shop.oders --all", 2, 0),
        ("list -t shop.orders", 0, 0),
        ("clean -t shop.orders --older-than 1h --dry-run", 4, 0),
        ("clean -t shop.orders --older-than 1h", 0, 2),
        ("clean -t shop.orders --pattern nothing*", 0, 0),
        ("check", 0, 0),
        ("--dry-run", 4, 0),
        ("", 0, 2),
    ],
)
def test_exit_codes_and_what_goes(arguments: str, code: int, deleted: int, bucket: FakeBucket) -> None:
    assert cli.main(arguments.split()) == code
    assert len(bucket.deleted) == deleted


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("orphans -t shop.orders --all --fence --max-delete 1", 3),
        ("orphans -t shop.orders --older-than 3h --fence", 0),
        ("orphans -t shop.orders --all --fence --dry-run", 4),
    ],
)
def test_no_loader_starts_over_for_what_is_not_deleted_then(arguments: str, code: int, bucket: FakeBucket, ledger: FakeLedger) -> None:
    assert cli.main(arguments.split()) == code
    assert (bucket.deleted, [effect for effect in ledger.effects if effect.startswith("bump")]) == ([], [])


def test_an_attempt_committed_before_the_fence_came_is_not_among_what_goes(
    bucket: FakeBucket, ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    bump = ledger.bump_epoch

    def late(shard: int, above: int = 0) -> int:
        ledger.snapshots[TOPIC] = snapshot(committed(HELD), committed(LIVE), next_offset=110)
        return bump(shard, above)

    monkeypatch.setattr(ledger, "bump_epoch", late)
    assert cli.main(["orphans", "-t", "shop.orders", "--all", "--fence"]) == 0
    assert set(bucket.deleted) == {DEAD.data, DEAD.manifest}


def test_stdout_is_the_objects_alone_and_the_rest_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["orphans", "-t", "shop.orders", "--json"])
    out, err = capsys.readouterr()
    assert [json.loads(line)["keys"] for line in out.splitlines()] == [[DEAD.manifest, DEAD.data]]
    assert err == "1 orphan, 200 B; nothing was deleted; --older-than 1h or --all deletes\n"


def test_what_a_sweep_would_take_is_all_that_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--dry-run", "--json"]) == 4
    out, err = capsys.readouterr()
    assert [json.loads(line)["keys"] for line in out.splitlines()] == [[DEAD.manifest, DEAD.data]]
    assert json.loads(err)["event"] == "sweep.planned"


@pytest.mark.parametrize("arguments", ["--dry-run", ""])
def test_a_sweep_that_was_stopped_has_not_found_nothing(
    arguments: str, bucket: FakeBucket, ledger: FakeLedger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def stopped(*_: object) -> Iterator[Janitor]:
        yield Janitor(bucket, ledger, GUARD, lambda: True)

    monkeypatch.setattr(cli, "_janitor", stopped)
    assert cli.main(arguments.split()) == 1
    out, err = capsys.readouterr()
    assert json.loads(err if arguments else out)["event"] == "sweep.stopped"


@pytest.mark.parametrize("arguments", ["check --json", "--json check"])
def test_check_tells_an_object_a_line(arguments: str, ledger: FakeLedger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.unreachable = True
    assert cli.main(arguments.split()) == 3
    *works, fault = map(json.loads, capsys.readouterr().out.splitlines())
    assert works[0] == {"check": "listing the bucket", "ok": True, "message": ""}
    assert (len(works), fault["check"], fault["ok"]) == (3, "reading the ledger", False)
    assert "connection refused" in fault["message"]


def test_clean_leaves_what_is_kept_still_and_says_so(bucket: FakeBucket, capsys: pytest.CaptureFixture[str], settings: Path) -> None:
    assert cli.main(["clean", "-t", "shop.orders", "--pattern", "*"]) == 0
    assert set(bucket.deleted) == {DEAD.data, DEAD.manifest}
    assert "left 1 committed batch that keep_committed_seconds" in capsys.readouterr().err
    change(settings, tables={"include": ["shop.*"], "override": {"shop.orders": {"keep_committed_seconds": "1h"}}})
    assert cli.main(["clean", "-t", "shop.orders", "--pattern", "*"]) == 0
    assert set(bucket.deleted) == {DEAD.data, DEAD.manifest, HELD.data, HELD.manifest}
    assert capsys.readouterr().err == "deleted 1 batch, 200 B\n"


def test_0_keeps_committed_batches_for_ever(bucket: FakeBucket, capsys: pytest.CaptureFixture[str], settings: Path) -> None:
    change(settings, s3={"bucket": "bucket", "keep_committed_seconds": 0})
    bucket.put(*objects(HELD, age=timedelta(days=800)))
    assert cli.main(["clean", "-t", "shop.orders", "--older-than", "7d"]) == 0
    assert cli.main([]) == 0
    assert set(bucket.deleted) == {DEAD.data, DEAD.manifest}


def test_a_sweep_leaves_its_figures_in_a_file(settings: Path, tmp_path: Path, ledger: FakeLedger) -> None:
    textfile = tmp_path / "tidemark.prom"
    change(settings, janitor={"metrics_textfile": str(textfile)})
    assert cli.main(["--dry-run"]) == 4
    assert not textfile.exists()
    assert cli.main([]) == 0
    told = textfile.read_text()
    assert 'tidemark_janitor_last_sweep_succeeded{pipeline="shop"} 1.0' in told
    assert 'tidemark_janitor_deleted_attempts{pipeline="shop",state="orphan"} 1.0' in told
    assert 'tidemark_janitor_objects{pipeline="shop",state="foreign"} 1.0' in told
    assert 'tidemark_janitor_size_bytes{pipeline="shop",state="in-flight"} 200.0' in told
    ledger.unreachable = True
    assert cli.main([]) == 3
    told = textfile.read_text()
    assert 'tidemark_janitor_last_sweep_succeeded{pipeline="shop"} 0.0' in told
    # Nothing is old or gone that an alert could go by but the figure of success.
    assert 'tidemark_janitor_last_sweep_timestamp_seconds{pipeline="shop"}' in told
    assert "deleted" not in told
    assert "objects{" not in told


def test_figures_that_can_not_be_left_are_told_and_exit_1(
    settings: Path, tmp_path: Path, ledger: FakeLedger, bucket: FakeBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    change(settings, janitor={"metrics_textfile": str(tmp_path / "nowhere" / "t.prom"), "pushgateway_url": "http://127.0.0.1:1"})
    assert cli.main([]) == 1
    assert len(bucket.deleted) == 2
    assert "janitor.metrics_textfile" in capsys.readouterr().err
    for url in ("http://127.0.0.1:1", "http://127.0.0.1:none"):
        change(settings, janitor={"pushgateway_url": url})
        assert cli.main([]) == 1
        assert f"janitor.pushgateway_url {url}" in capsys.readouterr().err
    ledger.unreachable = True
    assert cli.main([]) == 3


def test_a_sweep_pushes_its_figures(settings: Path) -> None:
    pushed: list[tuple[str, str]] = []

    class Gateway(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            pushed.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        change(settings, janitor={"pushgateway_url": f"http://127.0.0.1:{server.server_port}"})
        assert cli.main([]) == 0
        server.shutdown()
    ((path, body),) = pushed
    assert path == "/metrics/job/tidemark_janitor/pipeline/shop"
    assert 'tidemark_janitor_deleted_size_bytes{pipeline="shop",state="orphan"} 200.0' in body


def test_what_could_not_be_deleted_is_told_and_exits_1(
    bucket: FakeBucket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "delete", lambda stored: False)
    assert cli.main(["orphans", "-t", "shop.orders", "--all"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "left 1 of 1" in err


def test_a_sweep_is_one_log_line(capsys: pytest.CaptureFixture[str], bucket: FakeBucket) -> None:
    bucket.put(*objects(attempt(0, epoch=1), age=timedelta(minutes=5)))
    cli.main([])
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told["event"] == "sweep.done"
    assert (told["tables"], told["orphans"], told["orphans_size_bytes"], told["expired"]) == (1, 1, 200, 0)
    assert (told["objects_in_flight"], told["objects_foreign"], told["keep_committed"]) == (2, 1, "7d")


def test_at_level_debug_a_sweep_names_each_attempt_it_deleted(capsys: pytest.CaptureFixture[str], settings: Path) -> None:
    change(settings, logs={"level": "debug"})
    cli.main([])
    gone, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert (gone["event"], gone["state"], gone["key"], gone["size_bytes"]) == ("attempt.deleted", "orphan", DEAD.stem, 200)
    assert "below the fence's" in gone["proof"]


def test_check_names_each_fault_and_goes_on(ledger: FakeLedger, capsys: pytest.CaptureFixture[str], bucket: FakeBucket) -> None:
    ledger.unreachable = True
    bucket.uploads = [(HELD.data, NOW - timedelta(days=400))]
    before, begun = dict(bucket.objects), list(bucket.uploads)
    assert cli.main(["check"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "ok", "ok", "fault"]
    assert "connection refused" in lines[3]
    assert (bucket.objects, bucket.uploads) == (before, begun)


def test_without_the_warehouse_the_exit_code_is_3(ledger: FakeLedger, bucket: FakeBucket, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.unreachable = True
    assert cli.main(["orphans", "--all-tables", "--all", "--yes"]) == 3
    assert "nothing was deleted" in capsys.readouterr().err
    assert bucket.deleted == []
