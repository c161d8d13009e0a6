"""Runs to figures: medians, the ratio to the Python baseline, and the JSON object that ends the output."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.commandline import Conditions
from benchmarks.figures import median_of, steady
from benchmarks.streamer.latency import Latency
from benchmarks.streamer.memory import LIMIT
from benchmarks.streamer.throughput import Outcome

NAMES = ("w1", "w2", "w3")


@dataclass(slots=True)
class Report:
    """What was measured so far; everything else is null in the JSON."""

    conditions: Conditions
    throughput: dict[str, Outcome] = field(default_factory=dict)
    latency: list[Latency] = field(default_factory=list)
    strained: dict[str, int] = field(default_factory=dict)  # memory workloads: peak bytes

    @property
    def rss_bytes(self) -> dict[str, int]:
        """The streamer's peak by what it did."""
        found = {name: max(run.rss_peak_bytes for run in outcome.ours) for name, outcome in self.throughput.items()}
        if self.latency:
            found["latency"] = max(run.rss_peak_bytes for run in self.latency)
        return found | self.strained

    @property
    def latency_held(self) -> list[Latency]:
        return steady(self.latency)

    @property
    def latency_refused(self) -> bool:
        return bool(self.latency) and not self.latency_held

    @property
    def failed(self) -> bool:
        return self.latency_refused

    def body(self) -> dict[str, Any]:
        """The JSON object. Every key is always there."""
        body: dict[str, Any] = {}
        for name in NAMES:
            body |= _throughput(name, self.throughput.get(name))
        body |= _latency(self.latency, self.latency_held)
        body |= {
            **LIMIT.body(self.rss_bytes),
            "decoder": ", ".join(sorted(self._decoders())) or None,
        }
        return body

    def _decoders(self) -> set[str]:
        return {outcome.decoder for outcome in self.throughput.values()} | {run.decoder for run in self.latency}

    def lines(self) -> Iterable[str]:
        """The same for a person."""
        body = self.body()
        for name, outcome in self.throughput.items():
            rates = [run.rows_per_s for run in outcome.ours]
            yield (
                f"{name}: {body[f'{name}_rows_per_s']:,} rows/s ({min(rates):,.0f} to {max(rates):,.0f}), "
                f"{body[f'{name}_cpu_s_per_million']} CPU s a million; Python {body[f'{name}_python_rows_per_s']:,} rows/s, "
                f"{body[f'{name}_python_cpu_s_per_million']} CPU s: {body[f'{name}_ratio_to_python']} times the rate, "
                f"{body[f'{name}_cpu_ratio_to_python']} times less CPU"
            )
        if self.latency_refused:
            yield "latency: no figures: the writer did not hold its rate in most runs"
        elif self.latency:
            yield f"latency: p50 {body['latency_ms_p50']} ms, p99 {body['latency_ms_p99']} ms at {body['latency_tx_per_s']} tx/s"
        for name, value in self.rss_bytes.items():
            yield f"memory, {name}: {LIMIT.verdict(value)}"


def _throughput(name: str, outcome: Outcome | None) -> dict[str, Any]:
    keys = (
        "rows_per_s",
        "ratio_to_python",
        "cpu_s_per_million",
        "cpu_ratio_to_python",
        "python_rows_per_s",
        "python_cpu_s_per_million",
        "mysql_cpu_s_per_million",
        "kafka_cpu_s_per_million",
        "startup_s",
        "other_percent_max",
        "rows_per_s_runs",
    )
    if outcome is None:
        return {f"{name}_{key}": None for key in keys}
    ours, python = outcome.ours, outcome.python
    rate, python_rate = median(run.rows_per_s for run in ours), median(run.rows_per_s for run in python)
    cpu, python_cpu = median(run.cpu_s_per_million for run in ours), median(run.cpu_s_per_million for run in python)
    values = (
        round(rate),
        round(rate / python_rate, 2),
        round(cpu, 2),
        round(python_cpu / cpu, 2),
        round(python_rate),
        round(python_cpu, 2),
        median_of(run.server_cpu_s_per_million("mysql") for run in ours),
        median_of(run.server_cpu_s_per_million("kafka") for run in ours),
        round(median(run.startup_s for run in ours), 2),
        round(max(run.window.other_percent for run in (*ours, *python))),
        [round(run.rows_per_s) for run in ours],
    )
    return {f"{name}_{key}": value for key, value in zip(keys, values, strict=True)}


def _latency(runs: Sequence[Latency], held: Sequence[Latency]) -> dict[str, Any]:
    return {
        "latency_ms_p50": median_of(run.p50_ms for run in held),
        "latency_ms_p99": median_of(run.p99_ms for run in held),
        "latency_ms_max": round(max(run.max_ms for run in held), 2) if held else None,
        "latency_ms_p99_runs": [round(run.p99_ms, 2) for run in held],
        "latency_tx_per_s": median_of(run.tx_per_s for run in runs),
        "latency_runs_held": len(held),
        "latency_cpu_percent": median_of(run.cpu_percent for run in held),
        "latency_other_percent_max": round(max(run.other_percent for run in held)) if held else None,
    }
