"""A History as the server writes it into its binlog."""

from collections.abc import Iterator

from contracts.envelope import Op
from contracts.position import Gtid
from tests.fakes.binlog import Server
from tests.simulation.source import SERVER, History, Row, RowChange, SourceTransaction
from tests.streamer.binlog import Table, gtid, query, xid


def server_of(history: History) -> Server:
    """A server that has executed all of it."""
    binlog: list[tuple[Gtid, list[bytes]]] = [(t.gtid, list(_events(t))) for t in history.transactions]
    return Server(SERVER, history.executed(len(history.transactions)), binlog, [table.table for table in history.tables])


def _events(transaction: SourceTransaction) -> Iterator[bytes]:
    yield gtid(transaction.gtid.number, transaction.commit_us)
    changes = transaction.changes
    if not changes:
        yield query("ALTER TABLE orders ADD COLUMN w INT")
        return
    if changes[0].op is Op.TRUNCATE:
        yield query(f"TRUNCATE TABLE {changes[0].table.table.name}")
        return
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
