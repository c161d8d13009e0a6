"""What one run of the loader gave: written by its process, read by the benchmark."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from benchmarks.window import Window


@dataclass(frozen=True, slots=True)
class Batch:
    """A committed batch of the row topic: offsets [start, stop), `records` of which `superseded` left no row; `rows` in the object that
    the manifest at `manifest_url` names, empty when there is none."""

    start: int
    stop: int
    records: int
    superseded: int
    quarantined: int
    rows: int
    manifest_url: str


@dataclass(frozen=True, slots=True)
class Measured:
    """`rows` row changes committed in `window`; `startup_s` from the start of the process to the start of the window."""

    rows: int
    startup_s: float
    window: Window
    rss_peak_bytes: int
    batches: Sequence[Batch]

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.window.wall_s

    @property
    def cpu_s_per_million(self) -> float:
        return self.window.own_s / self.rows * 1e6

    @property
    def staged_rows(self) -> int:
        return sum(batch.rows for batch in self.batches)

    def write(self, path: Path) -> None:
        path.write_bytes(orjson.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Measured":
        body = orjson.loads(path.read_bytes())
        return cls(**{**body, "window": Window.of(body["window"]), "batches": [Batch(**batch) for batch in body["batches"]]})
