"""The loader as `loader.wiring` wires it, with four parts exchanged: the warehouse, the clock, the bucket if it is to be slow, and a reader
that tells when the first record has come and when the last.

A batch that is not full would wait for its age; the clock jumps over that once everything is read, so that no run ends in waiting.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from benchmarks.loader.accepting import AcceptingWarehouse
from benchmarks.window import Moment
from loader import wiring
from loader.edges.s3 import S3BatchStore
from loader.service import Loader
from runtime.lifecycle import Stop
from runtime.settings import Settings


@dataclass(slots=True)
class Times:
    """`start`: before the poll that brought the first record; `done`: when the last commit had happened."""

    servers: Mapping[str, int]
    start: Moment | None = None
    done: Moment | None = None

    def finish(self) -> None:
        if self.done is None:
            self.done = Moment.now(self.servers)


class Hurried:
    """The loader's `Clock`, `ahead` of time."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def sleep(self, pause: timedelta) -> None:
        self._stop.wait(pause.total_seconds())


class WatchedLog:
    """The loader's `ShardLog`, watched. `ended` is called once everything that `topics` hold now is read."""

    def __init__(self, log: Any, topics: tuple[str, ...], times: Times, ended: Callable[[], None]) -> None:
        self._log = log
        self._times = times
        self._ended = ended
        # The last thing in a topic is the mark of the commit that wrote it.
        self._left = {topic: log.bounds(topic).stable_end - 1 for topic in topics}
        self._reading: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def seek(self, next_offsets: Mapping[str, int]) -> None:
        self._reading = set(next_offsets)
        self._log.seek(next_offsets)

    def add(self, topic: str, next_offset: int) -> None:
        self._reading.add(topic)
        self._log.add(topic, next_offset)

    def poll(self, records_max: int, timeout: timedelta) -> Any:
        before = Moment.now(self._times.servers) if self._times.start is None else None
        found = self._log.poll(records_max, timeout)
        if found and before is not None:
            self._times.start = before
        if self._left:
            self._left = {topic: end for topic, end in self._left.items() if topic not in self._reading or self._log.position(topic) < end}
            if not self._left:
                self._ended()
        return found


def slow_store(delay_s: float) -> type[S3BatchStore]:
    """A bucket that takes so much longer for each object."""

    class SlowStore(S3BatchStore):
        def put(self, key: str, data: bytes) -> None:
            time.sleep(delay_s)
            super().put(key, data)

    return SlowStore


@contextmanager
def wired(settings: Settings, stop: Stop, warehouse: AcceptingWarehouse, topic: str, times: Times, put_delay_s: float) -> Iterator[Loader]:
    """Closed at the end, as production closes it."""
    clock = Hurried(stop)
    reader = wiring.open_reader
    topics = (settings.topics.progress, topic)

    def hurry() -> None:
        clock.ahead = timedelta(seconds=settings.batch.seconds)

    exchanged: dict[str, Any] = {
        "open_warehouse": lambda *_: warehouse,
        "open_reader": lambda settings, shard: WatchedLog(reader(settings, shard), topics, times, hurry),
        "SystemClock": lambda _: clock,
    }
    if put_delay_s:
        exchanged["S3BatchStore"] = slow_store(put_delay_s)
    with patch.multiple(wiring, **exchanged), wiring.build(settings, stop, instance="benchmark") as loader:
        yield loader
