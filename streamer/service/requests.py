"""Requests to the running streamer, a few at a time, followed to their end by what its position says."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import structlog

from contracts.errors import Unavailable
from contracts.progress import Position
from contracts.signals import EVENTS_BYTES_MAX, Ask, Signal
from contracts.topics import Topics
from streamer.ports import Clock, PositionFollower, SignalOutbox

AHEAD = 8
"""Signals sent and not done: enough to keep the streamer reading, little enough for it to hold, and for others to be heard soon."""
_AHEAD_BYTES = AHEAD * EVENTS_BYTES_MAX
_LOOK_EVERY = timedelta(milliseconds=200)
_PATIENCE = timedelta(seconds=60)  # for a position that does not move; it does every second while a streamer runs

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Sent:
    offset: int
    topic: str
    signal: Signal
    size_bytes: int

    def is_done(self, position: Position) -> bool:
        if position.next_signal <= self.offset:
            return False
        if self.signal.ask is Ask.SNAPSHOT:
            return self.topic not in position.rereads
        asked = position.asked.get(self.topic)
        return asked is None or self.offset not in asked.signals


class Requests:
    """Sends signals and waits for what they ask for."""

    def __init__(self, outbox: SignalOutbox, follower: PositionFollower, clock: Clock, topics: Topics) -> None:
        self._outbox = outbox
        self._follower = follower
        self._clock = clock
        self._topics = topics
        self._n = -1
        self._moved_at = clock.now()

    def follow(self, signals: Iterable[Signal], stopped: Callable[[], bool]) -> Iterator[int]:
        """Gives how many keys or events, or 1 for a table, are on Kafka now that were not before. Ends early when `stopped`; what was asked
        for by then is done all the same. Raises Unavailable when no streamer seems to run."""
        waiting = iter(signals)
        sent: list[_Sent] = []
        while not stopped():
            while len(sent) < AHEAD and sum(one.size_bytes for one in sent) < _AHEAD_BYTES and (signal := next(waiting, None)) is not None:
                sent.append(_Sent(self._outbox.send(signal), self._topics.rows(signal.table), signal, signal.size_bytes))
            if not sent:
                return
            position = self._position()
            done = [one for one in sent if position is not None and one.is_done(position)]
            sent = [one for one in sent if one not in done]
            yield sum(one.signal.rows for one in done)
            if not done:
                self._clock.sleep(_LOOK_EVERY)

    def _position(self) -> Position | None:
        position, now = self._follower.latest(), self._clock.now()
        if position is not None and position.n != self._n:
            self._n, self._moved_at = position.n, now
        elif now - self._moved_at > _PATIENCE:
            raise Unavailable(
                f"the position in {self._topics.position} has not moved for {_PATIENCE.total_seconds():.0f} s: is the streamer running? It "
                "does what was asked for so far once it runs; run this again for the rest"
            )
        return position
