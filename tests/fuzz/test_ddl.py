"""Rows written between DDL of every kind, on real servers: the warehouse holds what MySQL holds."""

from pathlib import Path

import pytest

from devstack.stack import Stack
from tests.fuzz.driver import fuzz

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(900)]

SEEDS = 20


def test_after_every_seed_the_warehouse_equals_mysql(stack: Stack, tmp_path: Path) -> None:
    report = fuzz(stack, tmp_path, range(SEEDS), print)
    assert report.unequal == {}
    assert report.seeds == SEEDS
    assert report.ddl_statements > 20 * SEEDS
    assert report.rows_compared > 20 * SEEDS
