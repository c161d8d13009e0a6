"""The loader's worker, as a thread of a simulated process."""

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast

from contracts.errors import PipelineError
from tests.simulation.schedule import Actor

Result = TypeVar("Result")
FOREVER = timedelta(days=1000)


class FakeJob(Generic[Result]):
    def __init__(self, loop: Actor, task: Callable[[], Result]) -> None:
        self.loop = loop
        self.task = task
        self.over = False
        self.value: Result | None = None
        self.error: PipelineError | None = None

    def run(self) -> None:
        try:
            self.value = self.task()
        except PipelineError as error:
            self.error = error
        self.over = True

    def wait(self, timeout: timedelta) -> bool:
        if self.over or not timeout:
            return self.over
        return self.loop.wait("loader.wait", lambda: self.over, timeout)

    def result(self) -> Result:
        if self.error is not None:
            raise self.error
        return cast(Result, self.value)


class FakeWorker:
    """`hand`: the thread's actor, which everything it uses must be given."""

    def __init__(self, loop: Actor) -> None:
        self.loop = loop
        self.waiting: deque[FakeJob[Any]] = deque()
        self.hand = loop.hand(self._work)

    def start(self, task: Callable[[], Result]) -> FakeJob[Result]:
        job = FakeJob(self.loop, task)
        self.waiting.append(job)
        return job

    def _work(self, hand: Actor) -> None:
        while True:
            hand.wait("loader.work", lambda: bool(self.waiting), FOREVER)
            if self.waiting:
                self.waiting.popleft().run()

    def close(self) -> None:
        """Processes here do not end in good order."""
