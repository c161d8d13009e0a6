"""The loader as production wires it, before a warehouse that accepts everything, in a process of its own, until so many rows are
committed.

`TIDEMARK_CONFIG=… python -m benchmarks.loader.ours --topic p.bench.t --rows 1000000 --result FILE`. Clock and CPU start with the poll that
brings the first record and stop with the commit of the last row.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.loader.accepting import AcceptingWarehouse
from benchmarks.loader.measured import Measured
from benchmarks.loader.wiring import Times, wired
from benchmarks.window import Window
from contracts.errors import Corrupt
from loader.cli import POLL, USES
from runtime import logs
from runtime.lifecycle import Stop, run
from runtime.settings import load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader.ours", description=__doc__)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--servers", type=machine.parse_pids, default={}, metavar="NAME=PID,…")
    parser.add_argument("--put-delay", type=float, default=0.0, metavar="SECONDS", help="so much longer takes every object")
    arguments = parser.parse_args()
    return run(lambda stop: _load(stop, arguments))


def _load(stop: Stop, arguments: argparse.Namespace) -> int:
    settings = load(None, os.environ, uses=USES)
    logs.configure(settings.logs.level, settings.logs.format, "loader")
    times = Times(arguments.servers)
    warehouse = AcceptingWarehouse(arguments.topic, arguments.rows, times.finish)
    started_s = time.monotonic() - machine.age_s()
    with wired(settings, stop, warehouse, arguments.topic, times, arguments.put_delay) as loader:
        while times.done is None and not stop.requested():
            loader.step(POLL)
        rss_peak_bytes = machine.peak_rss_bytes()
    if times.start is None or times.done is None:
        return 1  # asked to stop
    records = sum(batch.records for batch in warehouse.batches)
    if records != arguments.rows:
        raise Corrupt(f"{records} records were committed, and {arguments.rows} were written")
    window = Window.between(times.start, times.done)
    Measured(records, times.start.wall_s - started_s, window, rss_peak_bytes, warehouse.batches).write(arguments.result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
