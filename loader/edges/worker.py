"""Threads beside the loop."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Generic, TypeVar

Result = TypeVar("Result")


class FutureJob(Generic[Result]):
    """A `Job`."""

    def __init__(self, future: Future[Result]) -> None:
        self._future = future

    def wait(self, timeout: timedelta) -> bool:
        return bool(wait([self._future], timeout.total_seconds()).done)

    def result(self) -> Result:
        return self._future.result()


class ThreadWorker:
    """The loader's `Worker`: one thread, so that the warehouse's session is used by one at a time."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commits")

    def start(self, task: Callable[[], Result]) -> FutureJob[Result]:
        return FutureJob(self._executor.submit(task))

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


class ThreadSpread:
    """A committer's `Spread`: so many at the same time."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="objects")

    def __call__(self, tasks: Sequence[Callable[[], None]]) -> None:
        if len(tasks) == 1:
            tasks[0]()
            return
        futures = [self._executor.submit(task) for task in tasks]
        wait(futures)
        for future in futures:
            future.result()

    def close(self) -> None:
        self._executor.shutdown()
