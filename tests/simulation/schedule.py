"""Who runs next, and what befalls it. Each actor is a greenlet and stops at every effect; one seed decides the rest.

Half of the seeds pick the next actor at random; the others run the one of highest priority and lower it at a few random steps, which
finds faults that need few but far-off switches. Source: Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding
Bugs".
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

from greenlet import greenlet

from tests.fakes.clock import MICROSECOND, Time
from tests.fakes.faults import Fate, Gate, Killed, happen
from tests.simulation.risks import QUIET, Risks, weight

TICK_US = 100_000
"""What one step takes."""

CALM_STOPS = 0.15
"""How many of the effects stop once no fault is left to befall them: enough that those who met the last faults still meet each other."""


class Actor(Gate):
    """One process. `body` runs it from its start; what it returns or raises ends it."""

    def __init__(self, scheduler: "Scheduler", name: str, body: Callable[["Actor"], None], *, mortal: bool = True) -> None:
        super().__init__(scheduler.time, scheduler.rng)
        self.scheduler = scheduler
        self.name = name
        self.mortal = mortal
        self.skew = timedelta(milliseconds=scheduler.rng.randrange(-2000, 2000))
        self.priority = scheduler.rng.random()
        self.paused_until = 0
        self.wake_us: int | None = None
        self.ready: Callable[[], bool] | None = None
        self.doing = "start"
        self.error: BaseException | None = None
        self.hands: list[Actor] = []
        """Threads of this process: they end and stop with it, and it with them."""
        self.head: Actor | None = None
        self.greenlet = greenlet(lambda: self._run(body), scheduler.greenlet)

    def _run(self, body: Callable[["Actor"], None]) -> None:
        try:
            body(self)
        except Killed:
            pass
        except Exception as error:  # the scheduler's owner judges it
            self.error = error
        self.dead = True

    @property
    def process(self) -> "list[Actor]":
        """All threads, the first one first."""
        head = self.head or self
        return [head, *head.hands]

    def hand(self, body: Callable[["Actor"], None]) -> "Actor":
        """One thread more, which runs `body`."""
        hand = Actor(self.scheduler, self.name, body, mortal=self.mortal)
        hand.head, hand.skew, hand.priority = self, self.skew, self.priority
        self.hands.append(hand)
        return self.scheduler.add(hand)

    def _switch(self, effect: str) -> None:
        if self.dead:
            raise Killed(self.name)
        self.doing = effect
        self.scheduler.greenlet.switch()
        if self.dead:
            raise Killed(self.name)

    def fate(self, effect: str, *, lossy: bool) -> Fate:
        if self.dead:
            raise Killed(self.name)
        if self._passes(effect, lossy=lossy):
            return Fate.RUN
        return self._stop(effect, lossy=lossy)

    def _passes(self, effect: str, *, lossy: bool) -> bool:
        """Whether an effect happens without a stop in front of it."""
        scheduler = self.scheduler
        if scheduler.calm and self.rng.random() > CALM_STOPS:
            scheduler.decide(self, effect, lossy=lossy)
            return True
        return effect in QUIET and self.rng.random() > QUIET[effect]

    def _stop(self, effect: str, *, lossy: bool) -> Fate:
        self._switch(effect)
        fate = self.scheduler.decide(self, effect, lossy=lossy)
        if fate is Fate.PAUSE:
            until = self.scheduler.step + self.rng.randrange(self.scheduler.risks.pause_steps_min, self.scheduler.risks.pause_steps_max)
            for thread in self.scheduler.stopped(self):
                thread.paused_until = until
            self._switch(effect)
        elif fate is Fate.KILL_BEFORE:
            raise self.killed(effect)
        return fate

    def wait(self, effect: str, ready: Callable[[], bool], timeout: timedelta) -> bool:
        if not ready():
            self.ready, self.wake_us = ready, self.time.elapsed_us + timeout // MICROSECOND
        elif self.scheduler.calm and self._passes(effect, lossy=False):
            return True
        fate = self._stop(effect, lossy=False)
        self.ready = self.wake_us = None
        if fate is Fate.KILL_AFTER:
            raise self.killed(effect)
        return ready()

    def later(self, act: Callable[[], object]) -> None:
        self.scheduler.belated.append(act)

    # -- the process's clock

    def now(self) -> datetime:
        return self.time.now() + self.skew

    def sleep(self, pause: timedelta) -> None:
        self.wait(f"{self.name.rstrip('0123456789')}.sleep", lambda: False, pause)


class Scheduler:
    """Runs actors until nothing is left to do."""

    def __init__(self, seed: int, risks: Risks, calm_after: int, on_end: Callable[[Actor], None]) -> None:
        """Faults end after `calm_after` steps, so that everything can come to rest. `on_end`: told of each actor that is over."""
        self.on_end = on_end
        self.rng = Random(seed)
        self.risks = risks
        self.calm_after = calm_after
        self.time = Time()
        self.greenlet = greenlet.getcurrent()
        self.actors: list[Actor] = []
        self.belated: list[Callable[[], object]] = []
        self.step = 0
        self.calm = False
        self.trace: list[str] | None = None
        self.hits: Counter[tuple[str, str]] = Counter()
        self.lossy: dict[str, bool] = {}
        self.intensity = self.rng.choice((0.4, 1.0, 1.0))
        """How much of the risks this schedule takes: where little goes wrong, what does is met in later states."""
        self.promptness = self.rng.choice((0.5, 0.2, 0.04))
        """How likely a step is to let something happen that is on its way."""
        by_priority = self.rng.random() < 0.5
        self.changes = {self.rng.randrange(1, calm_after) for _ in range(3)} if by_priority else None

    def add(self, actor: Actor) -> Actor:
        self.actors.append(actor)
        return actor

    def note(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.step:5d} {self.time.elapsed_us / 1e6:8.1f}s {text}")

    def decide(self, actor: Actor, effect: str, *, lossy: bool) -> Fate:
        """What becomes of an effect an actor is about to do."""
        self.lossy[effect] = self.lossy.get(effect, False) or lossy  # an effect that can lose an answer may be waited for first
        fate = Fate.RUN if self.calm else self._draw(actor, effect, lossy)
        if fate is not Fate.RUN:
            self.hits[effect, fate.value] += 1
        if self.trace is not None:
            self.note(f"{actor.name:10s} {effect}{'' if fate is Fate.RUN else f'  ** {fate.value}'}")
        return fate

    def _draw(self, actor: Actor, effect: str, lossy: bool) -> Fate:
        risks, dice = self.risks, self.rng.random() / (weight(effect) * self.intensity)
        if dice < risks.pause:
            return Fate.PAUSE if not risks.pause_at or effect in risks.pause_at else Fate.RUN
        dice -= risks.pause
        if dice < risks.kill:
            if not actor.mortal:
                return Fate.RUN
            kinds = (Fate.KILL_BEFORE, Fate.KILL_AFTER, Fate.KILL_SENT) if lossy else (Fate.KILL_BEFORE, Fate.KILL_AFTER)
            return self.rng.choice(kinds)
        dice -= risks.kill
        if lossy and dice < risks.lost and (not risks.lost_at or effect in risks.lost_at):
            return self.rng.choice((Fate.LOSE_REQUEST, Fate.LOSE_ANSWER, Fate.DELAY))
        return Fate.RUN

    def stopped(self, actor: Actor) -> list[Actor]:
        """Who stops with an actor that is paused. A process is stopped whole; one thread alone may be slow."""
        return actor.process if self.rng.random() < 0.5 else [actor]

    def turn(self) -> bool:
        """One step of somebody, or of the network. False when nobody can move and nothing is on its way."""
        step = self.step = self.step + 1
        now_us = self.time.elapsed_us = self.time.elapsed_us + TICK_US
        if step > self.calm_after and not self.calm:
            self.calm = True
            for actor in self.actors:
                actor.paused_until = 0
        if self.belated and (self.calm or self.rng.random() < self.promptness):
            happen(self.belated.pop(self.rng.randrange(len(self.belated))))
        ready = [
            actor
            for actor in self.actors
            if actor.paused_until <= step
            and ((wake_us := actor.wake_us) is None or now_us >= wake_us or (actor.ready is not None and actor.ready()))
        ]
        if not ready:
            return self._skip()
        actor = self._pick(ready)
        actor.greenlet.switch()
        if actor.dead:
            self._bury(actor)
        return True

    def _bury(self, actor: Actor) -> None:
        """A process ends with the first of its threads that does."""
        head = actor.process[0]
        head.error = head.error or actor.error
        for thread in actor.process:
            self.actors.remove(thread)
            if not thread.greenlet.dead:
                thread.dead = True
                thread.greenlet.switch()
        self.on_end(head)

    def _pick(self, ready: list[Actor]) -> Actor:
        if len(ready) == 1:
            return ready[0]
        # In the calm everybody gets a turn, or one busy actor would starve the others.
        if self.changes is None or self.calm:
            return ready[self.rng.randrange(len(ready))]
        chosen = max(ready, key=lambda actor: actor.priority)
        if self.step in self.changes or self.rng.random() < 0.02:
            chosen.priority = self.rng.random() * min(actor.priority for actor in self.actors)
        return chosen

    def _skip(self) -> bool:
        """Nobody can run: on to when somebody can."""
        wakes = [actor.wake_us for actor in self.actors if actor.wake_us is not None and actor.paused_until <= self.step]
        if wakes:
            self.time.elapsed_us = max(self.time.elapsed_us, min(wakes))
        return bool(wakes or self.belated or any(actor.paused_until > self.step for actor in self.actors))

    def end(self) -> None:
        """Ends every actor where it stands; nothing it does any more has an effect."""
        for actor in self.actors:
            actor.dead = True
            if actor.greenlet:
                actor.greenlet.switch()
        self.actors.clear()
