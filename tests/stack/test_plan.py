"""`loader plan`: what it shows is what the loader then sends, and it sends nothing itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.table import Column, Kind
from devstack.pipeline import BUCKET
from devstack.redshift.journal import read_journal
from devstack.stack import Stack
from tests.stack.feed import drop, put, table, truncated
from tests.stack.test_loader import EVENTS, ORDERS, Scene, staged

pytestmark = pytest.mark.stack

ITEMS = table("shop", "items", Column("what", Kind.VARCHAR, length=20, charset="utf8mb4"))


@pytest.fixture
def scene(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    # Long enough for all that was fed to be read into one batch, as a plan is.
    with staged(stack, tmp_path, request.node.name, batch={"seconds": 2}) as made:
        yield made


def objects(scene: Scene) -> set[str]:
    listed = scene.stack.s3.client().list_objects_v2(Bucket=BUCKET, Prefix=f"lake-{scene.pipeline.name}/")
    return {item["Key"] for item in listed.get("Contents", [])}


def planned(scene: Scene, *arguments: str) -> list[dict[str, Any]]:
    done = scene.command("plan", "--json", *arguments)
    assert done.returncode == 4, done.stderr
    return [orjson.loads(line) for line in done.stdout.splitlines()]


def spelled(scene: Scene, sql: str) -> str:
    """A statement without what differs between two attempts: times and nonces in a key."""
    return re.sub(r"\$\d+|%s", "?", re.sub(r"_\d{8}_\d{6}_batch_\d+_(.*?)_e\d+_\w{8}\.", r"_\1.", sql))


def test_the_plan_is_what_the_loader_then_does_and_sends_nothing(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"), put(EVENTS, id=1, what="once"))
    first = scene.loader()
    scene.reaches(1)
    assert first.stop() == 0
    scene.feed.transaction(put(ORDERS, id=2, note="b"), put(ORDERS, id=2, note="c"), put(EVENTS, id=2, what="once"))
    scene.feed.transaction(drop(ORDERS, id=1, note="a"), put(ITEMS, id=1, what="new"))
    before, stored = scene.fence(), objects(scene)
    lines = planned(scene)
    assert (scene.fence(), objects(scene)) == (before, stored)
    assert (lines[0]["commit_no"], lines[0]["barrier_no"], lines[0]["tables"], lines[0]["objects"]) == (2, 3, 3, 6)
    tables = {line["target"].partition(".")[2]: line for line in lines if line["kind"] == "table"}
    counts = {name: (line["records"], line["superseded"], line["mode"]) for name, line in tables.items()}
    assert counts == {"orders": (3, 1, "merge"), "events": (1, 0, "append"), "items": (1, 0, "merge")}

    journal = scene.redshift.journal_path
    seen = sum(1 for _ in read_journal(journal))
    scene.loader()
    scene.reaches(3)
    sent = [spelled(scene, entry.sql) for entry in list(read_journal(journal))[seen:]]
    plan = [spelled(scene, line["sql"]) for line in lines if line["kind"] == "sql"]
    position = -1
    for sql in plan:
        assert sql in sent[position + 1 :], f"not sent, or in another order: {sql}"
        position = sent.index(sql, position + 1)


@pytest.mark.long
def test_text_names_tables_objects_and_statements(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    loader = scene.loader()
    scene.reaches(1)
    assert loader.stop() == 0
    done = scene.command("plan")
    assert (done.returncode, done.stdout) == (0, "shard 0: nothing to commit\n")
    done = scene.command("plan", "--json")
    assert (done.returncode, done.stdout) == (0, "")
    scene.feed.transaction(truncated(ORDERS))
    done = scene.command("plan", "-t", "shop.orders")
    assert done.returncode == 4, done.stderr
    assert "commit 2 up to barrier 2, 1 tables, 0 objects of 0 bytes; nothing was sent" in done.stdout
    assert f'DELETE FROM "{scene.pipeline.name}"."orders";' in done.stdout


def test_before_the_first_start_there_is_nothing_to_plan_with(scene: Scene) -> None:
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    done = scene.command("plan")
    assert done.returncode == 2
    assert "start the loader first" in done.stderr
