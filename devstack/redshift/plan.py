"""What the stand-in does for one statement."""

from dataclasses import dataclass
from enum import Enum

from devstack.redshift.names import Relation


class Block(Enum):
    """Where a statement may run: anywhere, only inside a transaction block, only outside of one."""

    ANY = "any"
    INSIDE = "inside"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Lock:
    """The write lock a statement needs on a table before it is parsed. Under snapshot isolation INSERT and COPY share it,
    under serializable nobody does. Source: Redshift guide, "Write and read/write operations"."""

    table: Relation
    shared: bool

    def sql(self, *, snapshot: bool) -> str:
        mode = "ROW EXCLUSIVE" if self.shared and snapshot else "SHARE ROW EXCLUSIVE"
        return f"LOCK TABLE {self.table.sql} IN {mode} MODE"


@dataclass(frozen=True, slots=True)
class Forward:
    """A statement PostgreSQL prepares and runs itself, parameters and all."""

    verb: str
    sql: str
    locks: tuple[Lock, ...] = ()
    reads_copy_history: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """Statements run one after another in the client's transaction, answered with one tag. Takes no parameters.
    `unless_exists` makes it an empty success when that relation is there already, `only_if_new` also when another session made
    it meanwhile."""

    verb: str
    steps: tuple[str, ...]
    tag: str
    block: Block = Block.ANY
    unless_exists: Relation | None = None
    only_if_new: bool = False
    locks: tuple[Lock, ...] = ()
    commits: bool = False
    case_sensitive: bool | None = None
    count_of_step: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY of Parquet files from S3. `columns` empty: all of them, by position."""

    table: Relation
    columns: tuple[str, ...]
    url: str
    manifest: bool
    serialize_to_json: bool
    invalid_character: str | None

    @property
    def verb(self) -> str:
        return "copy"


Plan = Forward | Script | Copy
