"""A clock by which things are timed, on a machine whose time of day may be set."""

from datetime import UTC, datetime, timedelta

from runtime.clock import SystemClock
from runtime.lifecycle import Stop

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Machine:
    def __init__(self) -> None:
        self.wall, self.seconds = NOON, 100.0
        self.clock = SystemClock(Stop(), lambda: self.wall, lambda: self.seconds)

    def later(self, seconds: float) -> float:
        """The seconds since noon, after so many more."""
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds
        return (self.clock.now() - NOON).total_seconds()


def test_it_is_the_time_of_day() -> None:
    machine = Machine()
    assert [machine.later(seconds) for seconds in (0, 1, 60)] == [0, 1, 61]
    machine.wall += timedelta(hours=1)
    assert machine.later(1) == 3662


def test_when_that_is_set_back_it_goes_on_more_slowly_until_the_other_has_caught_up() -> None:
    machine = Machine()
    machine.later(60)
    machine.wall -= timedelta(minutes=10)
    assert [machine.later(seconds) for seconds in (0, 10, 590)] == [60, 65, 360]
    assert machine.later(600) == 660
    assert machine.later(10) == 670
