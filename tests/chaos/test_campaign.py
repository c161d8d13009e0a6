"""Faults of every kind on real servers: nothing is lost, nothing doubled, nothing left behind; and damage done by hand is seen."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.pipeline import BUCKET, wait_until
from tests.chaos import campaign as judged
from tests.chaos.campaign import COMPARE_EVERY, campaign
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.world import LEDGER, PREFIX, World
from tests.stack.scenario import query

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(1200)]

CYCLES = 40


def test_no_fault_loses_or_doubles_a_row(tmp_path: Path) -> None:
    report = campaign(tmp_path, CYCLES, seed=1, say=print)
    print(report.line())
    assert report.is_clean
    assert report.cycles == CYCLES
    assert report.faults.keys() == FAULTS.keys()
    assert report.hits["crash_point"] == report.crash_points.total() > 0
    assert report.rows_compared > 1_000
    assert report.orphans_deleted > 0
    assert report.comparisons_under_load > CYCLES // COMPARE_EVERY // 2


def rows_damaged(world: World, chance: random.Random) -> bool:
    """Of tables whose rows no traffic mends: `wide` only grows, and a doubled row goes with its key's next change."""
    applied = f"SELECT rows_applied FROM {LEDGER}.watermarks WHERE source_table = 'chaos.wide'"
    with world.warehouse() as warehouse:
        wait_until(lambda: query(warehouse, applied) > [[1]], 60, "no rows of wide")
        run = warehouse.cursor().execute
        run("DELETE FROM chaos.wide WHERE id = (SELECT MIN(id) FROM chaos.wide)")
        run("INSERT INTO chaos.wide SELECT * FROM chaos.wide WHERE id = (SELECT MAX(id) FROM chaos.wide)")
    return True


def ledger_damaged(world: World, chance: random.Random) -> bool:
    """It says of a batch that it had one record more, and as many rows."""
    with world.warehouse() as warehouse:
        topic, start = query(warehouse, f"SELECT topic, start_offset FROM {LEDGER}.ledger ORDER BY committed_at LIMIT 1")[0]
        warehouse.cursor().execute(
            f"UPDATE {LEDGER}.ledger_0 SET records = records + 1, applied = applied + 1 WHERE topic = %s AND start_offset = %s",
            (topic, start),
        )
    return True


def bucket_damaged(world: World, chance: random.Random) -> bool:
    client = world.stack.s3.client()
    with world.warehouse() as warehouse:
        key = query(warehouse, f"SELECT manifest_key FROM {LEDGER}.ledger WHERE manifest_key <> '' ORDER BY committed_at LIMIT 1")[0][0]
    client.delete_object(Bucket=BUCKET, Key=PREFIX + str(key).replace(".manifest", ".parquet"))
    client.put_object(Bucket=BUCKET, Key=f"{PREFIX}left", Body=b"")
    return True


def test_damage_of_every_kind_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(chance: random.Random, cycles: int) -> Iterator[tuple[str, Fault]]:
        yield from (("rows", Fault(rows_damaged)), ("ledger", Fault(ledger_damaged)), ("bucket", Fault(bucket_damaged)))

    monkeypatch.setattr(judged, "planned", planned)
    said: list[str] = []
    report = campaign(tmp_path, COMPARE_EVERY, seed=2, say=said.append)
    assert (report.comparisons, report.comparisons_under_load) == (2, 1), said
    assert (report.lost, report.foreign, report.duplicated) == (2, 2, 2), said
    assert (report.orphans_left, report.committed_objects_deleted) == (1, 1), said
    assert report.wrong == 1, said
    assert any("the ledger says" in line for line in said)
    assert not report.is_clean
