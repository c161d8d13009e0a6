"""Which tables a pipeline captures: include and exclude patterns over `db.table`."""

import re
from dataclasses import dataclass

from contracts.table import TableId

SYSTEM_DATABASES = frozenset({"information_schema", "mysql", "performance_schema", "sys"})


@dataclass(frozen=True, slots=True)
class TablePattern:
    """`db.table` in MySQL's own case, `*` standing for any run of characters in either part; nothing else is special.
    Raises ValueError when there is no dot between two parts."""

    text: str

    def __post_init__(self) -> None:
        database, _, name = self.text.partition(".")
        if not database or not name:
            raise ValueError(f"not a table pattern: {self.text!r}; write db.table, with * for any characters: shop.*")
        if database.lower() in SYSTEM_DATABASES:
            raise ValueError(f"table pattern {self.text!r}: the server's own tables in {database} are never captured")

    def matches(self, table: TableId) -> bool:
        database, _, name = self.text.partition(".")
        return _glob(database, table.database) and _glob(name, table.name)


@dataclass(frozen=True, slots=True)
class TableSelection:
    """Captured is what some include pattern matches and no exclude pattern; the server's own databases never are."""

    include: tuple[TablePattern, ...]
    exclude: tuple[TablePattern, ...] = ()

    @classmethod
    def of(cls, include: tuple[str, ...], exclude: tuple[str, ...] = ()) -> "TableSelection":
        """Raises ValueError naming the pattern that isn't one."""
        return cls(tuple(map(TablePattern, include)), tuple(map(TablePattern, exclude)))

    def captures(self, table: TableId) -> bool:
        return (
            table.database.lower() not in SYSTEM_DATABASES
            and any(pattern.matches(table) for pattern in self.include)
            and not any(pattern.matches(table) for pattern in self.exclude)
        )


def _glob(pattern: str, name: str) -> bool:
    # Not fnmatch: `[` and `?` are letters of MySQL names like any other.
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None
