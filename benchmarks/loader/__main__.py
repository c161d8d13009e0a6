"""`python -m benchmarks.loader`: throughput and memory of the loader, Kafka to Parquet on S3; the last line of stdout is one JSON object.

Starts MySQL, Kafka and an S3 in a directory of its own and takes them down again. Exit 0 when everything was measured, 1 when a run failed
or rows were lost or doubled.
"""

import sys
from collections.abc import Sequence

from benchmarks import commandline
from benchmarks.commandline import Conditions, say
from benchmarks.loader import memory, throughput
from benchmarks.loader.report import NAMES, Report
from benchmarks.servers import Servers, running_servers

PARTS = (*NAMES, "memory")


def main(argv: Sequence[str] | None = None) -> int:
    parser = commandline.parser("loader", __doc__, runs=5, parts=PARTS)
    parser.add_argument("--python-decoder", action="store_true", help="also with the Python decoder, in turn with ours, and the ratio")
    arguments = parser.parse_args(argv)

    def measure() -> Report:
        with running_servers(arguments.dir, say, ("mysql", "kafka", "s3")) as servers:
            return _measure(servers, arguments.only, arguments.runs, arguments.scale, python=arguments.python_decoder)

    return commandline.run("loader", arguments.save, measure)


def _measure(servers: Servers, parts: Sequence[str], runs: int, scale: float, *, python: bool) -> Report:
    report = Report(Conditions.now(servers, runs, scale))
    say(f"on {report.conditions.machine}, commit {report.conditions.commit}")
    throughput.warm_up(servers)
    for name, (churn, rows) in throughput.workloads(scale).items():
        if name in parts:
            report.throughput[name] = throughput.measure(servers, churn, rows, runs, python=python)
    if "memory" in parts:
        report.strained = memory.measure(servers, scale)
    return report


if __name__ == "__main__":
    sys.exit(main())
