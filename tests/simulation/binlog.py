"""A History as the server writes it into its binlog, one transaction after another, and holds it in its tables."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random

from contracts.envelope import Op
from contracts.position import Gtid
from streamer.ports import ReadRequest, TableRows
from tests.fakes.binlog import Server
from tests.fakes.clock import Time
from tests.fakes.tables import table_rows
from tests.simulation.source import SERVER, History, Row, RowChange, SourceTransaction
from tests.streamer.binlog import Table, gtid, query, xid

AHEAD = 1_000
"""Where the first server's binlog begins: a place in that of the one that takes over lies before what the stream has passed by then."""

STEP_MAX_MS = 1_500
"""The longest each step of a commit takes: two are less than the streamer waits for a server to commit what it has sent."""


class LiveServer(Server):
    """A server that goes through a History. `past`: how much of it lies behind it when it begins to be looked at."""

    def __init__(self, history: History, time: Time, past: int, uuid: str = SERVER, begins_at: int = AHEAD) -> None:
        binlog: list[tuple[Gtid, list[bytes]]] = [(t.gtid, list(_events(t))) for t in history.transactions]
        super().__init__(uuid, time, binlog, history.executed.__getitem__, [table.table for table in history.tables], begins_at=begins_at)
        self.history = history
        self._tables = {table.table: table for table in history.tables}
        for _ in range(past):
            self.write(timedelta(), timedelta())

    @property
    def over(self) -> bool:
        """Whether it has written what it will."""
        return self.written == (self.history.stops_at if self.uuid == SERVER else len(self.binlog))

    def go_on(self, rng: Random) -> None:
        """The next transaction is written, unless the engine has yet to commit one whose rows it waits for."""
        transactions = self.history.transactions
        wanted = transactions[self.written].locks
        held = frozenset[tuple[object, int | None]]().union(*(t.locks for t in transactions[self.visible : self.written]))
        tables = {table for table, _ in held}
        whole = {table for table, key in held if key is None}
        if any(table in whole or (table in tables if key is None else (table, key) in held) for table, key in wanted):
            return
        visible, later = (timedelta(milliseconds=rng.choice((0, rng.randrange(STEP_MAX_MS)))) for _ in range(2))
        self.write(visible, later)

    def read(self, asked: ReadRequest, moment: int) -> TableRows:
        """What was asked for, as it was after so many transactions; the end of the binlog as it is now."""
        schema = self._tables[asked.table].schemas[self.history.versions[moment][asked.table]]
        columns = [column.name for column in schema.columns]
        read_us = int(self.time.now().timestamp() * 1_000_000)
        return table_rows(asked, columns, self.history.states[moment][asked.table], self.end, read_us, self.uuid)


def _events(transaction: SourceTransaction) -> Iterator[bytes]:
    yield gtid(transaction.gtid.number, transaction.commit_us, transaction.gtid.server)
    if transaction.ddl:
        yield query(transaction.ddl)
        return
    changes = transaction.changes
    yield query("BEGIN")
    at = 0
    while at < len(changes):
        yield from _rows(changes[at], changes[at + 1] if changes[at].key_change else None)
        at += 2 if changes[at].key_change else 1
    yield xid()


def _rows(change: RowChange, partner: RowChange | None) -> list[bytes]:
    """A key change is one UPDATE; `partner`: the other half of it."""
    columns = tuple(column.name for column in change.schema.columns)
    table = Table(change.table.table.name, columns)

    def values(row: Row | None) -> list[int | None]:
        return [(row or {}).get(name) for name in columns]

    if partner is not None:
        return table.update((values(change.before), values(partner.after)))
    if change.op is Op.UPDATE:
        return table.update((values(change.before), values(change.after)))
    return table.insert(values(change.after)) if change.op is Op.CREATE else table.delete(values(change.before))
