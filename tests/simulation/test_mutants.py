"""The simulation finds what is known to be wrong. If it did not, its silence about the design would say nothing."""

import inspect
import re
from typing import NoReturn

import pytest

from loader.committer import Committer
from tests.simulation import audit, ending, world
from tests.simulation.audit import BUG, HALT
from tests.simulation.explore import first_broken, hunt
from tests.simulation.mutants import MUTANTS, SEEDS_MAX
from tests.simulation.test_audit import DOCTORED
from tests.simulation.variant import Outcome, Variant


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome | None]:
    return hunt()


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_known_bad_design_is_caught(outcomes: dict[str, Outcome | None], mutant: Variant) -> None:
    outcome = outcomes[mutant.name]
    assert outcome is not None, f"{mutant.name}: {SEEDS_MAX} seeds did not show what is wrong with it"
    assert mutant.given_away(outcome), f"{mutant.name}: seed {outcome.seed} broke {[str(violation) for violation in outcome.violations]}"


def test_every_check_was_seen_to_fail(outcomes: dict[str, Outcome | None]) -> None:
    """Of those that there are in the audit's text each is tripped by a mutant, or in test_audit.py by hand."""
    text = "".join(inspect.getsource(module) for module in (audit, ending, world))
    checks = set(re.findall(r'"([A-Z][A-Z0-9_]{3,})"', text)) - {BUG}
    tripped = {name for outcome in outcomes.values() if outcome for name in outcome.names}
    assert len(checks) > 25
    assert checks <= tripped | DOCTORED


def break_down(*_: object) -> NoReturn:
    raise KeyError("a bug of the mutant")


def test_a_design_that_only_breaks_down_is_not_caught() -> None:
    broken = Variant("breaks down", shows=(HALT, BUG), patches=((Committer, "commit", break_down),))
    outcome = first_broken(broken)
    assert outcome is not None
    assert outcome.names == {BUG}
    assert not broken.given_away(outcome)
