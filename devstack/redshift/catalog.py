"""The stand-in's own book-keeping in PostgreSQL, on a connection apart: it stays when a client's transaction rolls back."""

import threading
from pathlib import Path

from devstack.postgres import SUPERUSER
from devstack.redshift.lexer import literal
from devstack.redshift.load import Loaded
from devstack.redshift.loaderror import LoadError
from devstack.redshift.names import LongNames, quoted, stored
from devstack.redshift.plan import Copy
from devstack.redshift.upstream import Result, Upstream
from devstack.redshift.wire import Closed

BOOTSTRAP = Path(__file__).with_name("bootstrap.sql")
NOW = "clock_timestamp() AT TIME ZONE 'UTC'"


class Catalog:
    """Users, load history and long names, kept under schema `standin` of the stand-in's database."""

    def __init__(self, directory: Path, database: str) -> None:
        self._directory = directory
        self._database = database
        self._guard = threading.Lock()
        self._upstream: Upstream | None = None
        self.long_names = LongNames()
        self._kept: set[str] = set()

    def prepare(self, user: str) -> None:
        """Makes database and administrator on the first start, and everything of bootstrap.sql on every start."""
        first = Upstream(self._directory, SUPERUSER, "postgres", {})
        if not first.query(f"SELECT 1 FROM pg_roles WHERE rolname = {literal(user)}").rows:
            first.query(f"CREATE ROLE {quoted(user)} SUPERUSER LOGIN")
        if not first.query(f"SELECT 1 FROM pg_database WHERE datname = {literal(self._database)}").rows:
            first.query(f"CREATE DATABASE {quoted(self._database)} OWNER {quoted(user)}")
        first.close()
        self.query(BOOTSTRAP.read_text(encoding="utf-8"))
        if self.query("SELECT 1 FROM pg_available_extensions WHERE name = 'pgcrypto'").rows:
            self.query("CREATE SCHEMA IF NOT EXISTS public_crypto; GRANT USAGE ON SCHEMA public_crypto TO PUBLIC")
            self.query("CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public_crypto")
        for row in self.query("SELECT name FROM standin.long_names").rows:
            self.long_names.note(str(row[0]))
        self._kept = set(self.long_names.all())

    def query(self, sql: str) -> Result:
        """Runs SQL as the stand-in itself, each call a transaction."""
        with self._guard:
            for attempt in (1, 2):
                if self._upstream is None:
                    self._upstream = Upstream(self._directory, SUPERUSER, self._database, {"application_name": "stand-in"})
                try:
                    return self._upstream.query(sql)
                except Closed:
                    self._upstream = None
                    if attempt == 2:
                        raise
        raise AssertionError("unreachable")

    def password(self, user: str) -> str | None:
        """The password CREATE USER gave, None for no such user."""
        rows = self.query(f"SELECT password FROM standin.users WHERE name = {literal(user)}").rows
        return rows[0][0] if rows else None

    def keep_long_names(self) -> None:
        """Writes down the long names met since the last call, for the system views and for the next start."""
        fresh = {kept: name for kept, name in self.long_names.all().items() if kept not in self._kept}
        for kept, name in fresh.items():
            self.query(f"INSERT INTO standin.long_names VALUES ({literal(kept)}, {literal(name)}) ON CONFLICT DO NOTHING")
            self._kept.add(stored(name))

    # load history ----------------------------------------------------------------------------------------------------------

    def next_query_id(self) -> int:
        return int(str(self.query("SELECT nextval('standin.query_ids')").rows[0][0]))

    def loaded(self, query_id: int, session: int, user: str, copy: Copy, loaded: Loaded, table_id: int, seconds: float) -> None:
        rows = ", ".join(f"({query_id}, {literal(url)}, {count}, {NOW})" for url, count in loaded.files)
        self.query(
            f"INSERT INTO standin.loaded_files VALUES {rows}; INSERT INTO standin.loads VALUES ({query_id}, {session}, {literal(user)}, "
            f"{literal(copy.table.name)}, {table_id}, {literal(copy.url)}, {NOW} - interval '{seconds:.6f} seconds', {NOW}, {loaded.rows}, "
            f"{len(loaded.files)}, {loaded.size_bytes}, 'completed', NULL)"
        )

    def failed(self, query_id: int, session: int, user: str, copy: Copy, error: LoadError, table_id: int) -> None:
        described = ", ".join(literal(v) for v in (error.file, error.column, error.column_type, error.length))
        reason = literal(error.reason[:1024])
        self.query(
            f"INSERT INTO standin.load_errors VALUES ({query_id}, {session}, {NOW}, {literal(copy.table.name)}, {table_id}, {described}, "
            f"{error.code_number}, {reason}); INSERT INTO standin.loads VALUES ({query_id}, {session}, {literal(user)}, "
            f"{literal(copy.table.name)}, {table_id}, {literal(copy.url)}, {NOW}, {NOW}, 0, 0, 0, 'aborted', {reason})"
        )
