"""Each fault says whether it hit: who armed a trap or a rule that nobody ran into has proven nothing."""

import random
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from devstack.pipeline import Service
from devstack.redshift.batch import Batch
from devstack.redshift.faults import Action, FaultInjector, FaultRules
from devstack.redshift.journal import JournalWriter
from tests.chaos import faults
from tests.chaos.faults import crash, crash_janitor, refused, reset, stalled, swept, trapped, zombie
from tests.chaos.proxy import Proxy, Trap
from tests.chaos.world import World

CHANCE = random.Random(1)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_TAKES_OVER_S", "_STRIKES_S", "_LIVES_S", "SWEEP_MAX_S"):
        monkeypatch.setattr(faults, name, 0.1)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Service]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield Service("loader", process, tmp_path / "log")
        process.kill()


@pytest.mark.parametrize("trapped_in_all", [0, 1])
def test_a_trap_hits_when_it_springs(trapped_in_all: int) -> None:
    proxy = MagicMock(Proxy, trapped=0)
    proxy.trap.side_effect = lambda trap: setattr(proxy, "trapped", trapped_in_all)
    assert trapped("s3", Trap(b"PUT /"), times=2)(MagicMock(World, proxies={"s3": proxy}), CHANCE) is bool(trapped_in_all)
    proxy.disarm.assert_called_once()


@pytest.mark.parametrize("met", ["COMMIT", "SELECT 1"])
def test_a_rule_hits_when_the_warehouse_enters_a_statement_that_met_it(tmp_path: Path, met: str) -> None:
    journal, rules = JournalWriter(tmp_path / "journal"), FaultRules(tmp_path / "faults")
    server = FaultInjector(tmp_path / "faults")
    world = MagicMock(World, journal=tmp_path / "journal", rules=MagicMock(FaultRules))

    def run(sql: str) -> None:
        batch = Batch(pid=1)
        batch.note("commit", sql, 0, rule=server.strike("commit", sql))
        journal.write(batch.entries[-1])

    rules.add("drop_after", statement="^COMMIT")
    run("COMMIT")  # of an earlier cycle
    rules.clear()

    def add(action: Action, *, statement: str, seconds: float) -> None:
        rules.add(action, statement=statement, seconds=seconds)
        run(met)

    world.rules.add.side_effect = add
    assert refused("drop_after", "^COMMIT")(world, CHANCE) is (met == "COMMIT")


def test_a_reset_hits_when_there_was_a_connection() -> None:
    assert not reset("s3")(MagicMock(World, proxies={"s3": MagicMock(Proxy, reset=lambda: 0)}), CHANCE)
    assert reset("s3")(MagicMock(World, proxies={"s3": MagicMock(Proxy, reset=lambda: 2)}), CHANCE)


def test_a_stall_hits_when_it_holds_something_back() -> None:
    assert not stalled("s3")(MagicMock(World, proxies={"s3": MagicMock(Proxy, held=4)}), CHANCE)


def test_a_zombie_hits_once_another_has_its_shard_and_is_woken_either_way(sleeper: Service) -> None:
    def world(owner: str) -> MagicMock:
        return MagicMock(World, services={"loader": sleeper, "loader-2": MagicMock(Service)}, owner=lambda: owner)

    assert zombie(world("loader-2"), CHANCE)
    assert not zombie(world("loader"), CHANCE)
    state = Path(f"/proc/{sleeper.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert state == "S"


def test_a_crash_point_hits_when_the_process_dies_there(sleeper: Service) -> None:
    world = MagicMock(World, crashes={"loader.put.before": 0}, not_reached={"loader.put.before": 0}, restart=lambda *_, **__: sleeper)
    assert not crash("loader.put.before")(world, CHANCE)
    sleeper.process.returncode = -signal.SIGKILL
    assert crash("loader.put.before")(world, CHANCE)
    assert (world.crashes, world.not_reached) == ({"loader.put.before": 1}, {"loader.put.before": 1})


@pytest.mark.parametrize(("deleted", "hits"), [([0, 1], True), ([1, 0], False)])
def test_a_janitor_hits_when_it_deletes_what_a_loader_was_made_to_leave(sleeper: Service, deleted: list[int], hits: bool) -> None:
    sleeper.process.returncode = -signal.SIGKILL
    world = MagicMock(World, restart=lambda *_, **__: sleeper)
    world.epoch.side_effect, world.sweep.side_effect = [4, 5], deleted
    assert swept(world, CHANCE) is hits


@pytest.mark.parametrize("code", [1, 3])
def test_a_janitor_that_fails_or_is_refused_ends_the_campaign(code: int) -> None:
    world = MagicMock(World, pipeline=MagicMock(), orphans_deleted=0)
    world.pipeline.run.return_value = subprocess.CompletedProcess([], code, "", "Refused: why")
    with pytest.raises(AssertionError, match="Refused: why"):
        World.sweep(world)
    world.pipeline.run.return_value = subprocess.CompletedProcess([], 0, "{}\n{}\n", "")
    assert (World.sweep(world), world.orphans_deleted) == (2, 2)


@pytest.mark.parametrize("died", [True, False])
def test_a_janitor_that_is_to_die_is_followed_by_one_that_lives(sleeper: Service, died: bool) -> None:
    janitor = MagicMock(Service)
    janitor.wait.side_effect = (lambda seconds: -signal.SIGKILL) if died else subprocess.TimeoutExpired("janitor", 0)
    sleeper.process.returncode = -signal.SIGKILL
    world = MagicMock(World, crashes=Counter(), not_reached=Counter(), pipeline=MagicMock(), restart=lambda *_, **__: sleeper)
    world.epoch.side_effect, world.pipeline.start.return_value = [4, 5], janitor
    assert crash_janitor("janitor.delete.after")(world, CHANCE) is died
    assert (world.crashes, world.not_reached) == (Counter({"janitor.delete.after": died}), Counter({"janitor.delete.after": not died}))
    world.sweep.assert_called_once()


def test_a_streamer_that_is_to_die_when_it_loses_its_source_loses_it(sleeper: Service) -> None:
    sleeper.log.write_text('{"event":"stream.started"}\n')
    proxy = MagicMock(Proxy)
    world = MagicMock(World, crashes=Counter(), not_reached=Counter(), proxies={"mysql": proxy}, restart=lambda *_, **__: sleeper)
    assert not crash("streamer.abort.before")(world, CHANCE)
    proxy.reset.assert_called_once()
