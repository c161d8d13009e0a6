"""A row in flight is not a difference; a row that stays different is."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from auditor.core.diff import CanonicalRow, Difference
from auditor.core.part import WHOLE, Part
from auditor.core.withheld import Entry, Withheld
from auditor.ports import Loaded, NotNow, Target
from auditor.service import ROUNDS, Auditor
from contracts.errors import Unavailable
from contracts.position import GtidSet
from contracts.table import Column, Kind, TableId, TableSchema

TABLE = TableId("shop", "orders")
SCHEMA = TableSchema(TABLE, (Column("id", Kind.INT, nullable=False), Column("name", Kind.VARCHAR)), ("id",))
TARGET = Target('"shop"."orders"', 0, append=False)
UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


class Both:
    """Both sides at once: the rows each gives at its n-th reading of a part."""

    def __init__(self, source: Callable[[int], list[CanonicalRow]], warehouse: Callable[[int], list[CanonicalRow]]) -> None:
        self.source, self.warehouse = source, warehouse
        self.reads = Counter[Part]()
        self.loaded_up_to = 5
        self.divided = [WHOLE]
        self.asked: list[Part] = []
        self.quarantined: list[Entry] = []
        self.states = ["ok"]
        """One each time it is asked, the last for ever."""
        self.schemas = [SCHEMA]
        """The same."""

    def executed(self) -> GtidSet:
        return GtidSet.parse(f"{UUID}:1-5")

    def schema(self, table: TableId) -> TableSchema:
        return self.schemas.pop(0) if len(self.schemas) > 1 else self.schemas[0]


def within(row: CanonicalRow, part: Part) -> bool:
    key = (int(row[0] or 0),)
    return (part.above is None or key > part.above) and (part.up_to is None or key <= part.up_to)


class FakeSource(Both):
    def has(self, table: TableId) -> bool:
        return True

    def holds_rows(self, table: TableId) -> bool:
        return bool(self.source(0))

    def parts(self, schema: TableSchema) -> Iterator[Part]:
        return iter(self.divided)

    def rows(self, schema: TableSchema, part: Part) -> Iterator[CanonicalRow]:
        self.reads[part] += 1
        return (row for row in self.source(self.reads[part]) if within(row, part))


class FakeWarehouse(Both):
    def quarantine(self, target: Target) -> Iterable[Entry]:
        return self.quarantined

    def targets(self) -> Mapping[TableId, Target]:
        return {TABLE: TARGET}

    def loaded(self, target: Target) -> Loaded:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return Loaded(GtidSet.parse(f"{UUID}:1-{self.loaded_up_to}"), False, state)

    def rows(self, target: Target, schema: TableSchema, part: Part) -> Iterator[CanonicalRow]:
        self.reads[part] += 1
        self.asked.append(part)
        return (row for row in self.warehouse(self.reads[part]) if within(row, part))


class Ticking:
    """A clock on which sleeping is all that passes time."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def sleep(self, pause: timedelta) -> None:
        self.at += pause.total_seconds()


def auditor(source: Callable[[int], list[CanonicalRow]], warehouse: Callable[[int], list[CanonicalRow]]) -> tuple[Auditor, FakeWarehouse]:
    right = FakeWarehouse(source, warehouse)
    return Auditor(FakeSource(source, warehouse), right, Ticking(), timedelta(seconds=5)), right


def test_equal_sides_need_one_round() -> None:
    service, _ = auditor(lambda n: [["1", "a"]], lambda n: [["1", "a"]])
    verdict = service.verify(TABLE, TARGET)
    assert (verdict.different, verdict.rounds, verdict.source_rows, verdict.warehouse_rows) == ((), 1, 1, 1)


def test_a_configured_key_that_names_two_rows_is_told_also_where_the_warehouse_has_the_last_of_them() -> None:
    service, _ = auditor(lambda n: [["1", "a"], ["1", "b"]], lambda n: [["1", "b"]])
    (told,) = service.verify(TABLE, TARGET).different
    assert (told.key, told.difference) == (("1",), Difference.AMBIGUOUS)


def test_a_row_that_was_in_flight_is_equal_in_the_next_round() -> None:
    service, _ = auditor(lambda n: [["1", "new"]], lambda n: [["1", "old" if n == 1 else "new"]])
    verdict = service.verify(TABLE, TARGET)
    assert (verdict.different, verdict.rounds) == ((), 2)


def test_a_table_that_was_altered_meanwhile_is_not_judged() -> None:
    source = FakeSource(lambda n: [["1", "a"]], lambda n: [])
    source.schemas.append(replace(SCHEMA, columns=(*SCHEMA.columns, Column("more", Kind.INT))))
    service = Auditor(source, FakeWarehouse(source.source, source.source), Ticking(), timedelta(seconds=5))
    with pytest.raises(NotNow, match=r"shop\.orders was altered while it was compared"):
        service.verify(TABLE, TARGET)
    assert service.verify(TABLE, TARGET).different == ()


def test_a_row_that_stays_different_is_reported_after_every_round() -> None:
    service, _ = auditor(lambda n: [["1", "a"], ["2", "b"]], lambda n: [["2", "b"]])
    verdict = service.verify(TABLE, TARGET)
    assert [(item.key, item.difference) for item in verdict.different] == [(("1",), Difference.MISSING)]
    assert verdict.rounds == ROUNDS


def test_another_row_in_flight_in_each_round_is_no_difference() -> None:
    service, _ = auditor(lambda n: [[str(i), "a"] for i in range(9)], lambda n: [[str(i), "a"] for i in range(9) if i != n])
    assert service.verify(TABLE, TARGET).different == ()


