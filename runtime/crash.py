"""Crash points: places where a test lets the process die as by `kill -9`, between any two effects.

`TIDEMARK_CRASH=loader.commit.after:3` kills at the third pass of that point, `,` separates several. Only with `TIDEMARK_TEST=1`.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from contracts.errors import Invalid

Port = TypeVar("Port")


class CrashPlan:
    """At which pass of which point to die. Raises Invalid outside test mode and for what cannot be read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._at: dict[str, int] = {}
        self._passed: Counter[str] = Counter()
        text = environ.get("TIDEMARK_CRASH", "")
        if text and environ.get("TIDEMARK_TEST") != "1":
            raise Invalid("TIDEMARK_CRASH makes this process kill itself; remove it, or set TIDEMARK_TEST=1 if this is a test")
        for item in filter(None, text.split(",")):
            name, _, number = item.partition(":")
            if not name or (number and not (number.isdigit() and int(number) > 0)):
                raise Invalid(f"TIDEMARK_CRASH: {item!r} is not point or point:n, as loader.commit.after:3")
            self._at[name] = int(number or 1)

    def __bool__(self) -> bool:
        return bool(self._at)

    def due(self, name: str) -> bool:
        """Counts one pass of the point; True when it is the one to die at."""
        self._passed[name] += 1
        return self._at.get(name) == self._passed[name]


_plan: CrashPlan | None = None


def validate() -> None:
    """Reads the environment's plan. Raises Invalid."""
    global _plan
    _plan = CrashPlan(os.environ)


def crash_point(name: str) -> None:
    """Dies here when the plan says so."""
    if _plan is None:
        validate()
    if _plan and _plan.due(name):
        os.kill(os.getpid(), signal.SIGKILL)


def crash_points(port: Port, service: str) -> Port:
    """The port, each of its methods between the crash points `<service>.<method>.before` and `.after`; without a plan the port itself."""
    if _plan is None:
        validate()
    return cast(Port, _Crashing(port, service)) if _plan else port


class _Crashing:
    def __init__(self, port: object, service: str) -> None:
        self._port = port
        self._service = service

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._between(name, found) if callable(found) and not name.startswith("_") else found

    def _between(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            crash_point(f"{self._service}.{name}.before")
            answer = method(*args, **kwargs)
            crash_point(f"{self._service}.{name}.after")
            return answer

        return call
