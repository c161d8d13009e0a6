"""A TCP proxy before a server, which breaks connections on purpose."""

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")
_CHUNK_BYTES = 64 << 10
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


@dataclass(slots=True)
class Trap:
    """What happens to the next connection on which a client sends what `pattern`, a regular expression, finds: it is cut, `forwarded` or
    not; with an `answer` the client gets that first."""

    pattern: bytes
    forwarded: bool = False
    answer: bytes = b""


class Proxy:
    """Connections to `port` go on to `upstream`, both on the loopback. All methods may be called from any thread."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.trapped = 0
        """Connections that a trap has cut."""
        self.held = 0
        """Pieces of data that a stall or a delay has held back."""
        self._traps: list[Trap] = []
        self._delay_s = 0.0
        self._open = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()

    def reset(self) -> int:
        """Cuts every connection with a RST, and returns how many there were."""
        return self._call(self._reset)

    def stall(self) -> None:
        """From now on nothing gets through, either way, and nobody is told."""
        self._call(self._open.clear)

    def flow(self) -> None:
        """Ends a stall and any delay."""
        self._call(self._flow)

    def delay(self, seconds: float) -> None:
        """From now on every piece of data waits that long, either way."""
        self._call(lambda: setattr(self, "_delay_s", seconds))

    def trap(self, trap: Trap) -> None:
        self._call(lambda: self._traps.append(trap))

    def disarm(self) -> None:
        """Forgets the traps nobody ran into."""
        self._call(self._traps.clear)

    def _call(self, act: Callable[[], Result]) -> Result:
        async def call() -> Result:
            return act()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def _flow(self) -> None:
        self._delay_s = 0.0
        self._open.set()

    def _reset(self) -> int:
        for writer in self._writers:
            _abort(writer)
        return len(self._writers) // 2

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            _abort(to_client)
            return
        pair = {to_client, to_server}
        self._writers |= pair
        try:
            await asyncio.gather(self._pump(client, to_server, to_client), self._pump(server, to_client, None))
        except OSError:
            pass
        finally:
            self._writers -= pair
            for writer in pair:
                _abort(writer)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, back: asyncio.StreamWriter | None) -> None:
        """`back`: to whom the source's own side is; None for what comes from the server."""
        while data := await source.read(_CHUNK_BYTES):
            self.held += bool(self._delay_s) or not self._open.is_set()
            await self._open.wait()
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            trap = next((trap for trap in self._traps if re.search(trap.pattern, data, re.DOTALL)), None) if back else None
            if trap is not None and back is not None:
                self._traps.remove(trap)
                self.trapped += 1
                if trap.forwarded:
                    sink.write(data)
                    await sink.drain()
                    await asyncio.sleep(0.02)  # the server has it
                if trap.answer:
                    back.write(trap.answer)
                    await back.drain()
                raise ConnectionResetError("trapped")
            sink.write(data)
            await sink.drain()
        sink.write_eof()

    async def _main(self, ready: threading.Event) -> None:
        self._open.set()
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await self._stopped.wait()
            self._reset()

    def _run(self, main: Coroutine[Any, Any, None]) -> None:
        self._loop.run_until_complete(main)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        ready = threading.Event()
        thread = threading.Thread(target=self._run, args=(self._main(ready),), daemon=True)
        thread.start()
        ready.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stopped.set)
            thread.join()


def _abort(writer: asyncio.StreamWriter) -> None:
    held = writer.get_extra_info("socket")
    if held is not None and held.fileno() >= 0:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
