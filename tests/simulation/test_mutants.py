"""The simulation finds what is known to be wrong. If it did not, its silence about the design would say nothing."""

import pytest

from tests.simulation.explore import hunt
from tests.simulation.mutants import MUTANTS, SEEDS_MAX
from tests.simulation.variant import Outcome


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome | None]:
    return hunt()


@pytest.mark.parametrize("name", [mutant.name for mutant in MUTANTS])
def test_a_known_bad_design_is_caught(outcomes: dict[str, Outcome | None], name: str) -> None:
    assert outcomes[name] is not None, f"{name}: {SEEDS_MAX} seeds did not show what is wrong with it"
