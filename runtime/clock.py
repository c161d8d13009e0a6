"""The machine's clock."""

from datetime import UTC, datetime, timedelta

from runtime.lifecycle import Stop


class SystemClock:
    """A pause ends early when the process is asked to stop."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, pause: timedelta) -> None:
        self._stop.wait(pause.total_seconds())
