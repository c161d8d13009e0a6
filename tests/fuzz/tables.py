"""What the generator knows of a table: enough to write statements that MySQL takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from tests.fuzz.columns import TYPES, Column, Family, Type, becomes

IDS = 300
"""Rows are made with ids below this; keys that change and copies go above."""
BOUNDS = (100, 200)
"""Where the partitions of a partitioned table end; the last one has no end."""

KEY_TYPES = [one for one in TYPES if one.sql in ("INT", "BIGINT", "INT UNSIGNED", "BIGINT UNSIGNED")]
SUB = Type(Family.TEXT, "VARCHAR(20) CHARACTER SET utf8mb4", 0, "sub")
# Names that have to be quoted, that are not ASCII, or that the warehouse cannot hold. None over 64 bytes: MySQL fails to drop such a
# column in an instant (error 3507).
NAMES = ("a", "b", "Total", "order", "gross weight", "größe", "x`y", "note", "ctid", "E", "日付", "d" * 64)


@dataclass(frozen=True, slots=True)
class Table:
    """`name`: within the seed's database, or with a database before it. `key`: names of its columns, the first a number. `partitioned`:
    by RANGE of it. `rows`: whether it may hold any."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitioned: bool = False

    @property
    def quoted(self) -> str:
        return ".".join(f"`{part}`" for part in self.name.split("."))

    @property
    def id(self) -> Column:
        return self.column(self.key[0])

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def own(self) -> list[Column]:
        """Columns a row is written with."""
        return [column for column in self.columns if not column.generated]

    @property
    def loose(self) -> list[Column]:
        """Those that are neither of the key nor generated."""
        return [column for column in self.own if column.name not in self.key]

    @property
    def generated(self) -> list[Column]:
        return [column for column in self.columns if column.generated]

    def free_names(self) -> list[str]:
        taken = {column.name.lower() for column in self.columns}
        return [name for name in NAMES if name.lower() not in taken]

    def with_column(self, column: Column, place: int) -> "Table":
        return replace(self, columns=(*self.columns[:place], column, *self.columns[place:]))

    def without(self, name: str) -> "Table":
        return replace(self, columns=tuple(column for column in self.columns if column.name != name))

    def altered(self, name: str, column: Column) -> "Table":
        return replace(
            self,
            columns=tuple(column if one.name == name else one for one in self.columns),
            key=tuple(column.name if one == name else one for one in self.key),
        )

    def create(self, *, if_not_exists: bool = False) -> str:
        parts = [column.sql for column in self.columns]
        parts.append(f"PRIMARY KEY ({self.key_sql})")
        return f"CREATE TABLE {'IF NOT EXISTS ' if if_not_exists else ''}{self.quoted} ({', '.join(parts)}){self.partition_sql}"

    @property
    def key_sql(self) -> str:
        return ", ".join(self.column(name).quoted for name in self.key)

    @property
    def partition_sql(self) -> str:
        if not self.partitioned:
            return ""
        first, second = BOUNDS
        ranges = (
            f"PARTITION p0 VALUES LESS THAN ({first}), PARTITION p1 VALUES LESS THAN ({second}), PARTITION p2 VALUES LESS THAN MAXVALUE"
        )
        return f" PARTITION BY RANGE ({self.id.quoted}) ({ranges})"


def new_column(name: str, random: Random, *, types: Sequence[Type] = TYPES) -> Column:
    kind = random.choice(types)
    column = Column(name, kind, nullable=random.random() < 0.6)
    if kind.takes_default and random.random() < 0.5:
        column = replace(column, default=replace(column, nullable=False).value(random))
    return replace(column, invisible=random.random() < 0.1)


def new_table(name: str, random: Random, *, partitioned: bool = False) -> Table:
    key = [Column("id", random.choice(KEY_TYPES), nullable=False)]
    if random.random() < 0.3:
        key.append(Column("sub", SUB, nullable=False, default="''"))
    table = Table(name, tuple(key), tuple(column.name for column in key), partitioned)
    for _ in range(random.randint(1, 5)):
        table = table.with_column(new_column(random.choice(table.free_names()), random), random.randint(0, len(table.columns)))
    return table


def modified(column: Column, random: Random, *, lax: bool) -> Column:
    """The column as a MODIFY may make it."""
    kind = random.choice([*becomes(column.type, lax=lax), column.type])
    # Where the session is strict, a column that holds NULLs can't be NOT NULL.
    nullable = random.random() < 0.6 if lax else True if column.nullable else random.random() < 0.5
    plain = Column(column.name, kind, nullable)
    if kind.takes_default and random.random() < 0.4:
        plain = replace(plain, default=replace(plain, nullable=False).value(random))
    return plain
