"""What one run of the loader gave."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.measured import RunMeasured
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
class Measured(RunMeasured):
    """`batches` of the row topic, in order."""

    batches: Sequence[Batch]

    @property
    def staged_rows(self) -> int:
        return sum(batch.rows for batch in self.batches)

    @classmethod
    def read(cls, path: Path) -> "Measured":
        body = orjson.loads(path.read_bytes())
        return cls(**{**body, "window": Window.of(body["window"]), "batches": [Batch(**batch) for batch in body["batches"]]})
