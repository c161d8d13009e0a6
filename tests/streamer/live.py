"""A server that goes on while it is read. A commit takes three steps, in binlog order: it is written to the binlog, where the dump may
send it at once; it is committed in the engine, where a SELECT sees it; it is added to gtid_executed."""

from dataclasses import dataclass, field
from random import Random

from contracts.position import BinlogPosition, GtidSet
from contracts.table import TableId
from streamer.core.selected import PythonRowPackets
from streamer.ports import ReadRequest, TableRows
from tests.fakes.tables import table_rows
from tests.streamer.binlog import FILE, SERVER, Source, Table, format_description, payload, query, xid

Rows = dict[int, dict[str, int]]
KEYS = 6


@dataclass(frozen=True)
class Moment:
    """What the tables are and hold after some transactions."""

    columns: dict[str, tuple[str, ...]]
    rows: dict[str, Rows]

    def after(self, table: str, rows: Rows, columns: tuple[str, ...] | None = None) -> "Moment":
        return Moment({**self.columns, table: columns or self.columns[table]}, {**self.rows, table: rows})


@dataclass
class LiveSource(Source):
    """Tables orders and items, over few keys, so that everything meets. `alters`: there are ALTERs that rewrite rows, too. `keyless`:
    tables of which the server does not say that `id` is a key."""

    rng: Random = field(default_factory=Random)
    alters: bool = True
    keyless: frozenset[str] = frozenset()
    moments: list[Moment] = field(default_factory=list)
    visible: int = 0
    executed_count: int = 0
    held: list[set[tuple[str, int | None]]] = field(default_factory=list)
    value: int = 0
    busy: bool = True

    def __post_init__(self) -> None:
        names = ("orders", "items")
        self.seen = tuple(TableId("shop", name) for name in names)
        columns: dict[str, tuple[str, ...]] = dict.fromkeys(names, ("id", "v"))
        self.moments = [Moment(columns, {name: {} for name in names})]

    @property
    def executed(self) -> GtidSet:
        return GtidSet.of({(SERVER, ""): [(1, self.executed_count + 1)]} if self.executed_count else {})

    @property
    def end(self) -> BinlogPosition:
        written = sum(len(item) for _, events in self.transactions for item in events)
        return BinlogPosition(FILE, 4 + len(format_description()) + written)

    def settle(self) -> None:
        self.visible = self.executed_count = len(self.transactions)

    def step(self, *, busy: bool) -> None:
        dice = self.rng.random()
        if dice < 0.45 and busy:
            self._write()
        elif dice < 0.75 and self.visible < len(self.transactions):
            self.visible += 1
        elif self.executed_count < self.visible:
            self.executed_count += 1

    def _write(self) -> None:
        locked = set().union(*self.held[self.visible :])  # until the engine has committed
        now, name, dice = self.moments[-1], self.rng.choice(("orders", "items")), self.rng.random()
        if any(table == name and key is None for table, key in locked):
            return
        if dice < 0.12:
            if not any(table == name for table, _ in locked):
                self._statement(now, name)
            return
        parts: list[list[bytes]] = []
        held: set[tuple[str, int | None]] = set()
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            key, other = self.rng.randrange(KEYS), self.rng.randrange(KEYS)
            if {(name, key), (name, other)} & (locked | held):
                continue
            now, part = self._change(now, name, key, other)
            held |= {(name, key), (name, other)}
            parts.append(part)
        if parts:
            events = [query("BEGIN"), *(item for part in parts for item in part), xid()]
            if self.rng.random() < 0.2:
                # Shown, for a text may mean anything; and rows before it that nobody takes.
                events[1:1] = [*Table("others", database="elsewhere").insert((1, 1)), query("SAVEPOINT a")]
            self.raw(*([payload(*events)] if self.rng.random() < 0.3 else events))
            self._took(now, held)

    def _change(self, now: Moment, name: str, key: int, other: int) -> tuple[Moment, list[bytes]]:
        rows, columns = dict(now.rows[name]), now.columns[name]
        table = Table(name, columns, key_columns=name not in self.keyless)
        self.value += 1
        new = dict.fromkeys(columns, self.value) | {"id": key}
        before = rows.pop(key, None)
        dice = self.rng.random()

        def image(row: dict[str, int]) -> list[int | None]:
            return [row[column] for column in columns]

        if before is None:
            part = table.insert(image(new))
        elif dice < 0.25:
            return now.after(name, rows), table.delete(image(before))
        elif dice < 0.45 and other not in rows and other != key:
            new["id"] = other
            part = table.update((image(before), image(new)))
        else:
            part = table.update((image(before), image(new)))
        rows[new["id"]] = new
        return now.after(name, rows), part

    def _statement(self, now: Moment, name: str) -> None:
        dice, rows = self.rng.random(), now.rows[name]
        if dice < 0.4 or not self.alters:
            self.raw(query(f"TRUNCATE TABLE {name}"))
            now = now.after(name, {})
        elif dice < 0.7:
            self.raw(query(f"ALTER TABLE {name} TRUNCATE PARTITION p0"))
            now = now.after(name, {key: row for key, row in rows.items() if key % 2})
        elif len(now.columns[name]) < 5:
            self.value += 1
            added = f"c{len(now.columns[name])}"
            self.raw(query(f"ALTER TABLE {name} ADD COLUMN {added} INT NOT NULL DEFAULT {self.value}"))
            now = now.after(name, {key: {**row, added: self.value} for key, row in rows.items()}, (*now.columns[name], added))
        else:
            return
        self._took(now, {(name, None)})

    def _took(self, now: Moment, held: set[tuple[str, int | None]]) -> None:
        self.moments.append(now)
        self.held.append(held)


class FakeTableReader:
    """A TableReader that takes its time between what it asks the server."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self._asked: ReadRequest | None = None
        self._found: tuple[Moment, int] | None = None

    def ask(self, request: ReadRequest) -> None:
        assert self._asked is None
        self._asked, self._found = request, None

    def rows(self) -> TableRows | None:
        source, asked = self._source, self._asked
        assert asked is not None
        if self._found is None:
            if not asked.streamed.is_subset(source.executed) or source.rng.random() < 0.3:
                return None
            self._found = (source.moments[source.visible], int(source.time.now().timestamp() * 1_000_000))
        for _ in range(source.rng.randrange(3)):
            source.step(busy=source.busy)
        if source.rng.random() < 0.3:
            return None
        moment, read_us = self._found
        self._asked = None
        name = asked.table.name
        if name not in moment.columns:
            return TableRows(SERVER, None, PythonRowPackets(), None, True, source.end, read_us)
        return table_rows(asked, moment.columns[name], moment.rows[name], source.end, read_us, SERVER, keyless=name in source.keyless)

    def abandon(self) -> None:
        self._asked = None

    def close(self) -> None:
        self._asked = None
