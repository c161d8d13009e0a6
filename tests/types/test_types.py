"""Every type of MySQL is in the warehouse what SELECT says it is, or NULL as docs/TYPES.md states: on real servers, by way of the snapshot,
of INSERT and of UPDATE."""

from pathlib import Path

import orjson
import pytest

from devstack.stack import Stack
from tests.marks import long
from tests.types.suite import Draw, examine

CHARSETS = 41  # of MySQL 9.7


@pytest.mark.stack
@pytest.mark.parametrize("draw", [Draw(0, large=False), *long(Draw(60, seed=1), Draw(10, seed=2, decoder="python"))], ids=str)
def test_every_value_is_equal_or_absent_as_stated(stack: Stack, tmp_path: Path, draw: Draw) -> None:
    report = examine(stack, tmp_path, draw, f"types_{draw.seed}", print)
    print(orjson.dumps(report.line()).decode())
    assert report.faults == []
    assert len(report.charsets) == CHARSETS
    assert len(report.types) > 250
    assert report.counts["equal"] > 20_000
    assert report.counts["no_date"] > 300
    assert report.counts["quarantined"] > 1_000
    assert report.values == report.counts["equal"] + report.counts["no_date"] + report.counts["quarantined"]