def test_a_warehouse_that_never_catches_up_is_unavailable_and_the_missing_transactions_are_named() -> None:
    service, right = auditor(lambda n: [], lambda n: [])
    right.loaded_up_to = 3
    with pytest.raises(Unavailable, match=f"{UUID}:4-5") as caught:
        service.verify(TABLE, TARGET)
    assert not isinstance(caught.value, NotNow)


def test_between_two_rounds_the_warehouse_takes_over_what_was_committed_since() -> None:
    service, _ = auditor(lambda n: [["1", "a"]], lambda n: [])
    executed = iter([5, 6])
    service._source.executed = lambda: GtidSet.parse(f"{UUID}:1-{next(executed)}")  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match=f"{UUID}:6"):
        service.verify(TABLE, TARGET)


def test_a_table_that_is_read_anew_is_waited_for() -> None:
    service, right = auditor(lambda n: [["1", "a"]], lambda n: [["1", "a"]] if right.states == ["ok"] else [])
    right.states = ["rereading", "rereading", "ok"]
    assert (service.verify(TABLE, TARGET).different, right.states) == ((), ["ok"])
    right.states = ["snapshotting"]
    with pytest.raises(NotNow, match="is snapshotting: rows that MySQL holds are still to come"):
        service.verify(TABLE, TARGET)


def test_a_difference_comes_with_both_rows_and_the_unequal_columns() -> None:
    service, _ = auditor(lambda n: [["1", "a"]], lambda n: [["1", "b"]])
    (item,) = service.verify(TABLE, TARGET).different
    assert (item.source, item.warehouse, item.columns) == (["1", "a"], ["1", "b"], ("name",))


def test_a_table_with_rows_that_was_never_loaded_is_waited_for_and_then_named() -> None:
    service, _ = auditor(lambda n: [["1", "a"]], lambda n: [])
    assert service.choose([], timedelta(seconds=1)) == {TABLE: TARGET}
    with pytest.raises(Unavailable, match=r"nothing was ever loaded of shop\.other"):
        service.choose([TABLE, TableId("shop", "other")], timedelta(seconds=1))


def test_an_empty_table_that_was_never_loaded_is_equal() -> None:
    service, _ = auditor(lambda n: [], lambda n: [])
    chosen = service.choose([TableId("shop", "other")], timedelta(seconds=1))
    assert chosen == {TableId("shop", "other"): None}
    assert service.verify(TableId("shop", "other"), None).different == ()


def test_what_is_in_quarantine_is_told_apart_from_what_differs() -> None:
    service, right = auditor(lambda n: [["1", "a\0b"], ["2", "b"], ["3", "huge"]], lambda n: [["1", None], ["2", "b"]])
    right.quarantined = [('{"id":1}', "name", "holds U+0000"), ('{"id":3}', None, "takes too much")]
    verdict = service.verify(TABLE, TARGET)
    assert (verdict.different, verdict.rounds, verdict.source_rows, verdict.warehouse_rows) == ((), 1, 3, 2)
    assert verdict.withheld == (Withheld(("1",), "name", "holds U+0000"), Withheld(("3",), None, "takes too much"))


def test_a_row_with_a_value_in_quarantine_that_differs_in_another_is_told_with_that_alone() -> None:
    wide = TableSchema(TABLE, (*SCHEMA.columns, Column("note", Kind.VARCHAR)), ("id",))
    service, right = auditor(lambda n: [["1", "a", "x"]], lambda n: [["1", None, "y"]])
    right.quarantined = [('{"id":1}', "name", "holds U+0000")]
    service._source.schema = lambda table: wide  # type: ignore[method-assign]
    (item,) = service.verify(TABLE, TARGET).different
    assert (item.difference, item.columns, item.source) == (Difference.UNEQUAL, ("note",), ["1", "a", "x"])


def test_a_target_that_holds_what_the_quarantine_says_it_lacks_differs() -> None:
    service, right = auditor(lambda n: [["1", "a"], ["2", "b"]], lambda n: [["1", "old"], ["2", "b"]])
    right.quarantined = [('{"id":1}', "name", "holds U+0000"), ('{"id":2}', None, "takes too much")]
    found = {item.key: item.difference for item in service.verify(TABLE, TARGET).different}
    assert found == {("1",): Difference.UNEQUAL, ("2",): Difference.EXTRA}


HALVES = [Part(("id",), None, (4,)), Part(("id",), (4,), None)]


def test_a_table_is_compared_part_by_part_and_only_what_differed_once_more() -> None:
    rows: list[CanonicalRow] = [[str(i), "a"] for i in range(9)]
    service, right = auditor(lambda n: rows, lambda n: [row for row in rows if n > 1 or row[0] != "7"])
    service._source.divided = right.divided = HALVES  # type: ignore[attr-defined]
    seen: list[int] = []
    verdict = service.verify(TABLE, TARGET, seen.append)
    assert (verdict.different, verdict.rounds, verdict.source_rows, verdict.warehouse_rows) == ((), 2, 9, 9)
    assert (right.asked, seen) == ([*HALVES, HALVES[1]], [5, 9])


def test_differences_of_all_parts_are_told_in_one_verdict() -> None:
    service, right = auditor(lambda n: [["1", "a"], ["5", "a"], ["6", "b"]], lambda n: [["1", "x"], ["6", "b"], ["8", "c"]])
    service._source.divided = right.divided = HALVES  # type: ignore[attr-defined]
    verdict = service.verify(TABLE, TARGET)
    assert {(item.key, item.difference) for item in verdict.different} == {
        (("1",), Difference.UNEQUAL),
        (("5",), Difference.MISSING),
        (("8",), Difference.EXTRA),
    }
    assert (verdict.source_rows, verdict.warehouse_rows) == (3, 3)
