"""`python -m benchmarks.snapshot`: a table read by the streamer while it and another are written to; the last line of stdout is one JSON
object.

Starts MySQL and Kafka in a directory of its own and takes them down again. Exit 0 when everything was measured, 1 when a run failed, when
the topic does not hold the table's rows, or when the writer could not hold its rate.
"""

import sys
from collections.abc import Sequence

from benchmarks import commandline
from benchmarks.commandline import Conditions, say
from benchmarks.servers import Servers, running_servers
from benchmarks.snapshot.measure import measure
from benchmarks.snapshot.report import DECODERS, Report

ROWS = {"kernel": 5_000_000, "python": 50_000}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = commandline.parser("snapshot", __doc__, runs=1, parts=DECODERS).parse_args(argv)

    def run() -> Report:
        with running_servers(arguments.dir, say) as servers:
            return _measure(servers, arguments.only, arguments.runs, arguments.scale)

    return commandline.run("snapshot", arguments.save, run)


def _measure(servers: Servers, decoders: Sequence[str], runs: int, scale: float) -> Report:
    report = Report(Conditions.now(servers, runs, scale))
    say(f"on {report.conditions.machine}, commit {report.conditions.commit}")
    # Python first: a broker just started is slow until its code is compiled, and this one is slower anyway.
    for decoder in (name for name in DECODERS if name in decoders):
        rows = max(1, round(ROWS[decoder] * scale / 1000)) * 1000
        for number in range(1, runs + 1):
            found = measure(servers, f"snapshot-{decoder}-{number}", decoder, rows)
            report.runs.setdefault(decoder, []).append(found)
            say(f"  run {number}/{runs}  {decoder}  {found.line}")
    return report


if __name__ == "__main__":
    sys.exit(main())
