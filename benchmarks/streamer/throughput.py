"""W1, W2, W3: rows a second and CPU a row, the Python baseline and ours in turn on the same binlog."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka.cimpl import NewTopic

from benchmarks import workloads
from benchmarks.servers import Servers
from benchmarks.streamer import readback
from benchmarks.streamer.measured import Measured, format_pids
from benchmarks.streamer.readback import Wrong
from benchmarks.workloads import Workload
from contracts.topics import Topics
from devstack.pipeline import Pipeline

NOISY_PERCENT = 25.0  # of one core: more than this of others' work, and a run says little
_WARM_UP_SCALE = 0.05
_ROWS_PER_S_MIN = 300  # whoever is slower has stopped


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
    result = pipeline.directory / "result.json"
    arguments = ["--rows", str(rows), "--result", str(result), "--servers", format_pids(servers.pids)]
    service = pipeline.start(module, *arguments)
    try:
        code = service.wait(120 + rows / _ROWS_PER_S_MIN)
    except subprocess.TimeoutExpired:
        service.kill9()
        raise Wrong(f"{module} did not finish {rows:,} rows in time; its log, {service.log}, ends:\n{service.tail()}") from None
    if code != 0 or not result.exists():
        raise Wrong(f"{module} ended with {code}; its log, {service.log}, ends:\n{service.tail()}")
    return Measured.read(result)


def decoder(pipeline: Pipeline) -> str:
    """What the streamer's log names as its `decoder`: `kernel` or `python`; `unknown` when it names none."""
    found = "unknown"
    for log in sorted(pipeline.directory.glob("*.log")):
        found = _named(log) or found
    return found


def _named(log: Path) -> str | None:
    for text in log.read_text(errors="replace").splitlines():
        if '"decoder"' in text:
            try:
                return str(orjson.loads(text)["decoder"])
            except (orjson.JSONDecodeError, KeyError):
                continue
    return None


def line(measured: Measured) -> str:
    """A run for a person."""
    window = measured.window
    used = ", ".join(f"{name} {seconds / measured.rows * 1e6:.1f}" for name, seconds in window.servers_s.items())
    return (
        f"{measured.rows_per_s:>9,.0f} rows/s  CPU s a million: {measured.cpu_s_per_million:6.1f} ({used})"
        f"  {window.wall_s:.1f} s after a start of {measured.startup_s:.1f} s  RSS {measured.rss_peak_bytes / 1e6:.0f} MB"
        f"  other {window.other_percent:.0f} %{' NOISY' if window.other_percent > NOISY_PERCENT else ''}"
    )
