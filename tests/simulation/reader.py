"""A reader of tables, as a thread of a simulated streamer."""

from datetime import timedelta

from contracts.errors import Unavailable
from streamer.ports import ReadRequest, TableRows
from tests.simulation.binlog import LiveServer
from tests.simulation.schedule import Actor
from tests.simulation.worker import FOREVER

COMMIT_PATIENCE = timedelta(seconds=20)


class FakeTableReader:
    """Much can happen between what it asks the server: whether it has committed what the stream has taken, the rows, the binlog's end."""

    def __init__(self, server: LiveServer, loop: Actor) -> None:
        self.server = server
        self._asked: ReadRequest | None = None
        self._answer: TableRows | Unavailable | None = None
        loop.hand(self._work)

    def ask(self, request: ReadRequest) -> None:
        assert self._asked is None, "one request at a time"
        self._asked = request

    def rows(self) -> TableRows | None:
        answer = self._answer
        if answer is not None:
            self.abandon()
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    def abandon(self) -> None:
        self._asked = self._answer = None

    def close(self) -> None:
        self.abandon()

    def _work(self, hand: Actor) -> None:
        while True:
            hand.wait("streamer.ask", lambda: self._asked is not None and self._answer is None, FOREVER)
            asked = self._asked
            if asked is None or self._answer is not None:
                continue
            try:
                answer: TableRows | Unavailable = self._read(hand, asked)
            except Unavailable as error:
                answer = error
            if self._asked is asked:  # not abandoned meanwhile
                self._answer = answer

    def _read(self, hand: Actor, asked: ReadRequest) -> TableRows:
        server = self.server.current
        assert isinstance(server, LiveServer)
        if not hand.wait("streamer.ask.committed", lambda: asked.streamed.is_subset(server.executed), COMMIT_PATIENCE):
            raise Unavailable(f"the server has not committed {asked.streamed}")
        moment = hand.cross("streamer.ask.rows", lambda: server.visible)
        rows = hand.cross("streamer.ask.end", lambda: server.read(asked, moment))
        if server.down:
            raise Unavailable("the connection to the server was lost")
        return rows
