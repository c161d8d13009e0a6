"""Columns under test: a type as MySQL spells it, values it takes, and what docs/TYPES.md says becomes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from tests.types.canonical import FORMS, Family, Form, bytes_max

Literals = tuple[str, ...]
"""Values in SQL."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """One column. `target`: its type in the warehouse. `edges`: where faults would be; `chance`: one value more. `generated`: what it is
    made of, instead of values of its own. `attributes` stand behind the type. `charset`: the one it is there for."""

    sql: str
    family: Family
    target: str
    edges: Literals = ()
    chance: Callable[[Random], str] = lambda _: "NULL"
    generated: str = ""
    attributes: str = ""
    charset: str = ""

    @property
    def form(self) -> Form:
        return FORMS[self.family]

    @property
    def bytes_max(self) -> int:
        return bytes_max(self.target)

    @property
    def definition(self) -> str:
        made = f" AS ({self.generated})" if self.generated else ""
        return f"{self.sql}{made} {self.attributes}".rstrip()

    def values(self, count: int, random: Random) -> list[str]:
        """NULL and the edges, then others."""
        first = ["NULL", *self.edges][:count]
        return [*first, *(self.chance(random) for _ in range(count - len(first)))]


@dataclass(frozen=True, slots=True)
class Bench:
    """A table of specimens by their columns' names. `key`: the name of its key, which is MySQL's own where the table declares none.
    `sql_mode`: of the session that writes. `beyond`: a condition in SQL for rows that can't be loaded at all, and `beyond_reason`, a
    pattern of what quarantine must say of them."""

    name: str
    columns: Mapping[str, Specimen]
    key: str = "id"
    sql_mode: str = "STRICT_ALL_TABLES"
    beyond: str = ""
    beyond_reason: str = ""

    @property
    def own(self) -> Mapping[str, Specimen]:
        """The columns that are written."""
        return {name: one for name, one in self.columns.items() if not one.generated}

    @property
    def rows(self) -> int:
        """As many as it takes to hold every edge."""
        return 1 + max(len(one.edges) for one in self.own.values())

    @property
    def create(self) -> str:
        """The table's definition, within its database."""
        key = [f"`{self.key}` INT PRIMARY KEY"] if self.key == "id" else []
        columns = [*key, *(f"`{name}` {one.definition}" for name, one in self.columns.items())]
        return f"CREATE TABLE `{self.name}` ({', '.join(columns)}) CHARACTER SET utf8mb4"


def bench(name: str, *specimens: Specimen, sql_mode: str = "STRICT_ALL_TABLES") -> Bench:
    """Columns are named by their family."""
    return Bench(name, {f"{one.family.name.lower()}{place}": one for place, one in enumerate(specimens)}, sql_mode=sql_mode)


def quoted(*texts: str) -> Literals:
    """Texts without quotes or backslashes."""
    return tuple(f"'{text}'" for text in texts)
