"""Runs to figures: medians, the ratio to the Python decoder, and the JSON object that ends the output."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.commandline import Conditions
from benchmarks.figures import mb, median_known, median_of
from benchmarks.loader.measured import Measured
from benchmarks.loader.memory import LIMIT
from benchmarks.loader.throughput import Outcome

NAMES = ("10", "60")


@dataclass(slots=True)
class Report:
    """What was measured so far; everything else is null in the JSON."""

    conditions: Conditions
    throughput: dict[str, Outcome] = field(default_factory=dict)
    strained: dict[str, int] = field(default_factory=dict)  # memory workloads: peak bytes

    @property
    def failed(self) -> bool:
        """Whatever is wrong stops a run."""
        return False

    @property
    def rss_bytes(self) -> dict[str, int]:
        """The loader's peak by what it did; with the Python decoder not counted."""
        return {name: max(run.rss_peak_bytes for run in outcome.ours) for name, outcome in self.throughput.items()} | self.strained

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {}
        for name in NAMES:
            body |= _throughput(name, self.throughput.get(name))
        return body | {
            **LIMIT.body(self.rss_bytes),
            "decoder": ", ".join(sorted({outcome.decoder for outcome in self.throughput.values()})) or None,
        }

    def lines(self) -> Iterable[str]:
        body = self.body()
        for name, outcome in self.throughput.items():
            rates = [run.rows_per_s for run in outcome.ours]
            told = (
                f"{name} columns: {body[f'rows_per_s_{name}']:,} rows/s ({min(rates):,.0f} to {max(rates):,.0f}),"
                f" {body[f'cpu_s_per_million_{name}']} CPU s a million, decoder {outcome.decoder}"
            )
            if outcome.python:
                told += (
                    f"; Python {body[f'python_rows_per_s_{name}']:,} rows/s, {body[f'python_cpu_s_per_million_{name}']} CPU s:"
                    f" {body[f'ratio_to_python_{name}']} times the rate, {body[f'cpu_ratio_to_python_{name}']} times less CPU"
                )
            yield told
        for name, value in self.rss_bytes.items():
            yield f"memory, {name}: {LIMIT.verdict(value)}"


def _throughput(name: str, outcome: Outcome | None) -> dict[str, Any]:
    """The figures of the table with `name` columns."""
    ours: list[Measured] = outcome.ours if outcome else []
    python: list[Measured] = outcome.python if outcome else []
    rate, cpu = median_known(run.rows_per_s for run in ours), median_known(run.cpu_s_per_million for run in ours)
    python_rate, python_cpu = median_known(run.rows_per_s for run in python), median_known(run.cpu_s_per_million for run in python)
    found = {
        "rows_per_s": rate and round(rate),
        "cpu_s_per_million": cpu and round(cpu, 2),
        "kafka_cpu_s_per_million": median_of(run.server_cpu_s_per_million("kafka") for run in ours),
        "s3_cpu_s_per_million": median_of(run.server_cpu_s_per_million("s3") for run in ours),
        "rows_per_s_runs": [round(run.rows_per_s) for run in ours],
        "cpu_s_per_million_runs": [round(run.cpu_s_per_million, 2) for run in ours],
        "startup_s": median_of(run.startup_s for run in ours),
        "other_percent_max": round(max(run.window.other_percent for run in (*ours, *python))) if ours else None,
        "rows": ours[-1].rows if ours else None,
        "batch_rows": [batch.records for batch in ours[-1].batches] if ours else None,
        "staged_rows": ours[-1].staged_rows if ours else None,
        "parquet_mb": mb(outcome.parquet_bytes) if outcome else None,
        "python_rows_per_s": python_rate and round(python_rate),
        "python_cpu_s_per_million": python_cpu and round(python_cpu, 2),
        "ratio_to_python": round(rate / python_rate, 2) if rate and python_rate else None,
        "cpu_ratio_to_python": round(python_cpu / cpu, 2) if cpu and python_cpu else None,
    }
    return {f"{key}_{name}": value for key, value in found.items()}
