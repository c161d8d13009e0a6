"""The janitor beside a real loader that is interrupted, resumed, running or frozen, each as a person would type it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.pipeline import wait_until
from devstack.stack import Stack
from tests.stack.feed import put
from tests.stack.scenario import beside, bucket_stems, ledger_stems
from tests.stack.test_loader import EVENTS, ORDERS, Scene, staged

pytestmark = [pytest.mark.stack, pytest.mark.long]

BATCHES = 50


def janitor(scene: Scene, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = scene.pipeline.run("janitor", *arguments)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done


def stored(scene: Scene) -> set[str]:
    """Attempts the bucket holds objects of."""
    return bucket_stems(scene.stack, scene.pipeline)


def committed(scene: Scene) -> set[str]:
    return ledger_stems(scene.warehouse, scene.pipeline)


@pytest.fixture
def interrupted(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A loader killed after fifty batches, with the objects of the next one in the bucket; more rows are waiting."""
    with staged(stack, tmp_path, request.node.name, batch={"rows": 1, "seconds": 0.05}) as scene:

        def write() -> None:
            scene.feed.transaction(put(ORDERS, id=scene.feed.n, note="a"))

        with beside(write, 0.05):
            assert scene.loader(crash=f"loader.stage.before:{BATCHES + 1}").wait(180) == -signal.SIGKILL
        for _ in range(20):
            write()
        assert len(committed(scene)) == BATCHES
        assert len(stored(scene) - committed(scene)) == 1
        yield scene


def assert_whole(scene: Scene) -> None:
    assert sorted(scene.orders()) == list(range(scene.feed.seqs[scene.feed.topics.rows(ORDERS.table)]))
    scene.assert_ledger_tiles()


def resume(scene: Scene) -> None:
    done = scene.command("sync", "--table", "shop.orders")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_interrupted_after_50_batches_then_resumed_then_cleaned(interrupted: Scene) -> None:
    (left,) = stored(interrupted) - committed(interrupted)
    next_offset = interrupted.query(f"SELECT next_offset FROM {interrupted.schema}.offsets")[0][0]
    assert janitor(interrupted, "orphans", "-t", "shop.orders").stdout == ""  # nobody has taken over: it could be committed still
    resume(interrupted)
    assert_whole(interrupted)
    seen = janitor(interrupted, "orphans", "-t", "shop.orders", code=4)
    (line,) = seen.stdout.splitlines()
    assert f"  batch {BATCHES + 1}  offsets {next_offset} to " in line
    assert f"  {left} (manifest and parquet)  " in line
    assert line.endswith("epoch 1 is below the fence's 2")
    assert seen.stderr.startswith("1 orphan, ")
    janitor(interrupted, "orphans", "-t", "shop.orders", "--all")
    assert stored(interrupted) == committed(interrupted)
    assert janitor(interrupted, "orphans", "-t", "shop.orders").stdout == ""


def test_interrupted_then_cleaned_then_resumed(interrupted: Scene) -> None:
    done = janitor(interrupted, "orphans", "-t", "shop.orders", "--all", "--fence")
    assert "fenced shard 0" in done.stderr
    assert stored(interrupted) == committed(interrupted)
    resume(interrupted)
    assert_whole(interrupted)
    assert stored(interrupted) == committed(interrupted)


def test_interrupted_then_resumed_and_never_cleaned(interrupted: Scene) -> None:
    """COPY reads by manifest: what nobody removes costs its storage and nothing else."""
    resume(interrupted)
    interrupted.feed.transaction(put(ORDERS, id=interrupted.feed.n, note="later"))
    resume(interrupted)
    assert_whole(interrupted)
    assert len(stored(interrupted) - committed(interrupted)) == 1


def test_cleaning_all_the_while_a_loader_runs_takes_nothing_it_commits(stack: Stack, tmp_path: Path) -> None:
    """Its newest attempt is never provable, and what was committed is in the ledger; two loaders die, so that there are orphans."""
    with staged(stack, tmp_path, "cleaning beside a loader", batch={"rows": 1, "seconds": 0.05}) as scene:
        cleaned: list[str] = []

        def clean() -> None:
            cleaned.extend(janitor(scene, "orphans", "--all-tables", "--all", "--yes").stdout.splitlines())
            janitor(scene, "--yes")

        def write() -> None:
            scene.feed.transaction(put(ORDERS, id=scene.feed.n, note="a"), put(EVENTS, id=scene.feed.n, what="once"))

        write()
        assert scene.command("sync", "--table", "shop.orders").returncode == 0  # without a ledger a janitor has nothing to go by
        with beside(clean, 0.05), beside(write, 0.1):
            for crash in ("loader.stage.before:8", "loader.commit.before:8"):
                assert scene.loader("--instance", "first", crash=crash).wait(120) == -signal.SIGKILL
            scene.loader("--instance", "first")
            wait_until(lambda: len(cleaned) >= 4, 120, "the janitor did not find the orphans of the two that died")
        scene.reaches(scene.feed.n)
        assert sorted(scene.orders()) == list(range(scene.feed.n))
        assert scene.query(f"SELECT id FROM {scene.pipeline.name}.events ORDER BY id") == [[number] for number in range(scene.feed.n)]
        scene.assert_ledger_tiles()
        janitor(scene, "orphans", "--all-tables", "--all", "--yes")
        assert stored(scene) == committed(scene)


def test_cleaning_what_a_loader_frozen_in_its_copy_is_about_to_commit(stack: Stack, tmp_path: Path) -> None:
    with staged(stack, tmp_path, "frozen in its copy") as scene:
        loader = scene.loader()
        scene.feed.transaction(put(ORDERS, id=1, note="a"))
        scene.reaches(1)
        scene.faults.add("delay", kind="copy", seconds=4)
        scene.feed.transaction(put(ORDERS, id=2, note="b"), put(EVENTS, id=1, what="once"))
        wait_until(lambda: len(stored(scene) - committed(scene)) == 2, 60, "no attempt was stored")
        time.sleep(0.5)
        os.kill(loader.process.pid, signal.SIGSTOP)
        try:
            assert janitor(scene, "orphans", "--all-tables").stdout == ""
            done = janitor(scene, "orphans", "--all-tables", "--all", "--fence", "--yes")
            assert done.stdout.count("deleted") == 2
            assert stored(scene) == committed(scene)
        finally:
            os.kill(loader.process.pid, signal.SIGCONT)
        scene.feed.transaction(put(ORDERS, id=3, note="c"))
        scene.reaches(3)
        assert scene.orders() == {1: "a", 2: "b", 3: "c"}
        assert scene.query(f"SELECT id FROM {scene.pipeline.name}.events") == [[1]]
        scene.assert_ledger_tiles()
