"""What the auditor needs from the world: two sides it can read, and the set of transactions each of them holds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from auditor.core.diff import CanonicalRow
from auditor.core.part import Part
from auditor.core.withheld import Entry
from contracts.errors import Unavailable
from contracts.position import GtidSet
from contracts.table import TableId, TableSchema


class NotNow(Unavailable):
    """This one table can't be compared now. Others may be."""


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds."""

    def sleep(self, pause: timedelta) -> None: ...


class Source(Protocol):
    """The MySQL server that is streamed."""

    def executed(self) -> GtidSet: ...

    def schema(self, table: TableId) -> TableSchema:
        """The table as it is now, its key the one its rows have on Kafka: the configured one, the primary key, else the first all-NOT
        NULL unique key.
        Raises Invalid when there is no such table, or it has no key."""

    def has(self, table: TableId) -> bool:
        """Whether there is such a table. Raises Invalid when nobody may tell, for this user may not read it."""

    def holds_rows(self, table: TableId) -> bool:
        """Raises Invalid when there is no such table."""

    def parts(self, schema: TableSchema) -> Iterator[Part]:
        """Parts of the table that can be held, from its first row to its last; together they take in every row there may ever be, once."""

    def rows(self, schema: TableSchema, part: Part) -> Iterator[CanonicalRow]:
        """Every row of the part, from one consistent snapshot."""


@dataclass(frozen=True, slots=True)
class Target:
    """A table in the warehouse: its quoted SQL name, and the shard that writes it. `append`: it holds every event; `soft_delete`: it holds,
    besides the source's rows, those that are gone, and marks them."""

    name: str
    shard: int
    append: bool
    soft_delete: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the last commit of a target's shard brought: everything of `gtid_set`, and some of the next transaction while `partial`.
    `state`: the target's; in any but `ok` rows that MySQL holds are still to come; when it is parked, `because` says why."""

    gtid_set: GtidSet
    partial: bool
    state: str
    because: str = ""


class Warehouse(Protocol):
    def targets(self) -> Mapping[TableId, Target]:
        """Every table that was loaded at least once."""

    def loaded(self, target: Target) -> Loaded: ...

    def quarantine(self, target: Target) -> Iterable[Entry]:
        """The open entries of what did not fit into the target."""

    def rows(self, target: Target, schema: TableSchema, part: Part) -> Iterator[CanonicalRow]:
        """Every row of the part but those marked as deleted."""
