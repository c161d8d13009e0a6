"""Runs to figures, and the JSON object that ends the output."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

from benchmarks.commandline import Conditions
from benchmarks.figures import mb, median_of, steady
from benchmarks.pipeline import usage
from benchmarks.pipeline.freshness import Freshness
from benchmarks.pipeline.many import Lag
from benchmarks.pipeline.processes import COUNTS, Drain
from benchmarks.pipeline.throughput import ROWS_PER_TRANSACTION, Run
from runtime.sections import Batch


@dataclass(slots=True)
class Report:
    """What was measured so far; everything else is null in the JSON. `batch_rows`: of the throughput part, None for the default."""

    conditions: Conditions
    batch_rows: int | None = None
    throughput: list[Run] = field(default_factory=list)
    freshness: list[Freshness] = field(default_factory=list)
    many: Lag | None = None
    drains: list[Drain] = field(default_factory=list)

    @property
    def held(self) -> list[Freshness]:
        return steady(self.freshness)

    @property
    def failed(self) -> bool:
        return bool(self.freshness) and not self.held

    @property
    def middle(self) -> Run | None:
        """The run of the median rate: CPU and bottleneck are told of one run."""
        if not self.throughput:
            return None
        rate = median_low(run.rows_per_s for run in self.throughput)
        return next(run for run in self.throughput if run.rows_per_s == rate)

    def body(self) -> dict[str, Any]:
        return {
            "rows_per_s": round(self.middle.rows_per_s) if self.middle else None,
            "freshness_s_p50": median_of(run.p50_s for run in self.held),
            "freshness_s_p99": median_of(run.p99_s for run in self.held),
            "tables_1000_lag_s_max": round(self.many.lag_s_max, 1) if self.many else None,
            "commits_per_minute": median_of(run.commits_per_minute for run in self.held),
            "bottleneck": usage.bottleneck(self.middle.window) if self.middle else None,
            **self._throughput(),
            **self._freshness(),
            **self._many(),
            **self._processes(),
        }

    def _throughput(self) -> dict[str, Any]:
        run = self.middle
        default = Batch.model_validate({})
        return {
            "rows_per_s_runs": [round(run.rows_per_s) for run in self.throughput],
            "rows": run.rows if run else None,
            "rows_per_transaction": ROWS_PER_TRANSACTION,
            "batch": {"rows": self.batch_rows or default.rows, "bytes": default.bytes, "seconds": default.seconds},
            "cpu_s_per_million": usage.per_million(run.window, run.rows) if run else None,
            "cores_busy_percent": round(run.window.busy_percent) if run else None,
            "commits": run.commits if run else None,
            "first_commit_s": round(run.first_commit_s, 1) if run else None,
            "last_commit_s": round(run.last_commit_s, 1) if run else None,
            "rss_mb": {name: mb(value) for name, value in run.rss_peak_bytes.items()} if run else None,
            "decoders": dict(run.decoders) if run else None,
            "other_percent_max": round(max(run.window.other_percent for run in self.throughput)) if self.throughput else None,
        }

    def _freshness(self) -> dict[str, Any]:
        return {
            "freshness_s_max": round(max(run.max_s for run in self.held), 2) if self.held else None,
            "freshness_s_p99_runs": [round(run.p99_s, 2) for run in self.held],
            "freshness_tx_per_s": median_of(run.tx_per_s for run in self.freshness),
            "freshness_cpu_percent": _rounded(usage.percent_of_core(self.held[-1].window)) if self.held else None,
            "freshness_other_percent_max": round(max(run.window.other_percent for run in self.freshness)) if self.freshness else None,
        }

    def _many(self) -> dict[str, Any]:
        run = self.many
        return {
            "tables": run.tables if run else None,
            "tables_1000_seconds": run.seconds if run else None,
            "tables_1000_copies": run.copies if run else None,
            "tables_1000_commits": run.commits if run else None,
            "tables_1000_first_batch_s": round(run.first_batch_s, 1) if run else None,
            "tables_1000_tx_per_s": round(run.tx_per_s, 1) if run else None,
            "tables_1000_rate_held": run.held if run else None,
            "tables_1000_cpu_percent": _rounded(usage.percent_of_core(run.window)) if run else None,
            "tables_1000_other_percent": round(run.window.other_percent) if run else None,
        }

    def _processes(self) -> dict[str, Any]:
        found = self._drained()
        body: dict[str, Any] = {}
        for count, drains in found.items():
            body[f"processes_{count}_rows_per_s"] = _rate(drains)
            body[f"processes_{count}_rows_per_s_runs"] = [round(drain.rows_per_s) for drain in drains]
            body[f"processes_{count}_busy_percent"] = median_of((drain.window.busy_percent for drain in drains), 0)
        first, last = (_rate(found[count]) for count in (COUNTS[0], COUNTS[-1]))
        return body | {"processes_ratio": round(last / first, 2) if first and last else None}

    def _drained(self) -> dict[int, list[Drain]]:
        """The runs by the number of processes."""
        return {count: [drain for drain in self.drains if drain.processes == count] for count in COUNTS}

    def lines(self) -> Iterable[str]:
        body = self.body()
        if self.middle:
            rates = [run.rows_per_s for run in self.throughput]
            yield f"throughput: {body['rows_per_s']:,} rows/s ({min(rates):,.0f} to {max(rates):,.0f}); {body['bottleneck']}"
        if self.failed:
            yield "freshness: no figures: the writer did not hold its rate in most runs"
        elif self.freshness:
            yield (
                f"freshness: p50 {body['freshness_s_p50']} s, p99 {body['freshness_s_p99']} s,"
                f" {body['commits_per_minute']} commits a minute"
            )
        if self.many:
            yield self.many.line
        if self.drains:
            told = ", ".join(f"{count}: {_rate(drains):,.0f} rows/s" for count, drains in self._drained().items())
            yield f"loader processes: {told}; ratio {body['processes_ratio']}"


def _rate(drains: Iterable[Drain]) -> float | None:
    return median_of((drain.rows_per_s for drain in drains), 0)


def _rounded(figures: Mapping[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in figures.items()}
