"""How far something long is: a bar on a terminal, else a log line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

LOG_EVERY = timedelta(seconds=10)

log = structlog.get_logger()


class Gauge(Protocol):
    def at(self, done: int, total: int | None) -> None:
        """So many of so many; None while nobody knows how many there are."""


class _Bar:
    def __init__(self, shown: Progress, what: str) -> None:
        self._shown = shown
        self._what = what
        self._began = time.monotonic()
        self._task = shown.add_task(what, total=None, rate="")

    def at(self, done: int, total: int | None) -> None:
        seconds = time.monotonic() - self._began
        rate = f"{done / seconds:,.0f}/s" if seconds > 0 else ""
        self._shown.update(self._task, completed=done, total=total, rate=rate)


class _Lines:
    def __init__(self, event: str) -> None:
        self._event = event
        self._began = self._told = time.monotonic()

    def at(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._told < LOG_EVERY.total_seconds():
            return
        self._told = now
        share = {} if not total else {"total": total, "share": round(done / total, 3)}
        log.info(self._event, done=done, per_second=round(done / (now - self._began)), **share)


@contextmanager
def gauge(what: str, event: str) -> Iterator[Gauge]:
    """`what`: for a person, with the unit: "reading again, keys". `event`: of the log line where standard error is no terminal. What is
    written to the terminal meanwhile stands above the bar."""
    if not sys.stderr.isatty():
        yield _Lines(event)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as shown:
        yield _Bar(shown, what)
