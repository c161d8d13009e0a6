"""A backlog from the binlog to merged rows: how many row changes a second, and whose CPU that takes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import machine
from benchmarks.churn import Changed, narrow
from benchmarks.figures import noisy
from benchmarks.pipeline import running, usage
from benchmarks.pipeline.watch import State
from benchmarks.runs import decoder, finish
from benchmarks.servers import Servers
from benchmarks.window import Window
from runtime.sections import Batch

ROWS_PER_TRANSACTION = 100
_KEYS = 200_000
_ROWS = 2_000_000
_BEYOND = 1.2  # micro-batches: what is written beyond the rows that are timed
_ROWS_PER_S_MIN = 1_000


@dataclass(frozen=True, slots=True)
class Size:
    """`keys` rows are in the warehouse before; then `rows` changes are timed. `batch_rows`: None for the loader's default."""

    keys: int = _KEYS
    rows: int = _ROWS
    batch_rows: int | None = None

    @classmethod
    def scaled(cls, scale: float) -> "Size":
        """Small ones need small micro-batches, or the age of the first one is all that is measured."""
        default = int(Batch.model_fields["rows"].default)
        return cls(
            max(1000, round(_KEYS * scale)), max(5000, round(_ROWS * scale)), None if scale >= 1 else max(500, round(default * scale))
        )

    @property
    def written(self) -> int:
        """More than is timed: the clock stops at the commit of a full micro-batch, not of one that waited for its age."""
        return self.rows + round(_BEYOND * (self.batch_rows or int(Batch.model_fields["rows"].default)))

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"batch": {"rows": self.batch_rows}} if self.batch_rows else {}


@dataclass(frozen=True, slots=True)
class Run:
    """`rows` row changes were in the warehouse at the end of `window`, which began with the services; `first_commit_s` and `last_commit_s`:
    when the first and the last change was there, from the same start. `changed`: what was written."""

    rows: int
    window: Window
    commits: int
    first_commit_s: float
    last_commit_s: float
    changed: Changed
    rss_peak_bytes: Mapping[str, int]
    decoders: Mapping[str, str]

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.window.wall_s

    @property
    def line(self) -> str:
        used = ", ".join(f"{name} {seconds:.1f}" for name, seconds in usage.per_million(self.window, self.rows).items())
        return (
            f"{self.rows_per_s:>9,.0f} rows/s  {self.rows:,} rows in {self.window.wall_s:.1f} s, {self.commits} commits, the first after"
            f" {self.first_commit_s:.1f} s, the last after {self.last_commit_s:.1f} s; CPU s a million: {used}"
            f"  {noisy(self.window.other_percent)}"
        )


def measure(servers: Servers, name: str, size: Size) -> Run:
    """One run, as the new pipeline `name`. Raises Wrong when both sides are not equal at the end."""
    churn = narrow("backlog", size.keys)
    churn.create(servers)
    with running.new_pipeline(servers, name, size.settings) as (pipeline, watch):
        filled = churn.fill(servers).rows
        streamed = pipeline.directory / "streamed.json"
        finish(pipeline, "benchmarks.streamer.ours", "--rows", str(filled), result=streamed, rows=filled)
        running.load(servers, name, watch, filled)
        changed = churn.change(servers, size.written, ROWS_PER_TRANSACTION)
        servers.say(
            f"  {filled:,} rows are there; written: {changed.updates:,} updates, {changed.inserts:,} inserts, {changed.deletes:,} deletes"
            f" in {changed.transactions:,} transactions"
        )
        servers.settle()
        before = watch.state()
        services = [pipeline.start("streamer"), pipeline.start("loader")]
        start = running.processes(servers, services)
        timeout_s = 120 + size.written / _ROWS_PER_S_MIN
        first_s = _seconds(start.wall_s, watch.until(pipeline, lambda state: state.rows > before.rows, timeout_s))
        timed = watch.until(pipeline, lambda state: state.rows >= filled + size.rows, timeout_s)
        window = Window.between(start, running.processes(servers, services))
        last_s = _seconds(start.wall_s, watch.until(pipeline, lambda state: state.rows >= filled + changed.rows, timeout_s))
        peaks = {service.name: machine.peak_rss_bytes(service.process.pid) for service in services}
        decoders = {service.name: decoder(pipeline, f"{service.name}-*.log") for service in services}
        running.verify(servers, pipeline, [churn.table])
    commits = timed.commit_no - before.commit_no
    return Run(timed.rows - filled, window, commits, first_s, last_s, changed, peaks, decoders)


def _seconds(start_s: float, _: State) -> float:
    return time.monotonic() - start_s
