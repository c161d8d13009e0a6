"""The proxy breaks what it is told to break, and nothing else."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import Proxy, Trap


class Echo:
    """Sends back what it is sent. `seen`: all of that."""

    def __init__(self) -> None:
        self.seen = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(1000):
                self.seen += data
                connection.sendall(data)
        except OSError:
            pass
        connection.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port).running() as running:
        yield running


def connected(proxy: Proxy) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    client.sendall(b"hello")
    assert client.recv(100) == b"hello"
    return client


def received(client: socket.socket) -> Iterator[bytes]:
    """Until it is cut, by a RST."""
    try:
        while data := client.recv(100):
            yield data
    except ConnectionResetError:
        return
    raise AssertionError("the connection was closed in peace")


def test_what_passes_is_not_changed_and_an_end_is_passed_on(proxy: Proxy) -> None:
    client = connected(proxy)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(100) == b""


def test_a_reset_cuts_every_connection_and_lets_new_ones_in(proxy: Proxy) -> None:
    clients = [connected(proxy) for _ in range(2)]
    assert proxy.reset() == 2
    for client in clients:
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    connected(proxy)


def test_a_stall_holds_everything_back_until_it_ends(proxy: Proxy) -> None:
    client = connected(proxy)
    proxy.stall()
    assert proxy.held == 0
    client.sendall(b"late")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(100)
    assert proxy.held == 1
    proxy.flow()
    client.settimeout(5)
    assert client.recv(100) == b"late"


def test_a_delay_counts_what_it_holds_back(proxy: Proxy) -> None:
    client = connected(proxy)
    proxy.delay(0.01)
    client.sendall(b"late")
    assert client.recv(100) == b"late"
    assert proxy.held == 2


@pytest.mark.parametrize(("forwarded", "seen"), [(False, b"hello"), (True, b"helloPUT /x")])
def test_a_trap_cuts_one_request_before_or_behind_the_server(echo: Echo, proxy: Proxy, forwarded: bool, seen: bytes) -> None:
    client = connected(proxy)
    proxy.trap(Trap(b"PUT /", forwarded=forwarded, answer=b"no"))
    client.sendall(b"PUT /x")
    answer = b"".join(received(client))
    assert answer in ((b"no",) if not forwarded else (b"no", b"PUT /xno"))
    assert (echo.seen, proxy.trapped) == (seen, 1)
    connected(proxy)
