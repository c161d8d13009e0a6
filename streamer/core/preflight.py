"""What the source server must be before a row is read: each fault with the SQL that mends it."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from contracts.table import TableId
from streamer.core.names import spelling

_GRANT = re.compile(
    r"GRANT (?P<what>.+?) ON (?:TABLE )?(?P<database>\*|`(?:[^`]|``)+`)\.(?P<table>\*|`(?:[^`]|``)+`) TO (?P<whom>.+?)(?: WITH .*)?\Z"
)
_REVOKE = re.compile(r"REVOKE (?P<what>.+?) ON (?P<database>`(?:[^`]|``)+`)\.\* FROM ")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and what mends it. `warning`: the event under which the log tells it of a server that is captured all the same; empty
    for what keeps it from being captured."""

    what: str
    fix: str
    warning: str = ""

    def __str__(self) -> str:
        return f"{self.what}; {self.fix}"


_GTID_STEPS = (
    "SET PERSIST enforce_gtid_consistency = ON; SET GLOBAL gtid_mode = OFF_PERMISSIVE; SET GLOBAL gtid_mode = ON_PERMISSIVE; "
    "then, once SHOW STATUS LIKE 'Ongoing_anonymous_transaction_count' shows 0: SET PERSIST gtid_mode = ON"
)
_WANTED = {
    "log_bin": ("ON", "start the server with log_bin = binlog in the [mysqld] section of my.cnf (needs a restart, no SQL can do it)"),
    "binlog_format": ("ROW", "SET PERSIST binlog_format = ROW"),
    "binlog_row_image": ("FULL", "SET PERSIST binlog_row_image = FULL"),
    "binlog_row_metadata": ("FULL", "SET PERSIST binlog_row_metadata = FULL"),
    "gtid_mode": ("ON", _GTID_STEPS),
}


_OLDEST = (8, 0, 30)  # which first could show a primary key that the server made by itself, and calls utf8mb3 by its name


def server_faults(variables: Mapping[str, str], our_server_id: int) -> Iterator[Fault]:
    """A server too old to be read, and settings under which the binlog does not hold what we need. A variable the server does not have
    counts as its old behaviour."""
    version = re.match(r"(\d+)\.(\d+)\.(\d+)", variables.get("version", ""))
    if version is not None and tuple(map(int, version.groups())) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        yield Fault(f"the server is MySQL {version[0]}, whose tables can't be read", f"upgrade it to {oldest} or later")
    for name, (wanted, fix) in _WANTED.items():
        found = variables.get(name, "")
        if found.upper() != wanted:
            yield Fault(f"{name} is {found or 'not known to this server'} and must be {wanted}", fix)
    if variables.get("server_id") == str(our_server_id):
        yield Fault(f"the server's own server_id is {our_server_id}, the one this streamer would use", "choose another mysql.server_id")


@dataclass(frozen=True, slots=True)
class Grants:
    """What an account may do, from SHOW GRANTS with its active roles."""

    account: str
    everywhere: frozenset[str]
    by_database: tuple[tuple[str, frozenset[str]], ...]  # LIKE pattern of databases
    by_table: Mapping[TableId, frozenset[str]]
    revoked: tuple[tuple[str, frozenset[str]], ...]  # partial revokes, by database

    @classmethod
    def parse(cls, lines: Sequence[str]) -> "Grants":
        """Lines of another form (roles, proxies, column grants) give nothing."""
        account, everywhere = "this account", set[str]()
        by_database: list[tuple[str, frozenset[str]]] = []
        by_table: dict[TableId, frozenset[str]] = {}
        revoked: list[tuple[str, frozenset[str]]] = []
        for line in lines:
            if match := _GRANT.match(line):
                what, account = _privileges(match["what"]), match["whom"]
                if match["database"] == "*":
                    everywhere |= what
                elif match["table"] == "*":
                    by_database.append((_unquoted(match["database"]), what))
                else:
                    table = TableId(_unquoted(match["database"]), _unquoted(match["table"]))
                    by_table[table] = by_table.get(table, frozenset()) | what
            elif match := _REVOKE.match(line):
                revoked.append((_unquoted(match["database"]), _privileges(match["what"])))
        return cls(account, frozenset(everywhere), tuple(by_database), by_table, tuple(revoked))

    def globally(self, privilege: str) -> bool:
        return privilege in self.everywhere or "ALL PRIVILEGES" in self.everywhere

    def may_select_database(self, database: str) -> bool:
        if self.globally("SELECT") and not any(name == database and "SELECT" in what for name, what in self.revoked):
            return True
        return any(_like(pattern, database) and what & {"SELECT", "ALL PRIVILEGES"} for pattern, what in self.by_database)

    def may_select(self, table: TableId) -> bool:
        return self.may_select_database(table.database) or bool(self.by_table.get(table, frozenset()) & {"SELECT", "ALL PRIVILEGES"})


