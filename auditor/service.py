"""Verify: compare part by part, and compare again the parts in which rows differed, until a difference is proven or gone.

Traffic may go on. A row counts as different only when it stayed different in rounds between which the warehouse took over every transaction
the source had executed at the round's start: a row that was merely in flight is equal in a later round. Within a round nothing is waited
for: rows that are equal are equal, however far either side is by then.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from auditor.core.diff import Key, RowDifference, Side, differences
from auditor.core.part import Part
from auditor.core.withheld import Withheld, Withholdings
from auditor.ports import Clock, NotNow, Source, Target, Warehouse
from contracts.errors import Refused, Unavailable
from contracts.position import GtidSet
from contracts.progress import TableState
from contracts.table import TableId, TableSchema

ROUNDS = 4  # a row in flight in four rounds running is a row that changes all the time; it is reported all the same


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison of one table found. Equal when `different` is empty, but for what is `withheld`: what the target lacks because
    it did not fit, and the quarantine tells. `source_rows` counts them."""

    table: TableId
    target: str
    source_rows: int
    warehouse_rows: int
    different: tuple[RowDifference, ...]
    rounds: int
    withheld: tuple[Withheld, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """One part of a table. `suspects`: the rows that differ so far."""

    source_rows: int
    warehouse_rows: int
    suspects: Mapping[Key, RowDifference]
    withheld: tuple[Withheld, ...]

    def among(self, former: Mapping[Key, RowDifference]) -> "Compared":
        """What differed before and still does."""
        return replace(self, suspects={key: item for key, item in self.suspects.items() if key in former})


class Auditor:
    """Raises Unavailable when the warehouse does not catch up with the source within `patience`, NotNow when that is so for one table, or
    it was altered."""

    def __init__(self, source: Source, warehouse: Warehouse, clock: Clock, patience: timedelta) -> None:
        self._source = source
        self._warehouse = warehouse
        self._clock = clock
        self._patience = patience

    def verify(self, table: TableId, target: Target | None, tell: Callable[[int], None] = lambda rows: None) -> Verdict:
        """`target` as `choose` found it. `tell` is called with the rows compared so far."""
        if target is None:
            return Verdict(table, "the warehouse, which has no such table yet", 0, 0, (), 0)
        schema = self._source.schema(table)
        withholdings = self._withheld_once_loaded(schema, target)
        rounds, rows, parts = 1, 0, dict[Part, Compared]()
        for part in self._source.parts(schema):
            parts[part] = self._compare(schema, target, part, withholdings)
            rows += parts[part].source_rows
            tell(rows)
        while rounds < ROUNDS and (again := [part for part, compared in parts.items() if compared.suspects]):
            rounds += 1
            withholdings = self._withheld_once_loaded(schema, target)
            for part in again:
                parts[part] = self._compare(schema, target, part, withholdings).among(parts[part].suspects)
        different = [
            item
            for part, compared in parts.items()
            if compared.suspects
            for item in self._evidence(schema, target, part, compared.suspects, withholdings)
        ]
        if self._source.schema(table) != schema:
            raise NotNow(f"{table} was altered while it was compared; verify it again")
        return Verdict(
            table,
            target.name,
            sum(compared.source_rows for compared in parts.values()),
            sum(compared.warehouse_rows for compared in parts.values()),
            tuple(different),
            rounds,
            tuple(item for compared in parts.values() for item in compared.withheld),
        )

    def choose(self, tables: Sequence[TableId], patience: timedelta) -> Mapping[TableId, Target | None]:
        """The tables asked for, or all that were loaded; None for one that is empty and so was never loaded. One that holds rows and has
        not been loaded yet is waited for. Raises Unavailable."""

        def missing() -> list[str]:
            loaded = self._warehouse.targets()
            return [str(table) for table in tables if table not in loaded and self._source.holds_rows(table)]

        wait_for(
            lambda: not missing(),
            self._clock,
            patience,
            lambda: f"nothing was ever loaded of {', '.join(missing())}; is it captured, and are streamer and loader running?",
        )
        targets = self._warehouse.targets()
        return {table: targets.get(table) for table in tables or sorted(targets)}

    def _compare(self, schema: TableSchema, target: Target, part: Part, withholdings: Withholdings) -> Compared:
        left = Side.of(withholdings.expected(self._source.rows(schema, part)), schema.key_places)
        right = Side.of(self._warehouse.rows(target, schema, part), schema.key_places)
        absent = sum(item.column is None for item in withholdings.met)
        suspects = {item.key: item for item in differences(left, right)}
        return Compared(left.rows + absent, right.rows, suspects, tuple(withholdings.met))

    def _evidence(
        self, schema: TableSchema, target: Target, part: Part, suspects: Mapping[Key, RowDifference], withholdings: Withholdings
    ) -> Iterator[RowDifference]:
        """The differing rows themselves, read once more."""
        names = [column.name for column in schema.columns]
        left, right = (
            {key: row for row in rows if (key := tuple(row[i] for i in schema.key_places)) in suspects}
            for rows in (self._source.rows(schema, part), self._warehouse.rows(target, schema, part))
        )
        for key, item in suspects.items():
            yield item.with_rows(left.get(key), right.get(key), names, withholdings.columns(key))

    def _withheld_once_loaded(self, schema: TableSchema, target: Target) -> Withholdings:
        """What the quarantine holds, once the warehouse has taken over what the source has committed by now."""
        wanted = self._source.executed()

        def lacks() -> str:
            return lacking(self._warehouse, target, wanted)

        try:
            wait_for(lambda: not lacks(), self._clock, self._patience, lacks)
        except Unavailable as error:
            if not wanted.minus(self._warehouse.loaded(target).gtid_set):
                raise NotNow(error.message) from error  # the warehouse is where the source was, but for this table
            raise
        return Withholdings(schema, self._warehouse.quarantine(target))


def lacking(warehouse: Warehouse, target: Target, wanted: GtidSet) -> str:
    """What the warehouse has still to take over before the target can be compared with a source that has executed `wanted`; empty when
    nothing. Raises Refused for a parked table: waiting brings it nothing."""
    loaded = warehouse.loaded(target)
    if loaded.state == TableState.PARKED:
        raise Refused(f"{target.name} is parked, so it can't be equal: {loaded.because}", table=target.name)
    if behind := wanted.minus(loaded.gtid_set):
        return f"the warehouse still lacks transactions {behind}; are streamer and loader running?"
    # What a barrier says of a table was true of it when all of its transactions were taken.
    return "" if loaded.state == TableState.OK else f"{target.name} is {loaded.state}: rows that MySQL holds are still to come"


def wait_for(done: Callable[[], bool], clock: Clock, patience: timedelta, complaint: Callable[[], str]) -> None:
    """Asks ten times a second. Raises Unavailable with the complaint when `patience` is over."""
    deadline = clock.monotonic() + patience.total_seconds()
    while not done():
        if clock.monotonic() > deadline:
            raise Unavailable(f"waited {patience.total_seconds():.0f} s: {complaint()}")
        clock.sleep(timedelta(milliseconds=100))
