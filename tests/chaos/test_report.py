"""A campaign that ends before its last cycle tells what the cycles before came to."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from tests.chaos import campaign as judged
from tests.chaos.campaign import campaign
from tests.chaos.faults import Fault
from tests.chaos.world import World


def harmless(world: World, chance: random.Random) -> None:
    """Nothing befalls anybody."""


def fatal(world: World, chance: random.Random) -> None:
    raise AssertionError("the loader has ended")


def test_what_the_cycles_before_came_to_is_told_when_one_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(chance: random.Random, cycles: int) -> Iterator[tuple[str, Fault]]:
        yield from (("harmless", harmless), ("harmless", harmless), ("fatal", fatal))

    @contextmanager
    def running_world(directory: Path, seed: int) -> Iterator[World]:
        yield MagicMock(World, transactions=7, ddl=0, revived=0, crashes={}, recovered=lambda: (0.5, 1.5))

    monkeypatch.setattr(judged, "planned", planned)
    monkeypatch.setattr(judged, "running_world", running_world)
    said: list[str] = []
    report = campaign(tmp_path, 3, seed=1, say=said.append)
    assert (report.cycles, report.transactions, report.line()["faults"]) == (2, 7, {"harmless": 2})
    assert not report.is_clean
    assert report.line()["broke"] == "cycle 3: AssertionError: the loader has ended"
    assert "the loader has ended" in said[-1]
