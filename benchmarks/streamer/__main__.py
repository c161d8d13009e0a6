"""`python -m benchmarks.streamer`: throughput, latency and memory of the streamer; the last line of stdout is one JSON object.

Starts MySQL and Kafka in a directory of its own and takes them down again. Exit 0 when everything was measured, 1 when a run failed, when
rows were lost or doubled, or when the latency writer could not hold its rate.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import commandline, workloads
from benchmarks.commandline import Conditions, say
from benchmarks.servers import Servers, running_servers
from benchmarks.streamer import latency, memory, throughput
from benchmarks.streamer.report import NAMES, Report

PARTS = (*NAMES, "latency", "memory")
# Where the Python decoder is chosen: settings that go over the defaults.
PYTHON_DECODER: Mapping[str, Any] = {"streamer": {"decoder": "python"}}


def main(argv: Sequence[str] | None = None) -> int:
    parser = commandline.parser("streamer", __doc__, runs=5, parts=PARTS)
    parser.add_argument("--python-decoder", action="store_true", help="ours without the kernel")
    arguments = parser.parse_args(argv)
    settings = PYTHON_DECODER if arguments.python_decoder else {}

    def measure() -> Report:
        with running_servers(arguments.dir, say) as servers:
            return _measure(servers, arguments.only, arguments.runs, arguments.scale, settings)

    return commandline.run("streamer", arguments.save, measure)


def _measure(servers: Servers, parts: Sequence[str], runs: int, scale: float, settings: Mapping[str, Any]) -> Report:
    report = Report(Conditions.now(servers, runs, scale))
    say(f"on {report.conditions.machine}, commit {report.conditions.commit}")
    throughput.warm_up(servers, settings)
    for name, workload in workloads.throughput(scale).items():
        if name in parts:
            report.throughput[name] = throughput.measure(servers, workload, runs, settings)
    if "latency" in parts:
        times = latency.TIMES.scaled(scale, latency.TIMES_LEAST)
        say(
            f"latency: {latency.RATE:.0f} single-row tx/s over {len(latency.TABLES)} tables, {times.measured_s} s after {times.warm_up_s} s"
        )
        for number in range(1, runs + 1):
            report.latency.append(latency.measure(servers, f"latency-{number}", settings, times))
            say(f"  run {number}/{runs}  {report.latency[-1].line}")
    if "memory" in parts:
        for name, workload in workloads.memory(scale).items():
            report.strained[name] = memory.measure(servers, workload, settings)
            say(f"  {memory.LIMIT.verdict(report.strained[name])}")
    return report


if __name__ == "__main__":
    sys.exit(main())
