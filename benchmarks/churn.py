"""A table that lives: its keys are inserted, then updated, deleted and inserted again in no order, a share of each in every transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import workloads
from benchmarks.servers import DATABASE, Servers
from benchmarks.workloads import NARROW, TOOLS, WIDE, Column, create_table
from contracts.table import TableId

_DELETES = 0.1  # of a transaction's row changes, and as many inserts once a fifth of the keys is absent
_ABSENT = 0.2


@dataclass(slots=True)
class Changed:
    """Row changes by kind, as MySQL counts them."""

    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    transactions: int = 0

    @property
    def rows(self) -> int:
        return self.inserts + self.updates + self.deletes


@dataclass(frozen=True, slots=True)
class Churn:
    """A table of `keys` keys. `changes`: the assignments of an update, which always change something. `compared`: columns that tell
    whether a row is the right version of it."""

    name: str
    keys: int
    columns: Sequence[Column] = NARROW
    changes: str = "qty = qty + 1, changed_at = changed_at + INTERVAL 1 SECOND"
    compared: Sequence[str] = field(default=("qty", "changed_at"))

    @property
    def table(self) -> TableId:
        return TableId(DATABASE, self.name)

    def create(self, servers: Servers) -> None:
        """The table, alone and empty, in a new binlog."""
        servers.fresh_binlog()
        servers.execute(create_table(str(self.table), self.columns))
        workloads.make_numbers(servers)

    def fill(self, servers: Servers) -> Changed:
        """Every key, in 1,000-row transactions."""
        done = Changed()
        with workloads.quick_commits(servers), workloads.writing(servers) as connection, connection.cursor() as cursor:
            for before in range(0, self.keys, workloads.ROWS_PER_TRANSACTION):
                count = min(workloads.ROWS_PER_TRANSACTION, self.keys - before)
                ids = f"SELECT {before + 1} + n AS id FROM {TOOLS}.numbers WHERE n < {count}"
                done.inserts += cursor.execute(workloads.insert(str(self.table), self.columns, ids))
                done.transactions += 1
        return done

    def change(self, servers: Servers, rows: int, per_transaction: int) -> Changed:
        """At least `rows` row changes in transactions of about `per_transaction`: updates, a tenth deletes, a tenth inserts of absent
        keys."""
        done = Changed()
        deletes = round(_DELETES * per_transaction / (1 - _ABSENT))
        inserts = round(_DELETES * per_transaction / _ABSENT)
        updates = round((1 - 2 * _DELETES) * per_transaction / (1 - _ABSENT))
        with workloads.quick_commits(servers), workloads.writing(servers) as connection, connection.cursor() as cursor:
            connection.autocommit(False)
            while done.rows < rows:
                salt = 3 * done.transactions
                done.deletes += cursor.execute(f"DELETE {self.table} FROM {self.table} JOIN ({self._keys(salt, deletes)}) AS k USING (id)")
                done.inserts += cursor.execute(workloads.insert(str(self.table), self.columns, self._keys(salt + 1, inserts), ignore=True))
                done.updates += cursor.execute(
                    f"UPDATE {self.table} AS t JOIN ({self._keys(salt + 2, updates)}) AS k USING (id) SET {self.changes}"
                )
                connection.commit()
                done.transactions += 1
        return done

    def _keys(self, salt: int, count: int) -> str:
        """Up to `count` keys that look random, none twice."""
        number = f"CAST(CRC32(CONCAT('k', {salt * workloads.ROWS_PER_TRANSACTION} + n)) AS SIGNED)"
        return f"SELECT DISTINCT 1 + {number} % {self.keys} AS id FROM {TOOLS}.numbers WHERE n < {count}"

    def rows(self, servers: Servers) -> dict[int, tuple[Any, ...]]:
        """What MySQL holds: `compared` by key."""
        with servers.mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id, {', '.join(self.compared)} FROM {self.table}")
            return {row[0]: tuple(row[1:]) for row in cursor.fetchall()}


def narrow(name: str, keys: int) -> Churn:
    """Ten columns, 158 bytes of binlog a row inserted."""
    return Churn(name, keys)


def wide(name: str, keys: int) -> Churn:
    """Sixty columns of every common type, 770 bytes a row inserted."""
    return Churn(name, keys, WIDE, "c01 = c01 + 1, c12 = c12 + INTERVAL 1 SECOND", ("c01", "c12"))
