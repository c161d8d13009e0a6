"""Events → source transactions: where each begins, its captured rows, the statements in it, where it is committed.

Whatever could hide a change of a captured table stops the stream here: a lost-events incident, a transaction without GTID, rows whose
outcome is open (XA), rows the server may undo, changes logged as statements.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from contracts.errors import Corrupt, Gone, Refused
from contracts.position import BinlogPosition, Gtid
from contracts.table import TableId
from streamer.core.ddl import Control, DatabaseDropped, StatementDml, TableChange, Unreadable, Xa, XaVerb, read_statement
from streamer.core.events import FormatDescription, Incident, Query, RowsEvent, XaPrepare, Xid
from streamer.core.gtids import AnonymousGtid, GtidEvent
from streamer.core.schemas import TableMap
from streamer.core.sql import TokenKind, tokens
from streamer.core.stream import Located


@dataclass(frozen=True, slots=True)
class Began:
    """A transaction begins. `commit_us`: when it was committed on the server we read from. `xid`: it is an XA transaction, its outcome
    open."""

    gtid: Gtid
    commit_us: int
    xid: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a captured table, their images still bytes. `ts_ms`: the server's clock at the statement."""

    event: RowsEvent
    table: TableMap
    ts_ms: int
    server_id: int
    start: BinlogPosition


@dataclass(frozen=True, slots=True)
class Ddl:
    """DDL on tables, captured or not."""

    change: TableChange | DatabaseDropped
    ts_ms: int
    server_id: int
    start: BinlogPosition


@dataclass(frozen=True, slots=True)
class Committed:
    """The transaction that began last is whole. `end`: where the next one begins."""

    gtid: Gtid
    commit_us: int
    end: BinlogPosition


Step = Began | Rows | Ddl | Committed


class SourceTransactions:
    """Feed every located event once, in order."""

    def __init__(self, captures: Callable[[TableId], bool]) -> None:
        self._captures = captures
        self._captured: dict[TableId, bool] = {}
        self._gtid: GtidEvent | None = None
        self._begun = False
        self._xid: str | None = None
        self._rows = False  # of captured tables, in the transaction under way

    @property
    def under_way(self) -> Gtid | None:
        """The transaction whose end has not come yet."""
        return self._gtid.gtid if self._gtid else None

    def feed(self, at: Located) -> Iterator[Step]:
        """Raises Corrupt, Gone, Refused for what must stop the stream, naming GTID and position."""
        event = at.event
        if isinstance(event, RowsEvent):
            if event.table is not None and self.captures(event.table.table):
                if not self._begun:
                    raise Corrupt(f"rows of {event.table.table} outside a transaction, at {at.start}")
                self._rows = True
                yield Rows(event, event.table, at.header.timestamp_s * 1000, at.header.server_id, at.start)
        elif isinstance(event, GtidEvent):
            if self._gtid is not None:
                raise Corrupt(f"transaction {event.gtid} begins inside {self._gtid.gtid}, at {at.start}")
            self._gtid = event
        elif isinstance(event, Query):
            yield from self._query(event, at)
        elif isinstance(event, Xid):
            yield self._committed(at)
        elif isinstance(event, XaPrepare):
            if self._rows and not event.one_phase:
                raise Refused(
                    f"XA transaction {event.xid} ({self.under_way}, at {at.start}) changed captured tables, and whether it will be "
                    "committed is not known when its rows are read; XA is not supported on captured tables: exclude them, or stop "
                    "using XA there",
                    xid=event.xid,
                )
            yield self._committed(at)
        elif isinstance(event, AnonymousGtid):
            raise Refused(
                f"a transaction without GTID at {at.start}: it was written while gtid_mode was not ON, and the stream cannot be taken up "
                "after it. PURGE BINARY LOGS up to a file begun after gtid_mode = ON, then start a new pipeline"
            )
        elif isinstance(event, Incident):
            raise Gone(
                f"the server says it lost events at {at.start}: {event.message}. Changes may be missing from its binlog for ever; the "
                "tables must be read anew under a new pipeline name"
            )
        elif isinstance(event, FormatDescription) and self._gtid is not None:
            raise Corrupt(f"transaction {self._gtid.gtid} is cut off: a new binlog file begins at {at.start} before its end")

    def captures(self, table: TableId) -> bool:
        known = self._captured.get(table)
        if known is None:
            known = self._captured[table] = self._captures(table)
        return known

    def _query(self, query: Query, at: Located) -> Iterator[Step]:
        if self._gtid is None:
            raise Corrupt(f"a statement outside a transaction at {at.start}")
        found = read_statement(query)
        if not self._begun:
            if isinstance(found, Xa):
                # START opens one whose outcome is open; COMMIT and ROLLBACK end one that was prepared earlier, and hold no rows.
                self._xid = found.xid if found.verb is XaVerb.START else None
            yield self._began()
            if found is Control.BEGIN or self._xid is not None:
                return
            yield from self._ddl(found, query, at)
            yield self._committed(at)
        elif found is Control.COMMIT:
            yield self._committed(at)
        elif found in (Control.ROLLBACK, Control.ROLLBACK_TO):
            if self._rows:
                raise Refused(
                    f"transaction {self._gtid.gtid} at {at.start}: the binlog holds rows of captured tables and then a ROLLBACK, so some "
                    "of them were undone and some (of tables without transactions) were not; convert the tables it touches to InnoDB"
                )
            if found is Control.ROLLBACK:
                yield self._committed(at)
        else:
            yield from self._ddl(found, query, at)

    def _ddl(self, found: object, query: Query, at: Located) -> Iterator[Step]:
        if isinstance(found, TableChange | DatabaseDropped):
            yield Ddl(found, at.header.timestamp_s * 1000, at.header.server_id, at.start)
        elif isinstance(found, StatementDml) and self._may_touch_captured(query):
            raise Refused(
                f"transaction {self.under_way} at {at.start}: a change of rows is logged as a statement ({found.verb} …), so its rows "
                "cannot be known. Some session sets binlog_format = STATEMENT; take that right from it (SYSTEM_VARIABLES_ADMIN, "
                "SESSION_VARIABLES_ADMIN), and read the tables anew under a new pipeline name"
            )
        elif isinstance(found, Unreadable) and self._may_touch_captured(query):
            raise Refused(f"transaction {self.under_way} at {at.start}: a {found.verb.value} of tables whose names could not be made out")

    def _may_touch_captured(self, query: Query) -> bool:
        """Any word of the statement may name a table, so every one of them is held against the selection."""
        names = [token.text for token in tokens(query.sql, query.sql_mode) if token.kind in (TokenKind.WORD, TokenKind.QUOTED)]
        tables = {TableId(query.schema, name) for name in names if query.schema}
        tables |= {TableId(database, name) for database, name in pairwise(names)}
        return any(self.captures(table) for table in sorted(tables))

    def _began(self) -> Began:
        assert self._gtid is not None
        self._begun = True
        return Began(self._gtid.gtid, self._gtid.immediate_commit_us, self._xid)

    def _committed(self, at: Located) -> Committed:
        if self._gtid is None or not self._begun:
            raise Corrupt(f"the end of a transaction that did not begin, at {at.end}")
        done = Committed(self._gtid.gtid, self._gtid.immediate_commit_us, at.end)
        self._gtid, self._begun, self._xid, self._rows = None, False, None, False
        return done
