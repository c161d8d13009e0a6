"""The streamer as production wires it, in a process of its own, until so many rows are committed.

`TIDEMARK_CONFIG=… python -m benchmarks.streamer.ours --rows 1000000 --result FILE`. Clock and CPU start when the stream has started and
stop when the Kafka transaction with the last row is committed.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks import machine
from benchmarks.streamer.measured import Measured
from benchmarks.window import Moment, Window
from contracts.errors import Corrupt
from runtime import logs
from runtime.lifecycle import Stop, run
from runtime.settings import load
from streamer.ports import Tally
from streamer.wiring import build


class Count:
    """An observer of the streamer: adds up what is committed, and notes the moment when all is."""

    def __init__(self, rows: int, servers: Mapping[str, int]) -> None:
        self._wanted = rows
        self._servers = servers
        self.rows = 0
        self.transactions = 0
        self.done: Moment | None = None

    def __call__(self, tally: Tally) -> None:
        self.rows += tally.rows
        self.transactions += tally.kafka_transactions
        if self.rows >= self._wanted and self.done is None:
            self.done = Moment.now(self._servers)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streamer.ours", description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--servers", type=machine.parse_pids, default={}, metavar="NAME=PID,…")
    arguments = parser.parse_args()
    return run(lambda stop: _stream(stop, arguments.rows, arguments.servers, arguments.result))


def _stream(stop: Stop, rows: int, servers: Mapping[str, int], result: Path) -> int:
    settings = load(None, os.environ, uses={"mysql", "kafka"})
    logs.configure(settings.logs.level, settings.logs.format, "streamer")
    count = Count(rows, servers)
    streamer = build(settings, stop, count)
    start: Moment | None = None
    startup_s = 0.0
    try:
        while count.done is None and not stop.requested():
            streamer.step()
            if start is None and streamer.streaming:
                start = Moment.now(servers)
                startup_s = machine.age_s()
        rss_peak_bytes = machine.peak_rss_bytes()
    finally:
        streamer.close()
    if start is None or count.done is None:
        return 1  # asked to stop
    if count.rows != rows:
        raise Corrupt(f"{count.rows} rows were committed, and {rows} were written")
    Measured(rows, startup_s, Window.between(start, count.done), rss_peak_bytes, count.transactions).write(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
