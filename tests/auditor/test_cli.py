"""One table that cannot be compared hides nothing of the others."""

from collections.abc import Mapping
from typing import Any
from unittest.mock import MagicMock

import orjson
import pytest

from auditor import cli
from auditor.cli import main
from auditor.core.diff import Difference, RowDifference
from auditor.core.withheld import Withheld
from auditor.ports import NotNow, Target
from auditor.service import Verdict
from contracts.errors import Invalid, PipelineError, Refused, Unavailable
from contracts.table import TableId
from runtime import command
from runtime.connect import mysql, redshift

TARGET = Target("t", 0, append=False)
EQUAL = Verdict(TableId("shop", "equal"), "t", 1, 1, (), 1)
KEPT = Verdict(TableId("shop", "kept"), "t", 1, 1, (), 1, (Withheld(("1",), "note", "too long"),))
DIFFERENT = Verdict(TableId("shop", "other"), "t", 1, 0, (RowDifference(("1",), Difference.MISSING),), 1)

Outcome = Verdict | PipelineError


class FakeAuditor:
    def __init__(self, outcomes: Mapping[str, Outcome]) -> None:
        self.outcomes = outcomes

    def choose(self, tables: Any, patience: Any) -> Mapping[TableId, Target]:
        return {TableId("shop", name): Target("t", 0, append=name == "events") for name in self.outcomes}

    def verify(self, table: TableId, target: Target, tell: Any) -> Verdict:
        outcome = self.outcomes[table.name]
        if isinstance(outcome, PipelineError):
            raise outcome
        return outcome


class FakeServer:
    def has(self, table: TableId) -> bool:
        if table.name == "secret":
            raise Invalid("may not be read")
        return table.name != "gone"


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    settings = MagicMock()
    settings.tables.override = {}
    settings.batch.seconds = 1
    monkeypatch.setattr(command, "start", lambda *_, **__: settings)
    monkeypatch.setattr(mysql, "connect", settings.connect)
    monkeypatch.setattr(redshift, "connect", settings.connect)
    monkeypatch.setattr(cli, "MysqlSource", lambda *_: FakeServer())
    monkeypatch.setattr(cli, "RedshiftWarehouse", lambda *_: None)

    def run(outcomes: Mapping[str, Outcome], *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(cli, "Auditor", lambda *_: FakeAuditor(outcomes))
        code = main(["verify", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize("error", [Refused("is parked"), Invalid("has no key"), NotNow("is snapshotting")])
def test_what_cannot_be_compared_is_told_and_the_rest_is_compared(verify: Any, error: PipelineError) -> None:
    code, out, err = verify({"a": error, "b": EQUAL})
    assert (code, err) == (error.exit_code, f"shop.a: {error.message}\n")
    assert "shop.equal: 1 rows in MySQL, 1 in t: equal" in out
    code, out, _ = verify({"a": error, "b": DIFFERENT})
    assert (code, out.count("1 DIFFER")) == (4, 1)


def test_a_table_that_may_not_be_read_is_not_taken_for_one_that_is_gone(verify: Any) -> None:
    code, _, err = verify({"gone": EQUAL, "secret": Invalid("may not be read"), "b": EQUAL})
    assert (code, "shop.gone is gone" in err, "shop.secret: may not be read" in err, err.count("\n")) == (2, True, True, 2)


def test_the_gravest_fault_is_the_exit_code(verify: Any) -> None:
    assert verify({"a": Invalid("no key"), "b": Refused("parked"), "c": NotNow("soon")})[0] == 3


def test_a_side_that_does_not_answer_ends_it_and_what_was_found_counts(verify: Any) -> None:
    down = Unavailable("the warehouse still lacks transactions")
    assert verify({"a": down, "b": DIFFERENT})[0] == 1
    code, out, _ = verify({"a": DIFFERENT, "b": down, "c": EQUAL})
    assert (code, "shop.equal" in out) == (4, False)


def test_a_table_gone_from_mysql_and_one_of_events_are_passed_over_unless_they_are_asked_for(verify: Any) -> None:
    outcomes = {"gone": Invalid("no such table"), "events": EQUAL, "b": EQUAL}
    code, _, err = verify(outcomes)
    assert code == 0
    assert "shop.gone is gone from MySQL" in err
    assert "shop.events is an append table" in err
    assert verify(outcomes, "-t", "shop.gone")[0] == 2
    assert verify({"events": EQUAL}, "-t", "shop.events")[0] == 2


def test_json_has_every_table_with_what_is_known_of_it(verify: Any) -> None:
    code, out, _ = verify({"a": Invalid("no key"), "b": KEPT, "c": DIFFERENT}, "--json")
    first, second, third = sorted(orjson.loads(out), key=lambda told: str(told["table"]))
    assert (code, first) == (4, {"table": "shop.a", "equal": None, "error": "no key"})
    assert (second["equal"], second["quarantined"]) == (True, [{"key": ["1"], "column": "note", "reason": "too long"}])
    assert (third["equal"], third["different"][0]["difference"]) == (False, "missing in the warehouse")


def test_help_says_of_json_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    assert "--json" in (told := capsys.readouterr().out)
    assert "one JSON object a line" not in told


def test_what_is_in_quarantine_counts_where_it_is_asked_to(verify: Any) -> None:
    code, out, _ = verify({"a": KEPT})
    assert (code, out.count("equal, but for 1 in quarantine\n  key 1: in quarantine, note: too long")) == (0, 1)
    assert verify({"a": KEPT}, "--strict")[0] == 4
