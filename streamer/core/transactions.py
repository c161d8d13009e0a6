"""The events that are not of the common run → what they mean: where a transaction begins or ends, DDL, what must stop the stream.

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
from streamer.core.dml import is_bookkeeping
from streamer.core.events import Incident, Query, XaPrepare
from streamer.core.gtids import AnonymousGtid
from streamer.core.names import Spelling, as_typed
from streamer.core.sql import TokenKind, tokens
from streamer.core.stream import Located


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The transaction whose GTID came last and whose end has not come yet. `begun`: its first event has. `rows`: of captured tables, were
    in it. `commit_us`: when it was committed on the server we read from."""

    gtid: Gtid
    commit_us: int
    begun: bool
    rows: bool


@dataclass(frozen=True, slots=True)
class Began:
    """A transaction begins. `commit_us`: when it was committed on the server we read from. `xid`: it is an XA transaction, its outcome
    open."""

    gtid: Gtid
    commit_us: int
    xid: str | None = None


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


Meaning = Began | Ddl | Committed


class EventJudge:
    """Says what an event means that a decoder shows. `captures`: which tables are ours. `spell`: how the server spells names."""

    def __init__(self, captures: Callable[[TableId], bool], spell: Spelling = as_typed) -> None:
        self._captures = captures
        self._spell = spell
        self._captured: dict[TableId, bool] = {}

    def judge(self, at: Located, under_way: UnderWay | None) -> Iterator[Meaning]:
        """Raises Corrupt, Gone, Refused for what must stop the stream, naming GTID and position."""
        event = at.event
        if isinstance(event, Query):
            yield from self._query(event, at, under_way)
        elif isinstance(event, XaPrepare):
            if under_way is not None and under_way.rows and not event.one_phase:
                raise Refused(
                    f"XA transaction {event.xid} ({under_way.gtid}, at {at.start}) changed captured tables, and whether it will be "
                    "committed is not known when its rows are read; XA is not supported on captured tables. Stop using it there "
                    "and end what is prepared, then: streamer adopt-server --yes, which empties every table and reads it again; or "
                    "exclude those tables",
                    fault="xa",
                    xid=event.xid,
                )
            yield _committed(at, under_way)
        elif isinstance(event, AnonymousGtid):
            raise Refused(
                f"a transaction without GTID at {at.start}: it was written while gtid_mode was not ON, and the stream cannot be taken up "
                "after it. PURGE BINARY LOGS up to a file begun after gtid_mode = ON, then start a new pipeline"
            )
        elif isinstance(event, Incident):
            raise Gone(
                f"the server says it lost events at {at.start}: {event.message}. Changes may be missing from its binlog for ever: streamer "
                "adopt-server --yes, which empties every table and reads it again",
                fault="incident",
            )
        else:
            raise ValueError(f"nobody has to judge a {type(event).__name__}")

    def captures(self, table: TableId) -> bool:
        known = self._captured.get(table)
        if known is None:
            known = self._captured[table] = self._captures(table)
        return known

    def spells(self, table: TableId) -> bool:
        """Whether the server would have a table under this very name; it may find one of another."""
        return table == TableId(self._spell(table.database), self._spell(table.name))

    def _query(self, query: Query, at: Located, under_way: UnderWay | None) -> Iterator[Meaning]:
        if under_way is None:
            raise Corrupt(f"a statement outside a transaction at {at.start}")
        found = read_statement(query, spell=self._spell)
        if not under_way.begun:
            # START opens one whose outcome is open; COMMIT and ROLLBACK end one that was prepared earlier, and hold no rows.
            xid = found.xid if isinstance(found, Xa) and found.verb is XaVerb.START else None
            yield Began(under_way.gtid, under_way.commit_us, xid)
            if found is Control.BEGIN or xid is not None:
                return
            yield from self._ddl(found, query, at, under_way)
            yield Committed(under_way.gtid, under_way.commit_us, at.end)
        elif found is Control.COMMIT:
            yield _committed(at, under_way)
        elif found in (Control.ROLLBACK, Control.ROLLBACK_TO):
            if under_way.rows:
                raise Refused(
                    f"transaction {under_way.gtid} at {at.start}: the binlog holds rows of captured tables and then a ROLLBACK, so some "
                    "of them were undone and some (of tables without transactions) were not; convert the tables it touches to InnoDB"
                )
            if found is Control.ROLLBACK:
                yield _committed(at, under_way)
        else:
            yield from self._ddl(found, query, at, under_way)

    def _ddl(self, found: object, query: Query, at: Located, under_way: UnderWay) -> Iterator[Meaning]:
        if isinstance(found, TableChange | DatabaseDropped):
            yield Ddl(found, at.header.timestamp_s * 1000, at.header.server_id, at.start)
        elif isinstance(found, StatementDml) and not is_bookkeeping(query) and self._may_touch_captured(query):
            raise Refused(
                f"transaction {under_way.gtid} at {at.start}: a change of rows is logged as a statement ({found.verb} …), so its rows "
                "cannot be known. Some session sets binlog_format = STATEMENT; take that right from it (SYSTEM_VARIABLES_ADMIN, "
                "SESSION_VARIABLES_ADMIN), then: streamer adopt-server --yes, which empties every table and reads it again",
                fault="statement",
            )
        elif isinstance(found, Unreadable) and self._may_touch_captured(query):
            raise Refused(f"transaction {under_way.gtid} at {at.start}: a {found.verb.value} of tables whose names could not be made out")

    def _may_touch_captured(self, query: Query) -> bool:
        """Any word of the statement may name a table, so every one of them is held against the selection."""
        # None of the answers is kept: most words are no tables, and there is no end of them.
        found = tokens(query.sql, query.sql_mode)
        names = [self._spell(token.text) for token in found if token.kind in (TokenKind.WORD, TokenKind.QUOTED)]
        tables = {TableId(self._spell(query.schema), name) for name in names if query.schema}
        tables |= {TableId(database, name) for database, name in pairwise(names)}
        return any(self._captures(table) for table in sorted(tables))


def _committed(at: Located, under_way: UnderWay | None) -> Committed:
    if under_way is None or not under_way.begun:
        raise Corrupt(f"the end of a transaction that did not begin, at {at.end}")
    return Committed(under_way.gtid, under_way.commit_us, at.end)
