"""What the applications do to MySQL: random transactions, and what every table holds after each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from random import Random

from contracts.envelope import Op
from contracts.position import Gtid, GtidSet
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.plan import Mode

SERVER = "11111111-2222-3333-4444-555555555555"
KEYS = 5
DELETES, MOVES = 0.25, 0.3
"""How often a change of a row there is deletes it, or moves it to another key that is free."""
FIRST_COMMIT_US = 1_755_184_000_000_000

Row = dict[str, int | None]


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A captured table: the shard that owns it, how its target follows, and its schema before and after its ALTER TABLE."""

    table: TableId
    shard: int
    mode: Mode
    schemas: tuple[TableSchema, TableSchema]


def source_table(name: str, shard: int, mode: Mode) -> SourceTable:
    table = TableId("shop", name)
    columns = (Column("id", Kind.BIGINT, nullable=False), Column("v", Kind.BIGINT))
    later = (*columns, Column("w", Kind.BIGINT))
    return SourceTable(table, shard, mode, (TableSchema(table, columns, ("id",)), TableSchema(table, later, ("id",))))


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row of a transaction. `version`: of the table's schemas, the one in force."""

    table: SourceTable
    op: Op
    before: Row | None
    after: Row | None
    version: int
    key_change: bool = False

    @property
    def schema(self) -> TableSchema:
        return self.table.schemas[self.version]


@dataclass(frozen=True, slots=True)
class SourceTransaction:
    """`ddl`: the statement, where it is one; `of` then is its table."""

    gtid: Gtid
    commit_us: int
    changes: tuple[RowChange, ...]
    ddl: str = ""
    of: SourceTable | None = None

    @property
    def locks(self) -> frozenset[tuple[TableId, int | None]]:
        """The rows it holds until the engine has committed it, by table and key; None is the whole table."""
        if self.of is not None:
            return frozenset({(self.of.table, None)})
        rows = [(change.table.table, row) for change in self.changes for row in (change.before, change.after) if row is not None]
        return frozenset((table, row["id"]) for table, row in rows)


@dataclass
class History:
    """Transactions in commit order. After g of them `states[g]` holds the rows of every table by key, `versions[g]` which of its schemas is
    in force."""

    tables: tuple[SourceTable, ...]
    transactions: list[SourceTransaction] = field(default_factory=list)
    states: list[Mapping[TableId, Mapping[int, Row]]] = field(default_factory=list)
    versions: list[Mapping[TableId, int]] = field(default_factory=list)

    @property
    def all(self) -> GtidSet:
        return executed(len(self.transactions))


@cache
def executed(count: int) -> GtidSet:
    """The first so many transactions of the server."""
    return GtidSet.of({(SERVER, ""): [(1, count + 1)]} if count else {})


def write_history(rng: Random, tables: tuple[SourceTable, ...], used: int, count: int, *, statements: float, rewrites: bool) -> History:
    """`count` transactions over few keys of the first `used` tables, so that they meet. `statements`: how many of them are DDL; `rewrites`:
    some of it changes rows without row events."""
    history = History(tables)
    rows: dict[TableId, dict[int, Row]] = {t.table: {} for t in tables}
    versions = {t.table: 0 for t in tables}
    history.states.append({table: {} for table in rows})
    history.versions.append(dict(versions))
    writer = _Writer(rng, rows, versions, statements, rewrites)
    commit_us = FIRST_COMMIT_US
    for number in range(1, count + 1):
        # Servers' clocks step back now and then.
        commit_us += rng.randrange(1, 900_000) if rng.random() < 0.9 else -rng.randrange(1, 400_000)
        changes, ddl, of = writer.transaction(tables[:used])
        history.transactions.append(SourceTransaction(Gtid(SERVER, number), commit_us, changes, ddl, of))
        history.states.append({table: dict(found) for table, found in rows.items()})
        history.versions.append(dict(versions))
    return history


Written = tuple[tuple[RowChange, ...], str, SourceTable | None]


@dataclass
class _Writer:
    rng: Random
    rows: dict[TableId, dict[int, Row]]
    versions: dict[TableId, int]
    statements: float
    rewrites: bool
    value: int = 0

    def transaction(self, tables: tuple[SourceTable, ...]) -> Written:
        """Its changes; for DDL its statement and table."""
        rng = self.rng
        if rng.random() < self.statements:
            return self._statement(rng.choice(tables))
        changes: list[RowChange] = []
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            changes += self._change(rng.choice(tables))
        return tuple(changes), "", None

    def _statement(self, of: SourceTable) -> Written:
        dice, held, name = self.rng.random(), self.rows[of.table], of.table.name
        if self.rewrites and dice < 0.3:
            self.rows[of.table] = {key: row for key, row in held.items() if key % 2}
            return (), f"ALTER TABLE {name} TRUNCATE PARTITION p0", of
        if dice < 0.6:
            held.clear()
            return (RowChange(of, Op.TRUNCATE, None, None, self.versions[of.table]),), f"TRUNCATE TABLE {name}", of
        if self.versions[of.table]:
            return (), f"ANALYZE TABLE {name}", of
        return self._add_column(of)

    def _add_column(self, of: SourceTable) -> Written:
        """The rows there are get the column without row events; NULL in it is as good as none."""
        self.versions[of.table] = 1
        value = None
        if self.rewrites and self.rng.random() < 0.7:
            self.value += 1
            value = self.value
        held = self.rows[of.table]
        held.update({key: {**row, "w": value} for key, row in held.items()})
        default = "" if value is None else f" NOT NULL DEFAULT {value}"
        return (), f"ALTER TABLE {of.table.name} ADD COLUMN w INT{default}", of

    def _change(self, of: SourceTable) -> list[RowChange]:
        rng, held, version = self.rng, self.rows[of.table], self.versions[of.table]
        key, dice = rng.randrange(KEYS), rng.random()
        before = held.get(key)
        if before is None:
            after = held[key] = self._row(key, version)
            return [RowChange(of, Op.CREATE, None, after, version)]
        if dice < DELETES:
            del held[key]
            return [RowChange(of, Op.DELETE, before, None, version)]
        other = rng.randrange(KEYS)
        if dice < DELETES + MOVES and other not in held:
            del held[key]
            after = held[other] = {**before, "id": other}
            return [
                RowChange(of, Op.DELETE, before, None, version, key_change=True),
                RowChange(of, Op.CREATE, None, after, version, key_change=True),
            ]
        after = held[key] = self._row(key, version)
        return [RowChange(of, Op.UPDATE, before, after, version)]

    def _row(self, key: int, version: int) -> Row:
        self.value += 1
        return {"id": key, "v": self.value, "w": -self.value} if version else {"id": key, "v": self.value}