def grant_faults(grants: Grants, captured: Collection[TableId], databases: Collection[str]) -> Iterator[Fault]:
    """Missing rights. `captured`: the tables we know of, those among them that the settings name and this account may not see;
    `databases`: those of which patterns take more tables than they name."""
    for privilege in ("REPLICATION SLAVE", "REPLICATION CLIENT"):
        if not grants.globally(privilege):
            yield Fault(f"{grants.account} lacks {privilege}", f"GRANT {privilege} ON *.* TO {grants.account}")
    for table in sorted(captured):
        if not grants.may_select(table):
            yield Fault(
                f"{grants.account} may not SELECT from {table}",
                f"GRANT SELECT ON {_quoted(table.database)}.{_quoted(table.name)} TO {grants.account}",
            )
    for database in sorted(databases):
        if not grants.may_select_database(database) and not any(table.database == database for table in captured):
            yield Fault(
                f"{grants.account} may not SELECT from any table of {database}",
                f"GRANT SELECT ON {_quoted(database)}.* TO {grants.account}",
            )


def unseen_databases(grants: Grants, databases: Collection[str]) -> Iterator[Fault]:
    """Databases of which the account may see some tables and not others, so that nobody knows what it does not read.
    `databases`: as of `grant_faults`, which has none to tell of them."""
    for database in sorted(databases):
        if not grants.may_select_database(database):
            yield Fault(
                f"tables of {database} that {grants.account} may not see are captured by changes alone: the rows they hold are not read",
                f"GRANT SELECT ON {_quoted(database)}.* TO {grants.account}",
                warning="tables.unseen",
            )


def keyless_faults(tables: Collection[TableId]) -> Iterator[Fault]:
    """Tables that are to be loaded by key and have none."""
    for table in sorted(tables):
        yield Fault(
            f"table {table} has mode merge or soft_delete and no primary key nor unique key of NOT NULL columns",
            f"ALTER TABLE {_quoted(table.database)}.{_quoted(table.name)} ADD PRIMARY KEY (…), or name its key columns in tables.override, "
            "or set mode: append",
        )


def unproven_keys(chosen: Mapping[TableId, Sequence[str]], unique: Mapping[TableId, Sequence[Sequence[str]]]) -> Iterator[Fault]:
    """Tables whose configured key may name more than one row: it has not all columns of any unique key. Whoever configured it may know
    better, for a table may have none that can be seen to be one. `unique`: as of `SourceServer.unique_keys`."""
    for table, key in sorted(chosen.items()):
        if not any(set(key).issuperset(columns) for columns in unique[table]):
            names, places = ", ".join(map(_quoted, key)), ", ".join(str(place) for place in range(1, len(key) + 1))
            source = f"{_quoted(table.database)}.{_quoted(table.name)}"
            yield Fault(
                f"the key of {table} in tables.override ({', '.join(key)}) holds no primary key nor unique key of NOT NULL columns, so that"
                " rows may share it, of which one alone is loaded",
                f"name more columns, or see that none do: SELECT {names}, COUNT(*) FROM {source} GROUP BY {places} HAVING COUNT(*) > 1",
                warning="key.unproven",
            )


