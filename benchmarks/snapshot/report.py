"""Runs to figures, and the JSON object that ends the output."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.commandline import Conditions
from benchmarks.figures import mb, median_of
from benchmarks.snapshot.measure import Measured

DECODERS = ("python", "kernel")


@dataclass(slots=True)
class Report:
    """What was measured so far, by decoder; everything else is null in the JSON."""

    conditions: Conditions
    runs: dict[str, list[Measured]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return not all(run.held for runs in self.runs.values() for run in runs)

    def body(self) -> dict[str, Any]:
        """The JSON object; the figures without a name before them are the kernel's."""
        kernel, python = self.runs.get("kernel", []), self.runs.get("python", [])
        rows_per_s = median_of((run.rows_per_s for run in kernel), 0)
        python_rows_per_s = median_of((run.rows_per_s for run in python), 0)
        return {
            "rows_per_s": rows_per_s,
            "stream_lag_s_max": max((run.lag_s_max for run in kernel), default=None),
            "stream_lag_s_p99": median_of(run.lag_s_p99 for run in kernel),
            "own_table_lag_s_max": max((run.own_table_lag_s_max for run in kernel), default=None),
            "rss_mb_max": max((mb(run.rss_peak_bytes) for run in kernel), default=None),
            "rows": max((run.rows for run in kernel), default=None),
            "streamed_rows": sum(run.streamed_rows for run in kernel) if kernel else None,
            "tx_per_s": median_of((run.tx_per_s for run in kernel), 0),
            "writer_held": all(run.held for run in kernel) if kernel else None,
            "cpu_s_per_million": median_of(run.cpu_s_per_million for run in kernel),
            "mysql_cpu_s_per_million": median_of(run.server_cpu_s_per_million("mysql") for run in kernel),
            "kafka_cpu_s_per_million": median_of(run.server_cpu_s_per_million("kafka") for run in kernel),
            "other_percent_max": max((round(run.window.other_percent) for run in kernel), default=None),
            "python_rows_per_s": python_rows_per_s,
            "python_stream_lag_s_max": max((run.lag_s_max for run in python), default=None),
            "python_cpu_s_per_million": median_of(run.cpu_s_per_million for run in python),
            "ratio_to_python": round(rows_per_s / python_rows_per_s, 2) if rows_per_s and python_rows_per_s else None,
            "rows_per_s_runs": [round(run.rows_per_s) for run in kernel],
        }

    def lines(self) -> Iterable[str]:
        """The same for a person."""
        body = self.body()
        for decoder, runs in self.runs.items():
            yield from (f"{decoder}: {run.line}" for run in runs)
        if body["ratio_to_python"] is not None:
            yield f"{body['ratio_to_python']} times the rate of Python"
