"""SIGKILL at random moments under traffic: afterwards every row is equal. Seeded, so a failure names what to run again."""

import random
import time
from pathlib import Path

import pytest

from devstack.stack import Stack
from tests.stack.scenario import assert_equal, bucket_stems, ledger_stems, shop_pipeline, traffic

pytestmark = [pytest.mark.stack, pytest.mark.long]

KILLS = 10


@pytest.mark.timeout(600)
def test_a_janitor_killed_ten_times_while_it_sweeps_never_touches_a_committed_object(stack: Stack, tmp_path: Path) -> None:
    seed = 20261124
    moments = random.Random(seed)
    with shop_pipeline(stack, tmp_path, "tenkills_janitor", seed=seed) as (pipeline, shop), stack.redshift.connect(ssl=False) as warehouse:
        warehouse.autocommit = True
        pipeline.start("streamer")
        loader = pipeline.start("loader")
        with traffic(shop):
            for _ in range(KILLS):
                time.sleep(moments.uniform(0.5, 2))
                loader.kill9()  # leaves orphans for the janitor to find
                loader = pipeline.start("loader")
                janitor = pipeline.start("janitor", "orphans", "--all-tables", "--all", "--yes")
                time.sleep(moments.uniform(0.2, 1.2))
                janitor.kill9()
        assert_equal(pipeline, timeout_s=120)
        assert loader.stop() == 0
        for _ in range(2):
            done = pipeline.run("janitor", "orphans", "--all-tables", "--all", "--fence", "--yes")
            assert done.returncode == 0, done.stderr
        assert bucket_stems(stack, pipeline) == ledger_stems(warehouse, pipeline)
