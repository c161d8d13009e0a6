"""Faults of every kind on real servers: nothing is lost, nothing doubled, nothing left behind."""

from pathlib import Path

import pytest

from tests.chaos.campaign import campaign
from tests.chaos.faults import FAULTS

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(1200)]

CYCLES = 40


def test_no_fault_loses_or_doubles_a_row(tmp_path: Path) -> None:
    report = campaign(tmp_path, CYCLES, seed=1, say=print)
    print(report.line())
    assert report.is_clean
    assert report.cycles == CYCLES
    assert report.faults.keys() == FAULTS.keys()
    assert report.rows_compared > 1_000
