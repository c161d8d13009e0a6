"""One Sync batch of a client, and the prepared statements it refers to."""

from dataclasses import dataclass, field

from devstack.redshift.journal import Entry
from devstack.redshift.plan import Plan
from devstack.redshift.wire import Columns, Message


@dataclass(slots=True)
class Prepared:
    """A prepared statement: what the client sent, what it became, and the columns of its rows once described."""

    sql: str
    plan: Plan
    columns: Columns | None = None


@dataclass(slots=True)
class Batch:
    """What became of the batch so far. `own`: it runs in a transaction block the stand-in opened. `completion`: the tag that is
    held back until that block is committed. `forwarded`: PostgreSQL awaits a Sync. `failed`: the rest is skipped up to Sync.
    `lose_answer`: a fault rule takes the answer. `hidden`: kinds of messages the client must not see."""

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
