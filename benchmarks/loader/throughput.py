"""Rows a second and CPU a row: the loader again and again over what the streamer has put on Kafka once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import machine
from benchmarks.churn import Churn, narrow, wide
from benchmarks.figures import noisy
from benchmarks.loader import readback
from benchmarks.loader.measured import Measured
from benchmarks.runs import decoder, finish
from benchmarks.servers import Servers
from contracts.topics import Topics
from devstack.pipeline import Pipeline

PYTHON_DECODER: Mapping[str, Any] = {"loader": {"decoder": "python"}}
_ROWS_PER_TRANSACTION = 1000
_WARM_UP_SCALE = 0.02


@dataclass(frozen=True, slots=True)
class Filled:
    """A pipeline whose row topic holds `rows` row changes of `churn`'s table."""

    churn: Churn
    rows: int
    name: str

    @property
    def topic(self) -> str:
        return Topics(self.name).rows(self.churn.table)


@dataclass(slots=True)
class Outcome:
    """Every run of one workload, in order; `python` those with the Python decoder, where they were asked for. `decoder`: what ours said it
    decodes with. `parquet_bytes`: of the last run."""

    title: str
    ours: list[Measured] = field(default_factory=list)
    python: list[Measured] = field(default_factory=list)
    decoder: str = "unknown"
    parquet_bytes: int = 0


def workloads(scale: float) -> dict[str, tuple[Churn, int]]:
    """The tables by number of columns, and the row changes of each."""
    keys_10, keys_60 = max(1000, round(200_000 * scale)), max(1000, round(50_000 * scale))
    return {"10": (narrow("ten", keys_10), 5 * keys_10), "60": (wide("sixty", keys_60), 5 * keys_60)}


def measure(servers: Servers, churn: Churn, rows: int, runs: int, *, python: bool) -> Outcome:
    """Raises Wrong; what the last run left in the bucket is read back."""
    filled = fill(servers, churn, rows)
    outcome = Outcome(f"{filled.rows:,} row changes of {churn.keys:,} keys, {len(churn.columns)} columns")
    kinds = [("ours", outcome.ours, None), *([("Python", outcome.python, PYTHON_DECODER)] if python else [])]
    for number in range(1, runs + 1):
        for kind, into, settings in kinds:
            pipeline = servers.pipeline(filled.name, settings, directory=f"{filled.name}-{kind}-{number}")
            measured = run(servers, filled, pipeline)
            into.append(measured)
            servers.say(f"  run {number}/{runs}  {kind:6s}  {line(measured)}")
            if number == runs:
                size_bytes = readback.check(servers, churn, measured)
                servers.say(f"  read back: {size_bytes / 1e6:,.0f} MB of Parquet, every key's last row is MySQL's; {decoder(pipeline)}")
            if number == runs and kind == "ours":
                outcome.decoder, outcome.parquet_bytes = decoder(pipeline), size_bytes
            servers.empty_bucket()
    servers.forget(Topics(filled.name))
    return outcome


def warm_up(servers: Servers) -> None:
    """A run that does not count: a broker just started runs at a fraction of its speed until its code is compiled."""
    churn, rows = workloads(_WARM_UP_SCALE)["10"]
    filled = fill(servers, replace(churn, name="warm_up"), rows)
    measured = run(servers, filled, servers.pipeline(filled.name, directory=f"{filled.name}-run"))
    servers.say(f"  does not count  {line(measured)}")
    servers.empty_bucket()
    servers.forget(Topics(filled.name))


def fill(servers: Servers, churn: Churn, rows: int) -> Filled:
    """Writes at least `rows` row changes to MySQL and has the streamer bring them to Kafka."""
    servers.say(f"{churn.name}: {len(churn.columns)} columns, {churn.keys:,} keys: writing")
    churn.create(servers)
    inserted = churn.fill(servers).rows
    changed = churn.change(servers, rows - inserted, _ROWS_PER_TRANSACTION)
    servers.say(
        f"  written: {inserted + changed.inserts:,} inserts, {changed.updates:,} updates, {changed.deletes:,} deletes,"
        f" {servers.binlog_bytes() / 1e6:,.0f} MB of binlog"
    )
    return to_kafka(servers, churn, inserted + changed.rows)


def to_kafka(servers: Servers, churn: Churn, rows: int) -> Filled:
    """What is in the binlog, on Kafka through the streamer."""
    name = f"load-{churn.name}"
    pipeline = servers.pipeline(name)
    finish(pipeline, "benchmarks.streamer.ours", "--rows", str(rows), result=pipeline.directory / "streamed.json", rows=rows)
    return Filled(churn, rows, name)


def run(servers: Servers, filled: Filled, pipeline: Pipeline, *, put_delay_s: float = 0.0) -> Measured:
    """One run, before a new warehouse."""
    servers.settle()
    result = pipeline.directory / "result.json"
    arguments = {"topic": filled.topic, "rows": filled.rows, "put-delay": put_delay_s, "servers": machine.format_pids(servers.pids)}
    options = [f"--{name}={value}" for name, value in arguments.items()]
    return Measured.read(finish(pipeline, "benchmarks.loader.ours", *options, result=result, rows=filled.rows))


def line(measured: Measured) -> str:
    """A run for a person."""
    window = measured.window
    used = ", ".join(f"{name} {seconds / measured.rows * 1e6:.1f}" for name, seconds in window.servers_s.items())
    sizes = ", ".join(f"{batch.records:,}" for batch in measured.batches[:8]) + (" …" if len(measured.batches) > 8 else "")
    return (
        f"{measured.rows_per_s:>9,.0f} rows/s  CPU s a million: {measured.cpu_s_per_million:6.1f} ({used})"
        f"  {window.wall_s:.1f} s after a start of {measured.startup_s:.1f} s  RSS {measured.rss_peak_bytes / 1e6:.0f} MB"
        f"  {noisy(window.other_percent)}  batches: {sizes}"
    )
