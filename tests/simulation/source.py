"""What the applications do to MySQL: random transactions, and what every table holds after each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from contracts.envelope import Op
from contracts.position import Gtid, GtidSet
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.plan import Mode

SERVER = "11111111-2222-3333-4444-555555555555"
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
    gtid: Gtid
    commit_us: int
    changes: tuple[RowChange, ...]


@dataclass
class History:
    """Transactions in commit order. `states[g]` holds, after g of them, the rows of every table by key."""

    tables: tuple[SourceTable, ...]
    transactions: list[SourceTransaction] = field(default_factory=list)
    states: list[Mapping[TableId, Mapping[int, Row]]] = field(default_factory=list)

    def executed(self, count: int) -> GtidSet:
        return GtidSet.of({(SERVER, ""): [(1, count + 1)]} if count else {})


def write_history(rng: Random, tables: tuple[SourceTable, ...], count: int) -> History:
    """`count` transactions over few keys, so that they meet."""
    history = History(tables)
    rows: dict[TableId, dict[int, Row]] = {t.table: {} for t in tables}
    versions = {t.table: 0 for t in tables}
    history.states.append({table: {} for table in rows})
    writer = _Writer(rng, rows, versions)
    commit_us = FIRST_COMMIT_US
    for number in range(1, count + 1):
        # Servers' clocks step back now and then.
        commit_us += rng.randrange(1, 900_000) if rng.random() < 0.9 else -rng.randrange(1, 400_000)
        history.transactions.append(SourceTransaction(Gtid(SERVER, number), commit_us, writer.transaction(tables)))
        history.states.append({table: dict(found) for table, found in rows.items()})
    return history


@dataclass
class _Writer:
    rng: Random
    rows: dict[TableId, dict[int, Row]]
    versions: dict[TableId, int]
    value: int = 0

    def transaction(self, tables: tuple[SourceTable, ...]) -> tuple[RowChange, ...]:
        rng = self.rng
        if rng.random() < 0.1:  # DDL: empty, or all there is in its transaction
            return self._truncate(rng.choice(tables)) if rng.random() < 0.6 else self._alter(rng.choice(tables))
        changes: list[RowChange] = []
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            changes += self._change(rng.choice(tables))
        return tuple(changes)

    def _truncate(self, of: SourceTable) -> tuple[RowChange, ...]:
        self.rows[of.table].clear()
        return (RowChange(of, Op.TRUNCATE, None, None, self.versions[of.table]),)

    def _alter(self, of: SourceTable) -> tuple[RowChange, ...]:
        """ADD COLUMN: the rows there are get NULL without a row event."""
        if self.versions[of.table] == 0:
            self.versions[of.table] = 1
            held = self.rows[of.table]
            held.update({key: {**row, "w": None} for key, row in held.items()})
        return ()

    def _change(self, of: SourceTable) -> list[RowChange]:
        rng, held, version = self.rng, self.rows[of.table], self.versions[of.table]
        key, dice = rng.randrange(4), rng.random()
        before = held.get(key)
        if before is None:
            after = held[key] = self._row(key, version)
            return [RowChange(of, Op.CREATE, None, after, version)]
        if dice < 0.25:
            del held[key]
            return [RowChange(of, Op.DELETE, before, None, version)]
        other = rng.randrange(4)
        if dice < 0.4 and other not in held:
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
