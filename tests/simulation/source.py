"""What the applications do to MySQL: random transactions, and what every table holds after each; and what becomes of them when another
server takes over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from contracts.envelope import Op
from contracts.position import Gtid, GtidSet
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.plan import Mode

SERVER = "11111111-2222-3333-4444-555555555555"
REPLICA = "11111111-2222-3333-4444-666666666666"
"""The server that takes over, when one does."""

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
    in force, and `executed[g]` is what the server has executed.

    `moves_at`: how many of them the first server has written when another one takes over, None when none does. `lost`: its transactions,
    when the other one lacks the last of them; those behind `moves_at` then are the other server's own."""

    tables: tuple[SourceTable, ...]
    transactions: list[SourceTransaction]
    states: list[Mapping[TableId, Mapping[int, Row]]]
    versions: list[Mapping[TableId, int]]
    executed: list[GtidSet]
    moves_at: int | None = None
    lost: "History | None" = None

    @classmethod
    def empty(cls, tables: tuple[SourceTable, ...]) -> "History":
        return cls(tables, [], [{t.table: {} for t in tables}], [{t.table: 0 for t in tables}], [GtidSet()])

    def copy(self) -> "History":
        return History(self.tables, [*self.transactions], [*self.states], [*self.versions], [*self.executed])

    @property
    def all(self) -> GtidSet:
        return self.executed[-1]

    @property
    def stops_at(self) -> int:
        """How many transactions the first server writes."""
        return len(self.transactions) if self.moves_at is None else self.moves_at

    def moment(self, of: GtidSet) -> "tuple[History, int] | None":
        """When a server had executed just that: whose history it is, and after how many of its transactions. None for never."""
        count = of.count()
        for history in (self, *((self.lost,) if self.lost else ())):
            if count < len(history.executed) and history.executed[count] == of:
                return history, count
        return None


def write_history(
    rng: Random,
    tables: tuple[SourceTable, ...],
    used: int,
    count: int,
    *,
    statements: float,
    rewrites: bool,
    moves: tuple[int, int] | None = None,
) -> History:
    """`count` transactions over few keys of the first `used` tables, so that they meet. `statements`: how many of them are DDL; `rewrites`:
    some of it changes rows without row events. `moves`: after how many another server takes over, and how many of those it lacks."""
    history = History.empty(tables)
    writer = _Writer(rng, tables[:used], statements, rewrites)
    if moves is None:
        writer.write(history, SERVER, count)
        return history
    stops_at, lacks = moves
    writer.write(history, SERVER, stops_at - lacks)
    lost = history.copy() if lacks else None
    if lost is not None:
        writer.write(lost, SERVER, lacks)
    history.moves_at, history.lost = stops_at - lacks, lost
    writer.write(history, REPLICA, count - stops_at)
    return history


Written = tuple[tuple[RowChange, ...], str, SourceTable | None]


@dataclass
class _Writer:
    rng: Random
    tables: tuple[SourceTable, ...]
    statements: float
    rewrites: bool
    value: int = 0
    commit_us: int = FIRST_COMMIT_US
    rows: dict[TableId, dict[int, Row]] = field(default_factory=dict)
    versions: dict[TableId, int] = field(default_factory=dict)

    def write(self, history: History, server: str, count: int) -> None:
        """So many transactions more, the first of this server's own or those that follow on its last."""
        rng = self.rng
        self.rows = {table: dict(rows) for table, rows in history.states[-1].items()}
        self.versions = dict(history.versions[-1])
        number = sum(1 for transaction in history.transactions if transaction.gtid.server == server)
        for _ in range(count):
            number += 1
            # Servers' clocks step back now and then.
            self.commit_us += rng.randrange(1, 900_000) if rng.random() < 0.9 else -rng.randrange(1, 400_000)
            changes, ddl, of = self._transaction()
            gtid = Gtid(server, number)
            history.transactions.append(SourceTransaction(gtid, self.commit_us, changes, ddl, of))
            history.states.append({table: dict(found) for table, found in self.rows.items()})
            history.versions.append(dict(self.versions))
            history.executed.append(history.executed[-1].with_gtid(gtid))

    def _transaction(self) -> Written:
        """Its changes; for DDL its statement and table."""
        rng, tables = self.rng, self.tables
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
