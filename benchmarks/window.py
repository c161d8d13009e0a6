"""The time between two moments, and who used the CPU in it."""

import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import machine


@dataclass(frozen=True, slots=True)
class Moment:
    """Clocks read together. `servers_s`: CPU seconds of each server process by name."""

    wall_s: float
    own_s: float
    busy_s: float
    servers_s: Mapping[str, float]

    @classmethod
    def now(cls, servers: Mapping[str, int], families: Mapping[str, int] | None = None) -> "Moment":
        """`servers`: pids by name, left out where a server is no process of this machine's; `families`: of those whose children count
        too."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        servers_s = {name: machine.cpu_s(pid) for name, pid in servers.items()}
        servers_s |= {name: machine.family_cpu_s(pid) for name, pid in (families or {}).items()}
        return cls(time.monotonic(), used.ru_utime + used.ru_stime, machine.busy_s(), servers_s)


@dataclass(frozen=True, slots=True)
class Window:
    """What was used between two moments. `other_percent`: everything else on the machine, in percent of one core; a few percent are the
    ticks' own error in a run of seconds."""

    wall_s: float
    own_s: float
    servers_s: Mapping[str, float]
    other_percent: float

    @classmethod
    def between(cls, start: Moment, stop: Moment) -> "Window":
        wall_s = stop.wall_s - start.wall_s
        own_s = stop.own_s - start.own_s
        servers_s = {name: stop.servers_s[name] - start.servers_s[name] for name in start.servers_s}
        other_s = stop.busy_s - start.busy_s - own_s - sum(servers_s.values())
        return cls(wall_s, own_s, servers_s, 100 * other_s / wall_s)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Window":
        return cls(body["wall_s"], body["own_s"], body["servers_s"], body["other_percent"])

    @property
    def busy_percent(self) -> float:
        """Of all cores."""
        used_s = self.own_s + sum(self.servers_s.values()) + self.other_percent / 100 * self.wall_s
        return 100 * used_s / (self.wall_s * machine.cores())
