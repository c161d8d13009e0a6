"""The drill on a table that is read in a few seconds."""

from pathlib import Path

import pytest

from devstack.stack import Stack
from tests.drills.snapshot import drill

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(600)]

KILLS = 5


def test_a_reading_goes_on_through_kills_and_reads_little_twice(stack: Stack, tmp_path: Path) -> None:
    report = drill(stack, tmp_path, rows=600_000, kills=KILLS, seed=1, say=print)
    assert report.different == 0
    assert report.table_rows > 590_000
    assert report.transactions > 100
    assert report.chunks > KILLS
    # The one that waited for the stream to pass it, and the one that was being read.
    assert report.chunks_reread <= 2 * KILLS
