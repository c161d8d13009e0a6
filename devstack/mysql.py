"""A real MySQL server, set up as a source for change data capture."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from contracts.errors import Unavailable
from devstack.cache import cached
from devstack.fetch import DebianRoot, mysql_root
from devstack.ports import HOST, free_port
from devstack.process import Process, Runner, Server

# Fixed when a data directory is made, so a server with one of these can't start from the cached template.
# Source: MySQL manual, "Server System Variables" and "InnoDB Startup Options", those noted as only configurable at initialization.
INITIALISATION_SETTINGS = frozenset(
    {"lower-case-table-names", "innodb-page-size", "innodb-data-file-path", "innodb-undo-directory", "innodb-data-home-dir"}
)
# Linux' sockaddr_un holds 108 bytes with the closing NUL.
SOCKET_PATH_BYTES_MAX = 107
PURGE_S_MAX = 30


def configuration(
    directory: Path, root: Path, port: int, socket: Path, server_id: int, settings: Mapping[str, str | int]
) -> dict[str, str | int]:
    """The [mysqld] section: what `check` demands of a source, the server's own durability defaults, sizes for a laptop; `settings` wins."""
    lines: dict[str, str | int] = {
        "datadir": str(directory / "data"),
        "basedir": str(root / "usr"),
        "lc-messages-dir": str(root / "usr/share/mysql"),
        "character-sets-dir": str(root / "usr/share/mysql/charsets"),
        "socket": str(socket),
        "pid-file": str(directory / "mysqld.pid"),
        "log-error": str(directory / "log"),
        "port": port,
        "bind-address": HOST,
        "mysqlx": "OFF",
        "secure-file-priv": '""',
        "server-id": server_id,
        "log-bin": "binlog",
        "binlog-row-image": "FULL",
        "binlog-row-metadata": "FULL",
        "gtid-mode": "ON",
        "enforce-gtid-consistency": "ON",
        "sync-binlog": 1,
        "innodb-flush-log-at-trx-commit": 1,
        "innodb-buffer-pool-size": "128M",
        "innodb-redo-log-capacity": "96M",
        "table-open-cache": 400,
        "max-connections": 100,
    }
    lines.update({key.replace("_", "-"): value for key, value in settings.items()})
    if os.geteuid() == 0:
        lines.setdefault("user", "root")
    return lines


