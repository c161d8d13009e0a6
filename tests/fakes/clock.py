"""Time that moves only when it is told to."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAWN = datetime(2025, 8, 14, 15, 0, 0, tzinfo=UTC)


MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Time:
    """The one true time of a world, in microseconds since its dawn."""

    elapsed_us: int = 0

    def advance(self, pause: timedelta) -> None:
        self.elapsed_us += pause // MICROSECOND

    def now(self) -> datetime:
        return DAWN + timedelta(microseconds=self.elapsed_us)


@dataclass(slots=True)
class FakeClock:
    """A process's clock: the true time and a skew. `sleep` moves the true time; in the simulation another class waits its turn instead."""

    time: Time
    skew: timedelta = timedelta()

    def now(self) -> datetime:
        return self.time.now() + self.skew

    def sleep(self, pause: timedelta) -> None:
        self.time.advance(pause)
