"""`python -m devstack.redshift`: starts PostgreSQL, serves as Redshift, prints `ready host=… port=…`, stops on SIGTERM."""

import argparse
import signal
import socket
import sys
import threading
from pathlib import Path

from contracts.errors import Invalid, PipelineError
from devstack.postgres import Postgres
from devstack.redshift.catalog import Catalog
from devstack.redshift.faults import FaultInjector
from devstack.redshift.journal import JournalWriter
from devstack.redshift.manifest import ObjectStore
from devstack.redshift.server import ISOLATION, Server, Shared
from devstack.redshift.tls import server_context

WATCH_SECONDS = 0.5


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack.redshift", description=__doc__)
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where clients connect; port 0 takes a free one")
    parser.add_argument("--s3", required=True, metavar="URL", help="the S3 endpoint COPY reads from")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="PostgreSQL's data, log and socket")
    parser.add_argument("--isolation", choices=sorted(ISOLATION), default="snapshot", help="the database's isolation level")
    parser.add_argument("--tls-dir", type=Path, metavar="DIR", help="ca.pem and server.pem, made when absent (default DATA/tls)")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="one JSON line a statement (default: none)")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="fault rules, read again when replaced (default DATA/faults.jsonl)")
    parser.add_argument("--user", default="awsuser", help="the administrator")
    parser.add_argument("--password", default="Standin-1", help="the administrator's password")
    parser.add_argument("--database", default="dev")
    return parser.parse_args(argv)


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise Invalid(f"--listen {text!r}: expected HOST:PORT, for example 127.0.0.1:5439")
    return host, int(port)


def serve(options: argparse.Namespace) -> None:
    listener = socket.create_server(address(options.listen), backlog=128)
    postgres = Postgres(options.data)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        postgres.start()
        catalog = Catalog(postgres.socket_directory, options.database)
        catalog.prepare(options.user)
        shared = Shared(
            socket_directory=postgres.socket_directory,
            user=options.user,
            password=options.password,
            database=options.database,
            isolation=options.isolation,
            tls=server_context(options.tls_dir or options.data / "tls"),
            store=ObjectStore(options.s3),
            catalog=catalog,
            faults=FaultInjector(options.faults or options.data / "faults.jsonl"),
            journal=JournalWriter(options.journal),
        )
        server = Server(listener, shared)
        threading.Thread(target=server.run, daemon=True).start()
        host, port = listener.getsockname()[:2]
        print(f"ready host={host} port={port}", flush=True)
        while not stopped.wait(WATCH_SECONDS):
            if postgres.died():
                raise Invalid(f"PostgreSQL ended by itself, see {options.data / 'postgres.log'}")
        server.close()
    finally:
        postgres.stop()


def main(argv: list[str]) -> int:
    try:
        serve(arguments(argv))
    except (PipelineError, OSError) as e:
        print(f"stand-in: {e}", file=sys.stderr)
        return e.exit_code if isinstance(e, PipelineError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
