"""The rows that signals ask for, in memory while they wait: by keys, or as row events. The position names the signals by their offsets; a
session that begins with some of them hears the topic from the oldest of these on."""

from collections.abc import Collection, Mapping, Sequence

import structlog

from contracts.progress import Asked, Position
from contracts.signals import EVENTS_BYTES_MAX, Ask, Signal
from streamer.service.rereading import Keys

SIGNALS_MAX = 32
"""Waiting at a time, each of at most `contracts.signals.KEYS_BYTES_MAX` or `EVENTS_BYTES_MAX`: no more are heard before."""

log = structlog.get_logger()


class AskedRows:
    """`hear_at`: the offset of the signal to hear next."""

    def __init__(self, position: Position) -> None:
        self._keys: dict[int, Keys] = {}
        self._events: dict[int, Signal] = {}
        self._sizes: dict[int, int] = {}  # of events, in bytes
        self._missing = {offset for asked in position.asked.values() for offset in asked.signals}
        self.hear_at = min(self._missing, default=position.next_signal)

    @property
    def full(self) -> bool:
        # A row that fills a signal alone may be larger than the signals are else.
        return len(self._keys) + len(self._events) >= SIGNALS_MAX or sum(self._sizes.values()) >= SIGNALS_MAX * EVENTS_BYTES_MAX

    @property
    def emitting(self) -> bool:
        """Whether row events wait to be sent."""
        return bool(self._events)

    def heard(self, offset: int, data: bytes) -> None:
        """A signal, whatever it asks for."""
        self.hear_at = offset + 1
        if offset in self._missing:
            self.hold(offset, Signal.decode(data))
            self._missing.discard(offset)

    def hold(self, offset: int, signal: Signal) -> None:
        if signal.ask is Ask.EMIT:
            self._events[offset] = signal
            self._sizes[offset] = signal.size_bytes
        else:
            self._keys[offset] = Keys(offset, signal)

    def drop(self, offsets: Collection[int]) -> None:
        for offset in offsets:
            self._keys.pop(offset, None)
            self._events.pop(offset, None)
            self._sizes.pop(offset, None)
            self._missing.discard(offset)

    def lost(self, asked: Mapping[str, Asked]) -> Mapping[str, Sequence[int]]:
        """By topic those signals that the topic `signals` does not hold any more: what it has behind them was heard."""
        expired = {offset for offset in self._missing if offset < self.hear_at}
        lost = {topic: [offset for offset in of.signals if offset in expired] for topic, of in asked.items()} if expired else {}
        return {topic: offsets for topic, offsets in lost.items() if offsets}

    def keys_of(self, asked: Asked) -> Sequence[Keys]:
        """As many from the first as are held."""
        return [self._keys[offset] for offset in asked.signals if offset in self._keys]

    def events_of(self, asked: Asked) -> tuple[int, Signal] | None:
        """The first signal of row events that is held, and its offset."""
        return next(((offset, self._events[offset]) for offset in asked.signals if offset in self._events), None)


def without(asked: Asked, offsets: Collection[int]) -> Asked | None:
    """What is left to do once these signals are done; None for nothing."""
    left = tuple(offset for offset in asked.signals if offset not in offsets)
    return Asked(asked.table, asked.standing, left) if left else None
