"""Columns under test: a type as MySQL spells it, values it takes, and what docs/TYPES.md says becomes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from tests.types.canonical import FORMS, Due, Family, Form, bytes_max

Literals = tuple[str, ...]
"""Values in SQL."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """One column. `target`: its type in the warehouse. `edges`: where faults would be; `chance`: one value more. `generated`: what it is
    made of, instead of values of its own. `attributes` stand behind the type. `charset`: the one it is there for. `in_key`: it is part of
    the key, so it is never NULL and never updated."""

    sql: str
    family: Family
    target: str
    edges: Literals = ()
    chance: Callable[[Random], str] = lambda _: "NULL"
    generated: str = ""
    attributes: str = ""
    charset: str = ""
    in_key: bool = False

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
        first = [*([] if self.in_key else ["NULL"]), *self.edges][:count]
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

    def why_absent(self, beyond: bool, row: Mapping[str, Due]) -> str:
        """A pattern of what quarantine must say of a row that can't be loaded at all; empty where it can."""
        if beyond:
            return self.beyond_reason
        for name, due in row.items():
            if self.columns[name].in_key and due.text is None:
                no_date = f"NULL where the target takes none; MySQL holds '{due.no_date}'"
                return f"column {name}: {no_date if due.no_date else due.reason}"
        return ""

    @property
    def dated(self) -> bool:
        """Whether some column may hold a date that is none."""
        return any(one.family in (Family.DATE, Family.DATETIME, Family.TIMESTAMP) for one in self.columns.values())

    @property
    def create(self) -> str:
        """The table's definition, within its database."""
        columns = [f"`{name}` {one.definition}" for name, one in self.columns.items()]
        if self.key == "id":
            names = ["id", *(f"`{name}`" for name, one in self.columns.items() if one.in_key)]
            columns = ["id INT", *columns, f"PRIMARY KEY ({', '.join(names)})"]
        return f"CREATE TABLE `{self.name}` ({', '.join(columns)}) CHARACTER SET utf8mb4"


def bench(name: str, *specimens: Specimen, sql_mode: str = "STRICT_ALL_TABLES") -> Bench:
    """Columns are named by their family."""
    return Bench(name, {f"{one.family.name.lower()}{place}": one for place, one in enumerate(specimens)}, sql_mode=sql_mode)


def key_of(*specimens: Specimen) -> list[Specimen]:
    """They as parts of a key, where text is never widened later."""
    return [replace(one, in_key=True, target="VARCHAR(1024)" if one.family is Family.TEXT else one.target) for one in specimens]


def quoted(*texts: str) -> Literals:
    """Texts without quotes or backslashes."""
    return tuple(f"'{text}'" for text in texts)
