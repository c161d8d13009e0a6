"""A warehouse that is paused, resized or patched: the loader waits, alive and small, and goes on by itself when it is back."""

import os
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.pipeline import Pipeline, Service, wait_until
from devstack.ports import free_port
from devstack.redshift.faults import FaultRules
from devstack.stack import Stack
from tests.stack.scenario import assert_equal, assert_ledger_tiles, beside, events, shop_pipeline, traffic, wait_for_commits

pytestmark = pytest.mark.stack

SHORT_S = 8
LONG_S = int(os.environ.get("TIDEMARK_PAUSE_SECONDS", "60"))
"""600 for the ten minutes of a resize."""

MEMORY_MIB_MAX = 64
RSS_MIB_MAX = MEMORY_MIB_MAX + 250
"""The libraries alone take some 200 MiB."""


class Look:
    """What an orchestrator and an operator see of the loader, taken twice a second by a thread."""

    def __init__(self, loader: Service, port: int) -> None:
        self._loader = loader
        self._health = f"http://127.0.0.1:{port}/healthz"
        self.unwell: list[str] = []
        self.rss_mib: list[int] = []

    def take(self) -> None:
        try:
            with urllib.request.urlopen(self._health, timeout=5):
                pass  # anything but 200 raises
        except OSError as error:
            self.unwell.append(str(error))
        status = Path(f"/proc/{self._loader.process.pid}/status").read_text()
        if found := re.search(r"VmRSS:\s+(\d+) kB", status):  # none of a process that has ended
            self.rss_mib.append(int(found[1]) // 1024)


def start_loader(pipeline: Pipeline, directory: Path) -> tuple[Service, int]:
    """A loader that serves /healthz, with the port."""
    port = free_port()
    path = directory / "loader.yaml"
    path.write_text(yaml.safe_dump({**pipeline.config(), "metrics": {"listen": f"127.0.0.1:{port}"}}))
    return pipeline.start("loader", "--config", str(path)), port


@contextmanager
def stopped(stack: Stack) -> Iterator[None]:
    """Nobody listens: a paused cluster."""
    stack.redshift.stop()
    try:
        yield
    finally:
        stack.redshift.start()


@contextmanager
def refusing(stack: Stack) -> Iterator[None]:
    """Sessions are cut at their next statement, new ones turned away: a cluster that is patched."""
    rules = FaultRules(stack.redshift.faults_path)
    rules.add("error_1023", kind="connect", times=0)
    rules.add("drop_before", statement=".", times=0)
    try:
        yield
    finally:
        rules.clear()


@contextmanager
def dropping(stack: Stack) -> Iterator[None]:
    """Every session is let in and cut at its first statement: a cluster that is coming up."""
    rules = FaultRules(stack.redshift.faults_path)
    rules.add("drop_before", statement=".", times=0)
    try:
        yield
    finally:
        rules.clear()


def gaps_s(loader: Service, since: str) -> list[float]:
    """Between the loader's tries, as its log tells."""
    said = [event["at"] for event in events([loader], "commit.retried", "shard.restarted") if event["at"] > since]
    times = [datetime.fromisoformat(at) for at in sorted(said)]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(times)]


Away = Callable[[Stack], AbstractContextManager[None]]


@pytest.mark.timeout(LONG_S + 300)
@pytest.mark.parametrize(
    ("away", "pause_s"),
    [
        pytest.param(stopped, SHORT_S, marks=pytest.mark.long),
        pytest.param(refusing, SHORT_S, marks=pytest.mark.long),
        pytest.param(dropping, SHORT_S, marks=pytest.mark.long),
        pytest.param(stopped, LONG_S, marks=pytest.mark.long),
    ],
)
def test_the_loader_outlives_a_pause_of_the_warehouse(stack: Stack, tmp_path: Path, away: Away, pause_s: int) -> None:
    name = f"pause_{away.__name__}_{pause_s}"
    settings: dict[str, Any] = {"memory_bytes_max": f"{MEMORY_MIB_MAX}MiB", "batch": {"seconds": 0.3, "bytes": "16MiB"}}
    with shop_pipeline(stack, tmp_path, name, **settings) as (pipeline, shop):
        pipeline.start("streamer")
        loader, port = start_loader(pipeline, tmp_path)
        look = Look(loader, port)
        with traffic(shop, pause_s=0.01):
            with stack.redshift.connect(ssl=False) as warehouse:
                warehouse.autocommit = True
                wait_for_commits(warehouse, pipeline, 10)
            began = commits(loader)[-1]["at"]
            look.take()
            with beside(look.take, 0.5):
                with away(stack):
                    time.sleep(pause_s)
                    assert loader.running(), loader.tail()
                    paused, done = len(look.rss_mib), len(commits(loader))
                back = time.monotonic()
                wait_until(lambda: len(commits(loader)) > done, 60, "the loader does not go on")
                first_s = time.monotonic() - back
        gaps = gaps_s(loader, began)
        print(f"{away.__name__} for {pause_s} s: {len(gaps) + 1} tries, between them {[round(gap, 1) for gap in gaps]} s")
        before, during, after = look.rss_mib[0], max(look.rss_mib[:paused]), max(look.rss_mib)
        print(f"first commit {first_s:.1f} s after it answered; RSS {before} MiB before, {during} in the pause, {after} afterwards")
        assert look.unwell == []
        assert after < RSS_MIB_MAX
        assert len(gaps) < 16 + pause_s / 10
        assert max(gaps) > 2 * min(gaps)
        assert assert_equal(pipeline, timeout_s=120) > 100
        with stack.redshift.connect(ssl=False) as warehouse:
            assert_ledger_tiles(warehouse, pipeline)


def commits(loader: Service) -> list[dict[str, Any]]:
    return events([loader], "shard.committed")