def hides_cascades(variables: Mapping[str, str]) -> bool:
    """Whether foreign keys change rows on this server without row events. Source: MySQL 9.6 release notes: cascades are executed above
    the storage engine and written to the binlog, unless innodb_native_foreign_keys is ON."""
    version = re.match(r"(\d+)\.(\d+)", variables.get("version", ""))
    return (
        version is None or (int(version[1]), int(version[2])) < (9, 6) or variables.get("innodb_native_foreign_keys", "OFF").upper() == "ON"
    )


def cascade_faults(tables: Collection[TableId]) -> Iterator[Fault]:
    """Tables that a server which hides cascades changes by foreign keys: their rows would be lost without a word."""
    for table in sorted(tables):
        yield Fault(
            f"foreign keys change rows of {table} by cascade, and this server does not write that to its binlog",
            "use MySQL 9.6 or newer with innodb_native_foreign_keys = OFF, or make the keys RESTRICT, or put the table into tables.exclude",
        )


def name_faults(variables: Mapping[str, str], names: Collection[str]) -> Iterator[Fault]:
    """Names the server cannot have, or has in two ways. `names`: those of tables in the settings, with `*`."""
    setting = variables.get("lower_case_table_names", "0")
    if setting not in ("0", "1"):
        yield Fault(
            f"lower_case_table_names is {setting}: the server stores names as they are typed, and compares them in lower case",
            "stream a server that has 0 or 1 there (0 is the default on Linux; it is fixed when the server's data directory is made)",
        )
        return
    spell = spelling(variables)
    for name in sorted(name for name in set(names) if spell(name) != name):
        yield Fault(
            f"tables.include, tables.exclude or tables.override names {name}, and this server has all names in lower case "
            "(lower_case_table_names is 1)",
            f"write {spell(name)} there",
        )


def filter_faults(filters: Collection[str]) -> Iterator[Fault]:
    """Whichever databases an option names: row events go by their table's database, but DDL by the session's default one, so a TRUNCATE of
    a captured table may be left out by any. Source: MySQL manual, "Binary Logging Options and Variables"; seen on a 9.7."""
    for option in filters:
        yield Fault(
            f"the server leaves changes out of its binlog ({option}), also DDL on tables of other databases that a session with such a "
            "default database runs",
            f"take {option.partition(' ')[0]} out of the server's my.cnf or command line (needs a restart, no SQL can do it)",
        )


def hides_applied(variables: Mapping[str, str]) -> bool:
    """Whether a replica does not write to its own binlog what it applies. Servers of which neither is known do not."""
    return variables.get("log_replica_updates", "OFF").upper() != "ON"


def applied_fault() -> Fault:
    """Of a replica that hides what it applies."""
    return Fault(
        "this server is a replica, and log_replica_updates is OFF: what it applies from its source is not in its binlog",
        "start it with log_replica_updates = ON in the [mysqld] section of my.cnf (needs a restart, no SQL can do it), or stream its "
        "source; if it is no replica any more: RESET REPLICA ALL",
    )


def literal_databases(patterns: Collection[str]) -> frozenset[str]:
    """The databases that `db.table` patterns name without a wildcard, and their tables with one."""
    return frozenset(
        database for database, _, name in (pattern.partition(".") for pattern in patterns) if "*" not in database and "*" in name
    )


def literal_tables(patterns: Collection[str]) -> frozenset[TableId]:
    """The tables that `db.table` patterns name without a wildcard."""
    return frozenset(TableId(database, name) for database, _, name in (p.partition(".") for p in patterns if "*" not in p))


def _privileges(text: str) -> frozenset[str]:
    # A column grant, SELECT (`a`, `b`), is no grant on the table; splitting leaves pieces that match nothing.
    return frozenset(part.strip().upper() for part in text.split(","))


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _like(pattern: str, name: str) -> bool:
    """Source: MySQL manual, "GRANT Statement": `_` and `%` are wildcards in the database of a grant, a backslash takes that away."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    regex = "".join(".*" if part == "%" else "." if part == "_" else re.escape(part[-1]) for part in parts)
    return re.fullmatch(regex, name, re.DOTALL) is not None
