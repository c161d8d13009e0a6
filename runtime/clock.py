"""The machine's clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock

from runtime.lifecycle import Stop


def _wall() -> datetime:
    return datetime.now(UTC)


class SystemClock:
    """The time of day, which never goes back: when it is set back (NTP, a machine that is resumed), this clock goes on at half its pace
    until the other has caught up. So whoever waits for a moment waits at most twice as long, and no age is negative. A pause ends early
    when the process is asked to stop."""

    def __init__(self, stop: Stop, wall: Callable[[], datetime] = _wall, steady: Callable[[], float] = time.monotonic) -> None:
        """`steady`: seconds that nobody sets."""
        self._stop = stop
        self._wall = wall
        self._steady = steady
        self._lock = Lock()
        self._now, self._now_at = wall(), steady()

    def now(self) -> datetime:
        with self._lock:
            at = self._steady()
            self._now = max(self._wall(), self._now + timedelta(seconds=(at - self._now_at) / 2))
            self._now_at = at
            return self._now

    def sleep(self, pause: timedelta) -> None:
        self._stop.wait(pause.total_seconds())
