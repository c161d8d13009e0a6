"""One Sync batch of a client, and the prepared statements it refers to."""

import time
from dataclasses import dataclass, field

from devstack.redshift.errors import described, redshift_error
from devstack.redshift.faults import Rule
from devstack.redshift.journal import Entry, stamp
from devstack.redshift.plan import Plan
from devstack.redshift.refusal import SqlError
from devstack.redshift.wire import Columns, Message


@dataclass(slots=True)
class Prepared:
    """A prepared statement: what the client sent, what it became, and the columns of its rows once described."""

    sql: str
    plan: Plan
    columns: Columns | None = None


@dataclass(slots=True)
class Batch:
    """What became of the batch so far. `pid`: the session's. `own`: it runs in a transaction block the stand-in opened. `completion`:
    the tag that is held back until that block is committed. `forwarded`: PostgreSQL awaits a Sync. `failed`: the rest is skipped up
    to Sync. `lose_answer`: a fault rule takes the answer. `hidden`: kinds of messages the client must not see."""

    pid: int
    hidden: tuple[bytes, ...] = ()
    own: bool = False
    out: bytearray = field(default_factory=bytearray)
    entries: list[Entry] = field(default_factory=list)
    completion: Message | None = None
    forwarded: bool = False
    failed: bool = False
    lose_answer: bool = False

    def add(self, message: Message) -> None:
        if message.kind not in self.hidden:
            self.out += message.raw

    def note(self, verb: str, sql: str, began: float, *, rows: int = 0, failure: SqlError | None = None, rule: Rule | None = None) -> None:
        """Enters a statement for the journal, which is written once the batch's outcome is known. `began`: of the monotonic clock."""
        elapsed_ms = round((time.monotonic() - began) * 1000, 3)
        outcome, told = ("ok", "") if failure is None else (redshift_error(failure.fields)["C"], described(failure))
        self.entries.append(Entry(stamp(), self.pid, verb, sql, outcome, rows, elapsed_ms, told, rule.action if rule else ""))
