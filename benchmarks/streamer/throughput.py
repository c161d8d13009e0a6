"""W1, W2, W3: rows a second and CPU a row, the Python baseline and ours in turn on the same binlog."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from confluent_kafka.cimpl import NewTopic

from benchmarks import machine, workloads
from benchmarks.figures import noisy
from benchmarks.runs import decoder, finish
from benchmarks.servers import Servers
from benchmarks.streamer import readback
from benchmarks.streamer.measured import Measured
from benchmarks.workloads import Workload
from contracts.topics import Topics
from devstack.pipeline import Pipeline

_WARM_UP_SCALE = 0.05


@dataclass(slots=True)
class Outcome:
    """Every run of one workload, in order. `decoder`: what ours said it decodes with."""

    workload: Workload
    python: list[Measured] = field(default_factory=list)
    ours: list[Measured] = field(default_factory=list)
    decoder: str = "unknown"


def measure(servers: Servers, workload: Workload, runs: int, settings: Mapping[str, Any]) -> Outcome:
    """Writes the workload, runs both streamers over it `runs` times, and checks what the last run of ours left on Kafka. Raises Wrong."""
    write(servers, workload)
    outcome = Outcome(workload)
    for number in range(1, runs + 1):
        last = number == runs
        python = run_baseline(servers, workload, f"{workload.name}-python-{number}")
        outcome.python.append(python)
        servers.say(f"  run {number}/{runs}  Python  {line(python)}")
        ours, outcome.decoder = run_ours(servers, workload, f"{workload.name}-ours-{number}", settings, check=last)
        outcome.ours.append(ours)
        servers.say(f"  run {number}/{runs}  ours    {line(ours)}")
    servers.say(f"  read back: {workload.rows:,} committed records, seqs without a gap; decoder: {outcome.decoder}")
    return outcome


def warm_up(servers: Servers, settings: Mapping[str, Any]) -> None:
    """A run that does not count: a broker just started runs at a fraction of its speed until its code is compiled."""
    workload = replace(workloads.throughput(_WARM_UP_SCALE)["w1"], name="warm_up")
    write(servers, workload)
    measured, _ = run_ours(servers, workload, "warm_up", settings, check=True)
    servers.say(f"  does not count  {line(measured)}")


def write(servers: Servers, workload: Workload) -> None:
    servers.say(f"{workload.name}: {workload.title}: writing")
    workload.write(servers)
    size = servers.binlog_bytes()
    servers.say(f"  written: {size / 1e6:,.0f} MB of binlog, {size / workload.rows:,.0f} bytes a row")
    servers.settle()


def run_baseline(servers: Servers, workload: Workload, name: str) -> Measured:
    pipeline = servers.pipeline(name)
    topics = Topics(name)
    admin = servers.stack.kafka.admin()
    topic = topics.rows(workload.table)
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])[topic].result(30)
    servers.settle()
    measured = _run(servers, pipeline, "benchmarks.streamer.baseline", workload.baseline_rows)
    servers.forget(topics)
    return measured


def run_ours(servers: Servers, workload: Workload, name: str, settings: Mapping[str, Any], *, check: bool) -> tuple[Measured, str]:
    """A run of ours over the whole workload, as a new pipeline; the decoder it named. `check`: reads it back."""
    if workload.message_bytes_max is not None:
        settings = {**settings, "kafka": {"message_bytes_max": workload.message_bytes_max}}
    pipeline = servers.pipeline(name, settings)
    topics = Topics(name)
    servers.settle()
    measured = _run(servers, pipeline, "benchmarks.streamer.ours", workload.rows)
    if check:
        readback.check(servers.stack.kafka.bootstrap_servers, topics.rows(workload.table), workload.rows)
    servers.forget(topics)
    return measured, decoder(pipeline)


def _run(servers: Servers, pipeline: Pipeline, module: str, rows: int) -> Measured:
    arguments = ("--rows", str(rows), "--servers", machine.format_pids(servers.pids))
    return Measured.read(finish(pipeline, module, *arguments, result=pipeline.directory / "result.json", rows=rows))


def line(measured: Measured) -> str:
    """A run for a person."""
    window = measured.window
    used = ", ".join(f"{name} {seconds / measured.rows * 1e6:.1f}" for name, seconds in window.servers_s.items())
    return (
        f"{measured.rows_per_s:>9,.0f} rows/s  CPU s a million: {measured.cpu_s_per_million:6.1f} ({used})"
        f"  {window.wall_s:.1f} s after a start of {measured.startup_s:.1f} s  RSS {measured.rss_peak_bytes / 1e6:.0f} MB"
        f"  {noisy(window.other_percent)}"
    )
