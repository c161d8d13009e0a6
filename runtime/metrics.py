"""The process as its operators see it: `/metrics` for Prometheus, `/healthz` (is the loop alive), `/readyz` (is it at work).

Declare metrics with `Counter(…, registry=REGISTRY)`; names begin with `tidemark_`, labels are topics and shards, never row values.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector, make_wsgi_app

from contracts.errors import Corrupt, Gone, Invalid, Refused

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

HALTED = Gauge("tidemark_halted", "1 once the process has halted for a person to see to it, and why.", ["fault"], registry=REGISTRY)


class Health:
    """What the loop says of itself: `beat()` once a round, `ready` when it is at work. Not alive when no beat came for
    `patience_seconds`. `was_ready`: it was at work once."""

    def __init__(self, patience_seconds: float = 120, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._beat_at = clock()
        self.was_ready = False
        self.ready = False

    @property
    def ready(self) -> bool:
        return self._ready

    @ready.setter
    def ready(self, value: bool) -> None:
        self._ready = value
        self.was_ready |= value

    def beat(self) -> None:
        self._beat_at = self._clock()

    def alive(self) -> bool:
        return self._clock() - self._beat_at <= self._patience_seconds


@contextmanager
def serve(listen: str | None, health: Health, linger: Callable[[], object] = lambda: None) -> Iterator[int]:
    """Serves on `host:port` in a thread while the block runs, and yields the port (for port 0, the one taken); does nothing and yields 0
    when `listen` is None. When the block halts for a person to see to it, the fault is told as a metric, and `linger` waits until that may
    have been seen. Raises Invalid when the address cannot be had."""
    if listen is None:
        yield 0
        return
    host, _, port = listen.rpartition(":")
    try:
        server = make_server(host.strip("[]"), int(port), _application(health), _Server, _Quiet)
    except (OSError, OverflowError) as error:
        raise Invalid(f"metrics.listen {listen}: {error}; name a free address as 127.0.0.1:9400") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    except (Gone, Corrupt, Refused, Invalid) as error:
        # A setting that is wrong ends a process before it is at work; what is invalid later came up under it.
        if isinstance(error, Invalid) and not health.was_ready:
            raise
        health.ready = False
        fault = str(error.fields.get("fault", type(error).__name__.lower()))
        HALTED.labels(fault).set(1)
        structlog.get_logger().error("process.halted", fault=fault, message=error.message)
        linger()
        raise
    finally:
        server.shutdown()
        server.server_close()


def _application(health: Health) -> Callable[["WSGIEnvironment", "StartResponse"], Iterable[bytes]]:
    metrics = make_wsgi_app(REGISTRY)

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                body: Iterable[bytes] = metrics(environ, start)
                return body
            case "/healthz":
                good = health.alive()
            case "/readyz":
                good = health.alive() and health.ready
            case _:
                start("404 Not Found", [("Content-Type", "text/plain")])
                return [b"there are /metrics, /healthz and /readyz\n"]
        start("200 OK" if good else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"yes\n" if good else b"no\n"]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not news."""
