"""`python -m benchmarks.pipeline`: MySQL to rows in the warehouse: throughput, freshness, many tables; the last line of stdout is one JSON
object.

Starts MySQL, Kafka, an S3 and the Redshift stand-in in a directory of its own and takes them down again. Exit 0 when everything was
measured, 1 when a run failed, when rows were lost or doubled, or when the writer could not hold its rate.
"""

import sys
from collections.abc import Sequence

from benchmarks import commandline
from benchmarks.commandline import Conditions, say
from benchmarks.pipeline import freshness, many, processes, throughput
from benchmarks.pipeline.report import Report
from benchmarks.servers import Servers, running_servers

PARTS = ("throughput", "freshness", "tables_1000", "processes")
_WARM_UP_SCALE = 0.02


def main(argv: Sequence[str] | None = None) -> int:
    parser = commandline.parser("pipeline", __doc__, runs=3, parts=PARTS)
    parser.add_argument("--tables", type=int, default=many.TABLES, metavar="N", help=f"of the part tables_1000 (default {many.TABLES})")
    arguments = parser.parse_args(argv)

    def measure() -> Report:
        with running_servers(arguments.dir, say, ("mysql", "kafka", "s3", "redshift")) as servers:
            return _measure(servers, arguments.only, arguments.runs, arguments.scale, arguments.tables)

    return commandline.run("pipeline", arguments.save, measure)


def _measure(servers: Servers, parts: Sequence[str], runs: int, scale: float, tables: int) -> Report:
    report = Report(Conditions.now(servers, runs, scale))
    say(f"on {report.conditions.machine}, commit {report.conditions.commit}")
    if "throughput" in parts:
        say("warm-up")
        say(f"  does not count  {throughput.measure(servers, 'warm-up', throughput.Size.scaled(_WARM_UP_SCALE)).line}")
        size = throughput.Size.scaled(scale)
        report.batch_rows = size.batch_rows
        say(f"throughput: {size.rows:,} row changes of {size.keys:,} keys, {throughput.ROWS_PER_TRANSACTION} a transaction")
        for number in range(1, runs + 1):
            report.throughput.append(throughput.measure(servers, f"throughput-{number}", size))
            say(f"  run {number}/{runs}  {report.throughput[-1].line}")
    if "freshness" in parts:
        times = freshness.TIMES.scaled(scale, freshness.TIMES_LEAST)
        load = f"{freshness.RATE:.0f} single-row tx/s over {len(freshness.TABLES)} tables"
        say(f"freshness: {load}, {times.measured_s} s after {times.warm_up_s} s")
        for number in range(1, runs + 1):
            report.freshness.append(freshness.measure(servers, f"freshness-{number}", times))
            say(f"  run {number}/{runs}  {report.freshness[-1].line}")
    if "tables_1000" in parts:
        seconds = max(45, round(many.MEASURED_S * min(scale, 1)))
        say(f"tables_1000: {tables:,} tables, each changed every {many.CHANGED_EVERY_S:.0f} s, for {seconds} s")
        report.many = many.measure(servers, "many", tables, seconds)
        say(f"  {report.many.line}")
    if "processes" in parts:
        say(
            f"processes: a backlog on Kafka in two shards, loaded by {' and by '.join(map(str, processes.COUNTS))} loader processes in turn"
        )
        report.drains = processes.measure(servers, "processes", throughput.Size.scaled(scale), runs)
    return report


if __name__ == "__main__":
    sys.exit(main())
