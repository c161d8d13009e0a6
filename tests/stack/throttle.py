"""A proxy before an S3 server that answers some requests the way S3 does when it is asked too much, or tells a later time."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Throttle:
    """`url` to be asked at. `refuse`: how many of the next requests with `method` get a 503; `refused`: how many did. `ahead`: how much
    later the server's clock tells than it is."""

    def __init__(self, url: str, method: str) -> None:
        self.url = url
        self.method = method
        self.refuse = 0
        self.refused = 0
        self.ahead = timedelta()
        self._lock = threading.Lock()

    def turn_away(self, method: str) -> bool:
        with self._lock:
            if method != self.method or not self.refuse:
                return False
            self.refuse -= 1
            self.refused += 1
            return True


@contextmanager
def throttled(endpoint_url: str, method: str = "DELETE") -> Iterator[Throttle]:
    host = urlsplit(endpoint_url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if throttle.turn_away(self.command):
                self.send_response(503)
                self._end(SLOW_DOWN)
                return
            server = http.client.HTTPConnection(host)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "expect")}
            server.request(self.command, self.path, body, headers)
            found = server.getresponse()
            data = found.read()
            self.send_response(found.status)
            for name, value in found.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date"):
                    self.send_header(name, value)
            self._end(data)
            server.close()

        def _end(self, body: bytes) -> None:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((time.time() if timestamp is None else timestamp) + throttle.ahead.total_seconds())

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    for verb in ("GET", "PUT", "DELETE", "POST", "HEAD"):
        setattr(Handler, f"do_{verb}", Handler.answer)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        throttle = Throttle(f"http://127.0.0.1:{server.server_port}", method)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield throttle
        finally:
            server.shutdown()
