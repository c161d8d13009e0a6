"""What one run of a service gave, as its process writes it and the benchmark reads it."""

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from benchmarks.window import Window


@dataclass(frozen=True, slots=True)
class RunMeasured:
    """`rows` row changes done for good in `window`; `startup_s` from the start of the process to the start of the window."""

    rows: int
    startup_s: float
    window: Window
    rss_peak_bytes: int

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.window.wall_s

    @property
    def cpu_s_per_million(self) -> float:
        return self.window.own_s / self.rows * 1e6

    def server_cpu_s_per_million(self, name: str) -> float | None:
        """None for a server that is no process of this machine's."""
        used = self.window.servers_s.get(name)
        return None if used is None else used / self.rows * 1e6

    def write(self, path: Path) -> None:
        path.write_bytes(orjson.dumps(asdict(self)))
