"""One backlog of two tables in two shards, loaded from Kafka by one loader and by two, in turn: what a second process is worth here."""

import time
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.churn import narrow
from benchmarks.failure import Wrong
from benchmarks.pipeline import running, usage
from benchmarks.pipeline.throughput import ROWS_PER_TRANSACTION, Size
from benchmarks.pipeline.watch import LEDGER, Watch
from benchmarks.runs import finish
from benchmarks.servers import DATABASE, Servers
from benchmarks.window import Moment, Window
from benchmarks.workloads import create_table
from devstack.pipeline import Pipeline, Service

COUNTS = (1, 2)  # of loader processes
_SHARDS = 2
_BATCH_SECONDS = 5  # a micro-batch of full size is read in less; the last one need not wait longer
_SESSION_S = 11.0  # so long the group keeps the place of a member that has gone, and its shard with it
_ROWS_PER_S_MIN = 1_000


@dataclass(frozen=True, slots=True)
class Drain:
    """One run: `rows` row changes became visible in `window`, which began with the first commit of all and ended with that of a full
    micro-batch."""

    processes: int
    rows: int
    window: Window

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.window.wall_s

    @property
    def line(self) -> str:
        return (
            f"{self.processes} loader processes  {self.rows_per_s:>9,.0f} rows/s  {self.rows:,} rows in {self.window.wall_s:.1f} s;"
            f" {self.window.busy_percent:.0f} % of the cores busy; {usage.told(self.window)}"
        )


def measure(servers: Servers, name: str, size: Size, runs: int) -> list[Drain]:
    """`runs` runs of each count. Raises Wrong when both sides are not equal after one, or a process got no shard."""
    churns = [narrow(f"backlog{number}", size.keys // _SHARDS) for number in range(_SHARDS)]
    spread = {f"{DATABASE}.{churn.name}": {"shard": number} for number, churn in enumerate(churns)}
    settings: dict[str, Any] = {
        "state_shards": _SHARDS,
        "tables": {"override": spread},
        "batch": {**size.settings.get("batch", {}), "seconds": _BATCH_SECONDS},
    }
    # Each shard's last micro-batch is not full: it waits for its age, and is not timed.
    size = replace(size, rows=size.rows - (_SHARDS - 1) * (size.written - size.rows))
    with running.new_pipeline(servers, name, settings) as (pipeline, watch):
        churns[0].create(servers)
        servers.execute(*(create_table(str(churn.table), churn.columns) for churn in churns[1:]))
        written = sum(churn.fill(servers).rows for churn in churns)
        written += sum(churn.change(servers, size.written // _SHARDS, ROWS_PER_TRANSACTION).rows for churn in churns)
        servers.say(f"  {written:,} row changes of {size.keys:,} keys in {_SHARDS} tables are in the binlog")
        finish(pipeline, "benchmarks.streamer.ours", "--rows", str(written), result=pipeline.directory / "streamed.json", rows=written)
        drains: list[Drain] = []
        for run in range(runs):
            for count in COUNTS if run % 2 == 0 else reversed(COUNTS):
                drained = servers.pipeline(name, settings, directory=f"{name}-{len(drains) + 1}")
                drains.append(_drain(servers, drained, watch, count, size.rows, written))
                servers.say(f"  run {run + 1}/{runs}  {drains[-1].line}")
                running.compare(servers, watch, [churn.table for churn in churns])
    return drains


def _drain(servers: Servers, pipeline: Pipeline, watch: Watch, count: int, timed: int, written: int) -> Drain:
    """Has so many loaders bring all that is on Kafka to a warehouse that holds nothing."""
    for schema in (LEDGER, DATABASE):
        watch.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    servers.empty_bucket()
    servers.settle()
    timeout_s = 120 + written / _ROWS_PER_S_MIN
    loaders = [pipeline.start("loader", "--instance", f"loader-{number}") for number in range(count)]
    try:
        first = watch.until(pipeline, lambda state: state.rows > 0, timeout_s)
        start = _processes(servers, loaders)
        last = watch.until(pipeline, lambda state: state.rows >= timed, timeout_s)
        window = Window.between(start, _processes(servers, loaders))
        watch.until(pipeline, lambda state: state.rows >= written, timeout_s)
        owners = len({row[0] for row in watch.query(f"SELECT DISTINCT owner FROM {LEDGER}.fence")})
        for loader in loaders:
            loader.stop(60)
    finally:
        for loader in loaders:
            if loader.running():
                loader.kill9()
    time.sleep(_SESSION_S)
    if owners != count:
        raise Wrong(f"{count} loaders ran, and {owners} had a shard")
    return Drain(count, last.rows - first.rows, window)


def _processes(servers: Servers, loaders: list[Service]) -> Moment:
    return Moment.now(
        {**servers.pids, **{f"loader-{number}": loader.process.pid for number, loader in enumerate(loaders)}}, servers.families
    )