class MysqlServer(Server):
    """MySQL with row binlog, full metadata and GTIDs, reached as root without a password over TCP on the loopback.

    Instantiate it again for a replica or an oracle: another directory and server_id, and any my.cnf `settings` (hyphens or underscores),
    which win over all defaults. The data directory, binlogs and GTIDs included, stays over stop(), kill9() and start(). With a `runner`
    (Docker Compose's) it only speaks to a server that somebody else configured."""

    user = "root"
    password = ""

    def __init__(
        self,
        directory: Path,
        *,
        root: DebianRoot | None = None,
        port: int | None = None,
        server_id: int = 1,
        settings: Mapping[str, str | int] | None = None,
        outlive: bool = False,
        name: str = "mysql",
        runner: Runner | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.host = HOST
        self.port = port or free_port()
        self.server_id = server_id
        self.settings = dict(settings or {})
        self.defaults_file = self.directory / "my.cnf"
        self.socket = socket_path(self.directory)
        self._root = root
        self.configured_here = runner is None
        super().__init__(runner or Process(name, self.directory, self._command, outlive=outlive))

    @property
    def root(self) -> DebianRoot:
        """Where the programs are; fetched at the first use."""
        self._root = self._root or mysql_root()
        return self._root

    @property
    def ca_file(self) -> Path:
        """The authority of the server's own certificate, made at its first start. The certificate names no host: verify-ca at most."""
        return self.directory / "data" / "ca.pem"

    def connect(self, database: str | None = None, autocommit: bool = True, **options: Any) -> "Connection[Any]":
        """A pymysql connection as root; `options` go to pymysql as they are (user, password, cursorclass …)."""
        chosen: dict[str, Any] = {"host": self.host, "port": self.port, "user": self.user, "password": self.password, "charset": "utf8mb4"}
        chosen |= {"database": database, "autocommit": autocommit, "connect_timeout": 10, **options}
        connection: Connection[Any] = pymysql.connect(**chosen)
        return connection

    def create_capture_user(self, name: str, password: str) -> None:
        """A user with what capture needs and nothing else: REPLICATION SLAVE, REPLICATION CLIENT and SELECT on everything."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", (name, password))
            cursor.execute("GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO %s@'%%'", (name,))
            cursor.execute("GRANT XA_RECOVER_ADMIN ON *.* TO %s@'%%'", (name,))

    def purge_binlogs(self) -> None:
        """Begin a new binlog file and remove all the others. MySQL keeps one that is being read, with no more than a warning (1867), and
        takes a reader that left for one until it next writes to it; so this asks until they are gone. Unavailable: somebody reads on."""
        deadline = time.monotonic() + PURGE_S_MAX
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("FLUSH BINARY LOGS")
            while True:
                cursor.execute("SHOW BINARY LOGS")
                *older, newest = (row[0] for row in cursor.fetchall())
                if not older:
                    return
                if time.monotonic() > deadline:
                    raise Unavailable(f"{self.name} still keeps {older[0]} after {PURGE_S_MAX} s: end who reads it (SHOW PROCESSLIST)")
                cursor.execute(f"PURGE BINARY LOGS TO '{newest}'")
                time.sleep(0.05)

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line of `mysql`, `mysqlbinlog`, `mysqldump` or `mysqlslap`, connected to this server as root."""
        connection = ["--no-defaults", f"--host={self.host}", f"--port={self.port}", "--protocol=tcp", f"--user={self.user}"]
        return self.root.command(f"bin/{program}", *connection, *arguments)

    def probe(self) -> None:
        with self.connect(connect_timeout=2) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def prepare(self) -> None:
        if not self.configured_here:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = configuration(self.directory, self.root.path, self.port, self.socket, self.server_id, self.settings)
        self.defaults_file.write_text("[mysqld]\n" + "".join(f"{key}={value}\n" for key, value in lines.items()))
        data = self.directory / "data"
        if data.exists():
            return
        aside = self.directory / "data.partial"
        shutil.rmtree(aside, ignore_errors=True)
        if fixed_at_birth(lines):
            aside.mkdir()
            initialise(self.root, aside, {key: value for key, value in lines.items() if key in INITIALISATION_SETTINGS})
        else:
            shutil.copytree(template(self.root), aside)
        aside.rename(data)

    def _command(self) -> list[str]:
        return self.root.command("sbin/mysqld", f"--defaults-file={self.defaults_file}")


def fixed_at_birth(settings: Mapping[str, str | int]) -> bool:
    """Whether these settings need a data directory initialised with them."""
    return not INITIALISATION_SETTINGS.isdisjoint(settings)


def socket_path(directory: Path) -> Path:
    """`directory/mysqld.sock`, or a short path of the same uniqueness where that would not fit a socket address."""
    path = directory / "mysqld.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    return Path(tempfile.gettempdir()) / f"tidemark-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.sock"


def template(root: DebianRoot) -> Path:
    """An initialised, never started data directory beside the cached programs: copying it is ten times quicker than initialising."""
    return cached(root.path.parent, f"{root.path.name}-data", lambda aside: initialise(root, aside, {}))


def initialise(root: DebianRoot, data: Path, settings: Mapping[str, str | int]) -> None:
    """Makes a data directory with a password-less root@localhost. The server that starts on it makes its own UUID, certificates, binlog."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        options = configuration(Path(folder), root.path, 0, Path(folder) / "sock", 1, settings)
        options |= {"datadir": str(data), "log-error": str(log), "skip-log-bin": 1}
        defaults = Path(folder) / "my.cnf"
        defaults.write_text("[mysqld]\n" + "".join(f"{key}={value}\n" for key, value in options.items() if key != "log-bin"))
        done = subprocess.run(
            root.command("sbin/mysqld", f"--defaults-file={defaults}", "--initialize-insecure"), check=False, capture_output=True
        )
        if done.returncode != 0:
            said = log.read_text(errors="replace") if log.exists() else done.stderr.decode(errors="replace")
            raise Unavailable(f"MySQL's data directory could not be initialised:\n{said[-3000:]}")
    for file in [data / "auto.cnf", *data.glob("*.pem")]:
        file.unlink(missing_ok=True)
