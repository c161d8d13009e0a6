"""What one run of a streamer gave."""

from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.measured import RunMeasured
from benchmarks.window import Window


@dataclass(frozen=True, slots=True)
class Measured(RunMeasured):
    """`transactions`: Kafka's; 0 without transactions."""

    transactions: int

    @classmethod
    def read(cls, path: Path) -> "Measured":
        body = orjson.loads(path.read_bytes())
        return cls(**{**body, "window": Window.of(body["window"])})
