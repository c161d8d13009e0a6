"""What can befall an effect. Every fake asks its gate before it does anything; the gate decides what becomes of it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from random import Random
from typing import TypeVar

from contracts.errors import PipelineError, Unavailable
from tests.fakes.clock import Time

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone. Not an Exception, so that no handler of the code under test takes it for a fault it could mend."""


class Fate(StrEnum):
    """What becomes of one effect."""

    RUN = "run"
    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"
    KILL_SENT = "kill sent"
    """The process dies with its request on the way; the neighbour acts on it some time later."""
    PAUSE = "pause"
    """The process stops in front of the effect, long enough for others to take it for dead, and then goes on."""
    LOSE_REQUEST = "lose request"
    """The neighbour never hears of it; the caller cannot tell."""
    LOSE_ANSWER = "lose answer"
    """It happened; the caller cannot tell."""
    DELAY = "delay"
    """The caller gives up; the neighbour acts on the request some time later."""


class Gate:
    """Between one process and its neighbours. This one lets everything pass at once, but for what `at` has planned."""

    def __init__(self, time: Time | None = None, rng: Random | None = None) -> None:
        self.time = time or Time()
        self.rng = rng or Random(0)
        self.planned: dict[str, list[Fate]] = {}
        self.crossed: list[str] = []
        self.dead = False
        self.belated: list[Callable[[], object]] = []

    def at(self, effect: str, *fates: Fate) -> None:
        """The next crossings of `effect` meet these fates, in order; after them it runs again."""
        self.planned.setdefault(effect, []).extend(fates)

    def fate(self, effect: str, *, lossy: bool) -> Fate:
        """Decides. `lossy`: the request or its answer can be lost. Raises Killed where the process dies in front of the effect."""
        if self.dead:
            raise Killed(effect)
        self.crossed.append(effect)
        waiting = self.planned.get(effect)
        fate = waiting.pop(0) if waiting else Fate.RUN
        if fate is Fate.KILL_BEFORE:
            raise self.killed(effect)
        return fate

    def killed(self, effect: str) -> Killed:
        """To be raised: from now on nothing this process does has an effect, whatever its code does about it."""
        self.dead = True
        return Killed(effect)

    def cross(self, effect: str, act: Callable[[], T], lost: type[PipelineError] | None = Unavailable) -> T:
        """Does the effect as the gate decides. `lost`: what the caller is told when no answer comes; None where none can be lost."""
        fate = self.fate(effect, lossy=lost is not None)
        if lost is None or fate in (Fate.RUN, Fate.PAUSE, Fate.KILL_AFTER):
            done = act()
            if fate is Fate.KILL_AFTER:
                raise self.killed(effect)
            return done
        if fate in (Fate.DELAY, Fate.KILL_SENT):
            self.later(act)
        elif fate is Fate.LOSE_ANSWER:
            happen(act)
        if fate is Fate.KILL_SENT:
            raise self.killed(effect)
        raise lost(f"{effect}: no answer")

    def later(self, act: Callable[[], object]) -> None:
        """Lets `act` happen some time after now, in no particular order with others. Nobody hears of its failure."""
        self.belated.append(act)

    def settle(self) -> None:
        """Lets everything that was put off happen."""
        while self.belated:
            happen(self.belated.pop(0))

    def wait(self, effect: str, ready: Callable[[], bool], timeout: timedelta) -> bool:
        """Waits until `ready`, at most `timeout`; whether it came to be so."""
        if self.dead:
            raise Killed(effect)
        self.crossed.append(effect)
        if not ready():
            self.time.advance(timeout)
        return ready()


def happen(belated: Callable[[], object]) -> None:
    """Does what was put off; there is nobody left to tell when it is refused."""
    with suppress(PipelineError):
        belated()
