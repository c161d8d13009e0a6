"""The listener: one thread a client, in front of one PostgreSQL."""

import contextlib
import socket
import ssl
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path

from devstack.redshift.catalog import Catalog
from devstack.redshift.execution import Dropped
from devstack.redshift.faults import FaultInjector
from devstack.redshift.journal import JournalWriter
from devstack.redshift.manifest import ObjectStore
from devstack.redshift.names import LongNames
from devstack.redshift.refusal import SqlError
from devstack.redshift.session import Session
from devstack.redshift.signin import Client, check_password, greet, greeting
from devstack.redshift.upstream import Upstream, cancel
from devstack.redshift.wire import INT, Closed, error, ready

ISOLATION = {"snapshot": "repeatable read", "serializable": "serializable"}


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions share. `password` is that of the administrator `user`; others are in the catalog."""

    socket_directory: Path
    user: str
    password: str
    database: str
    isolation: str
    tls: ssl.SSLContext
    store: ObjectStore
    catalog: Catalog
    faults: FaultInjector
    journal: JournalWriter

    @property
    def snapshot(self) -> bool:
        return self.isolation == "snapshot"

    @property
    def long_names(self) -> LongNames:
        return self.catalog.long_names

    def session_settings(self, application: str) -> dict[str, str]:
        """How each session of PostgreSQL starts."""
        return {
            "application_name": application, "DateStyle": "ISO, MDY", "TimeZone": "UTC", "extra_float_digits": "0",
            "search_path": '"$user", public', "default_transaction_isolation": ISOLATION[self.isolation],
            "standin.server_version": "8.0.2", "standin.isolation": self.isolation.upper(),
        }  # fmt: skip


class Server:
    """Accepts clients on `listener` until `close`."""

    def __init__(self, listener: socket.socket, shared: Shared) -> None:
        self._listener = listener
        self._shared = shared

    def run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, sock: socket.socket) -> None:
        client: Client | None = None
        upstream: Upstream | None = None
        try:
            client = greet(sock, self._shared.tls, lambda packet: cancel(self._shared.socket_directory, packet))
            if client is not None:
                upstream = self._sign_in(client)
                Session(client, upstream, backend_pid(upstream), self._shared).serve()
        except (Closed, Dropped, ssl.SSLError, OSError):
            pass
        except SqlError as e:
            if client is not None:
                self._tell(client, e)
        except Exception:  # a fault of the stand-in must be seen, and must not pass for a server that went away
            traceback.print_exc(file=sys.stderr)
            if client is not None:
                self._tell(client, SqlError("stand-in: internal error, see its log", "XX000", S="FATAL"))
        finally:
            if upstream is not None:
                upstream.close()
            (client.stream.close if client else sock.close)()

    def _sign_in(self, client: Client) -> Upstream:
        shared = self._shared
        rule = shared.faults.strike("connect")
        if rule is not None:
            self._connect_fault(rule.action, rule.seconds)
        expected = shared.password if client.user == shared.user else shared.catalog.password(client.user)
        check_password(client, expected)
        if client.database != shared.database:
            raise SqlError(f'database "{client.database}" does not exist', "3D000", S="FATAL")
        upstream = Upstream(shared.socket_directory, client.user, client.database, shared.session_settings(client.application))
        client.stream.put(*greeting(upstream.greeting), ready(b"I"))
        if rule is not None and rule.action == "drop_after":
            upstream.close()
            raise Dropped
        return upstream

    def _connect_fault(self, action: str, seconds: float) -> None:
        if action in ("hang", "delay"):
            threading.Event().wait(seconds)
        if action in ("drop_before", "hang"):
            raise Dropped
        if action.startswith("error_"):
            raise SqlError("connection refused by a fault rule", "53300", S="FATAL")

    def _tell(self, client: Client, failure: SqlError) -> None:
        with contextlib.suppress(Closed):
            client.stream.put(error(failure.fields))


def backend_pid(upstream: Upstream) -> int:
    key = next(m for m in upstream.greeting if m.kind == b"K")
    return int(INT.unpack_from(key.body)[0])
