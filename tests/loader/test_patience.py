"""A warehouse that is paused when a command of the loader starts: the loader waits for it, whoever stands before a terminal is told."""

import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml
from structlog.testing import capture_logs

from contracts.errors import Invalid, PipelineError, Refused, Unavailable
from devstack.ports import free_port
from loader import cli, mending, wiring
from loader.committer import PAUSE_MAX
from loader.wiring import patiently
from runtime import lifecycle
from runtime.lifecycle import Stop
from tests.loader.actors import Journal, Time

PAUSED = Unavailable("Redshift at r:5439: connection refused", code="paused", tries="its own")


def waited(journal: Journal, stop: Stop, clock: Time) -> None:
    patiently(lambda: journal.note("prepare"), stop, clock, lambda: 0.0, lambda: journal.note("beat"))


def test_a_paused_warehouse_is_tried_with_the_pauses_of_the_loop_and_a_beat_before_each_try() -> None:
    journal, clock = Journal(), Time()
    journal.fail("prepare", *[PAUSED] * 9)
    with capture_logs() as logged:
        waited(journal, Stop(), clock)
    assert journal.effects == ["beat", "prepare"] * 10
    assert [pause.total_seconds() for pause in clock.slept] == [0.25, 0.5, 1, 2, 4, 8, 16, 20, 20]
    assert clock.slept[-1] == PAUSE_MAX
    assert [(line["event"], line["tries"]) for line in logged] == [("warehouse.awaited", number) for number in range(1, 10)]
    assert logged[0]["message"] == PAUSED.message


def test_asked_to_stop_it_waits_no_longer() -> None:
    class Stopping(Time):
        def sleep(self, pause: timedelta) -> None:
            stop.request()

    journal, stop = Journal(), Stop()
    journal.fail("prepare", *[PAUSED] * 9)
    waited(journal, stop, Stopping())
    assert journal.effects == ["beat", "prepare"]


@pytest.mark.parametrize("error", [Refused("another pipeline's"), Invalid("another number of shards")])
def test_what_waiting_does_not_mend_is_raised_at_once(error: PipelineError) -> None:
    journal, clock = Journal(), Time()
    journal.fail("prepare", PAUSED, error)
    with pytest.raises(type(error)):
        waited(journal, Stop(), clock)
    assert len(clock.slept) == 1


class Paused:
    """A warehouse none of whose questions is answered. `meanwhile`: at each try."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile = meanwhile

    def __getattr__(self, name: str) -> Callable[..., None]:
        def ask(*_: object) -> None:
            self.meanwhile()
            raise PAUSED

        return ask

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A loader's settings, of servers that are not there; where it answers for its metrics."""
    port = free_port()
    config = tmp_path / "tidemark.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "pipeline": "shop",
                "mysql": {"host": "m", "user": "u", "password": "p"},
                "kafka": {"bootstrap_servers": "127.0.0.1:1", "allow_plaintext": True},
                "s3": {
                    "bucket": "bucket",
                    "endpoint_url": "http://127.0.0.1:1",
                    "region": "x",
                    "access_key_id": "a",
                    "secret_access_key": "b",
                },
                "redshift": {"host": "r", "database": "dev", "user": "u", "password": "p"},
                "tables": {"include": ["shop.*"]},
                "metrics": {"listen": f"127.0.0.1:{port}"},
            }
        )
    )
    monkeypatch.setenv("TIDEMARK_CONFIG", str(config))
    monkeypatch.setattr("runtime.connect.kafka.require_brokers", lambda _: None)
    monkeypatch.setattr(wiring, "check_s3", lambda _: "")
    return port


def pause(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None] = lambda: None) -> None:
    for module in (wiring, cli, mending):
        monkeypatch.setattr(module, "open_warehouse", lambda *_: Paused(meanwhile))


def test_the_loader_answers_for_its_metrics_and_its_health_while_it_waits(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def look() -> None:
        seen.append([urlopen(f"http://127.0.0.1:{port}/{path}").status for path in ("metrics", "healthz")])
        if len(seen) == 2:
            raise Refused("this is another pipeline's")

    pause(monkeypatch, look)
    monkeypatch.setenv("TIDEMARK__METRICS__HALT_LINGER_SECONDS", "0")
    assert cli.main([]) == 3
    assert seen == [[200, 200]] * 2


def test_a_loader_is_ready_once_it_is_at_work(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Taking:
        at_work = False

        def step(self, _: timedelta) -> None:
            try:
                seen.append(urlopen(f"http://127.0.0.1:{port}/readyz").status)
            except HTTPError as error:
                with error:
                    seen.append(error.code)
            self.at_work = len(seen) == 2
            if len(seen) == 4:
                raise Refused("enough")

    monkeypatch.setattr(cli, "build", lambda *_, **__: nullcontext(Taking()))
    monkeypatch.setenv("TIDEMARK__METRICS__HALT_LINGER_SECONDS", "0")
    assert cli.main([]) == 3
    assert seen == [503, 503, 200, 503]


def test_a_loader_that_waits_ends_when_it_is_asked_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def ask_to_stop() -> None:
        tries.append(1)
        os.kill(os.getpid(), signal.SIGTERM)

    pause(monkeypatch, ask_to_stop)
    monkeypatch.setattr(lifecycle, "STOP_PATIENCE_SECONDS", 3600.0)  # it would end the tests' own process
    assert cli.main([]) == 0
    assert tries == [1]


def test_a_name_for_the_group_is_refused_where_a_command_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--instance", "a", "sync", "-t", "shop.orders"])
    assert caught.value.code == 2
    assert "--instance is for loader without a verb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("sync -t shop.orders", 1),
        ("plan", 1),
        ("check", 2),
        ("status", 1),
        ("pause -t shop.orders", 1),
        ("adopt-topic -t shop.orders", 1),
        ("adopt-warehouse", 1),
    ],
)
def test_a_command_that_somebody_waits_for_says_so_and_ends(
    port: int, command: str, code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tries: list[str] = []
    pause(monkeypatch, lambda: tries.append(command))
    for module in (cli, mending):
        monkeypatch.setattr(module, "shard_of", lambda *_: 0)
    monkeypatch.setattr(cli, "_check_kafka", lambda _: "")
    monkeypatch.setattr(cli, "check_s3", lambda _: "")
    assert cli.main(command.split()) == code
    assert len(tries) == 1
    assert "connection refused" in "".join(capfd.readouterr())
