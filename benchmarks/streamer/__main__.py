"""`python -m benchmarks.streamer`: throughput, latency and memory of the streamer; the last line of stdout is one JSON object.

Starts MySQL and Kafka in a directory of its own and takes them down again. Exit 0 when everything was measured, 1 when a run failed, when
rows were lost or doubled, or when the latency writer could not hold its rate.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
import orjson

from benchmarks import machine, workloads
from benchmarks.servers import Servers, running_servers
from benchmarks.streamer import latency, memory, throughput
from benchmarks.streamer.readback import Wrong
from benchmarks.streamer.report import NAMES, Report
from contracts.errors import PipelineError
from devstack.versions import Versions

PARTS = (*NAMES, "latency", "memory")
DIRECTORY = Path(".devstack/bench-streamer")
RESULTS = Path(__file__).parents[1] / "results"
# Where the Python decoder is chosen: settings that go over the defaults.
PYTHON_DECODER: Mapping[str, Any] = {"streamer": {"decoder": "python"}}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    settings = PYTHON_DECODER if arguments.python_decoder else {}
    try:
        with running_servers(arguments.dir, _say) as servers:
            report = _measure(servers, arguments.only, arguments.runs, arguments.scale, settings)
    except Wrong as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except PipelineError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    _say("")
    for text in report.lines():
        _say(text)
    body = orjson.dumps(report.body())
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{report.at:%Y-%m-%d}-streamer.json"
        path.write_bytes(orjson.dumps(report.body(), option=orjson.OPT_INDENT_2) + b"\n")
        _say(f"saved as {path}")
    print(body.decode(), flush=True)
    return 1 if report.latency_refused else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streamer", description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=5, help="of each streamer on each workload, and of the latency (default 5)")
    parser.add_argument("--only", type=_parts, default=PARTS, metavar="PART,…", help=f"of {', '.join(PARTS)} (default all)")
    parser.add_argument("--scale", type=float, default=1.0, help="of rows and times; 0.1 for a quick look (default 1)")
    parser.add_argument("--python-decoder", action="store_true", help="ours without the kernel")
    parser.add_argument("--save", action="store_true", help=f"also write the JSON to {RESULTS.name}/<date>-streamer.json")
    parser.add_argument("--dir", type=Path, default=DIRECTORY, help=f"for servers and logs (default {DIRECTORY})")
    return parser


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"nothing is called {sorted(unknown)[0]!r}; there are {', '.join(PARTS)}")
    return parts


def _say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)


def _measure(servers: Servers, parts: Sequence[str], runs: int, scale: float, settings: Mapping[str, Any]) -> Report:
    report = Report(machine.describe(), machine.commit(), datetime.now(UTC), runs, scale, _versions(servers))
    _say(f"on {report.machine}, commit {report.commit}")
    throughput.warm_up(servers, settings)
    for name, workload in workloads.throughput(scale).items():
        if name in parts:
            report.throughput[name] = throughput.measure(servers, workload, runs, settings)
    if "latency" in parts:
        times = latency.Times.scaled(scale)
        _say(
            f"latency: {latency.RATE:.0f} single-row tx/s over {len(latency.TABLES)} tables, {times.measured_s} s after {times.warm_up_s} s"
        )
        for number in range(1, runs + 1):
            report.latency.append(latency.measure(servers, f"latency-{number}", settings, times))
            _say(f"  run {number}/{runs}  {report.latency[-1].line}")
    if "memory" in parts:
        for name, workload in workloads.memory(scale).items():
            report.strained[name] = memory.measure(servers, workload, settings)
            _say(f"  {memory.verdict(report.strained[name])}")
    return report


def _versions(servers: Servers) -> dict[str, str]:
    with servers.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        mysql = str(cursor.fetchone()[0])
    return {"mysql": mysql, "kafka": Versions.load().kafka.version, "librdkafka": str(confluent_kafka.libversion()[0])}


if __name__ == "__main__":
    sys.exit(main())
