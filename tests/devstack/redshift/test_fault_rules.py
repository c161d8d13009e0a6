from pathlib import Path
from typing import Any

import pytest

from devstack.redshift.faults import FaultInjector, FaultRules, Rule


def test_a_rule_acts_on_the_nth_match_and_as_often_as_told(tmp_path: Path) -> None:
    rules, injector = FaultRules(tmp_path / "f"), FaultInjector(tmp_path / "f")
    rule = rules.add("drop_after", kind="commit", nth=2, times=2)
    acted = [injector.strike("commit", "COMMIT") == rule for _ in range(5)]
    assert acted == [False, True, True, False, False]


def test_times_zero_means_for_ever(tmp_path: Path) -> None:
    rules, injector = FaultRules(tmp_path / "f"), FaultInjector(tmp_path / "f")
    rules.add("error_1023", kind="copy", times=0)
    assert all(injector.strike("copy") for _ in range(5))


def test_a_statement_is_matched_by_pattern_without_case_and_over_lines(tmp_path: Path) -> None:
    rules, injector = FaultRules(tmp_path / "f"), FaultInjector(tmp_path / "f")
    rules.add("error_15001", statement=r"copy.*orders", times=0)
    assert injector.strike("copy", "COPY\nOrders FROM")
    assert injector.strike("copy", "COPY customers FROM") is None


def test_counting_goes_on_when_another_rule_is_added(tmp_path: Path) -> None:
    rules, injector = FaultRules(tmp_path / "f"), FaultInjector(tmp_path / "f")
    rules.add("drop_before", kind="commit", nth=2)
    assert injector.strike("commit") is None
    rules.add("drop_before", kind="copy")
    assert injector.strike("commit")


def test_cleared_rules_act_no_more(tmp_path: Path) -> None:
    rules, injector = FaultRules(tmp_path / "f"), FaultInjector(tmp_path / "f")
    rules.add("drop_before", kind="commit", times=0)
    assert injector.strike("commit")
    rules.clear()
    assert injector.strike("commit") is None


@pytest.mark.parametrize(
    "bad",
    [
        {"action": "explode", "kind": "copy"},
        {"action": "drop_after"},
        {"action": "hang", "kind": "copy"},
        {"action": "drop_after", "kind": "copy", "nth": 0},
        {"action": "drop_after", "kind": "copy", "times": -1},
    ],
)
def test_a_rule_that_could_never_act_is_a_bug(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"fault|need"):
        Rule(**bad)
