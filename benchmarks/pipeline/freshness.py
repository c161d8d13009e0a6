"""How soon a change is there: from the row's NOW(6) to the moment when a query of the warehouse has returned it, on one clock.

All tables of a shard become visible together, so a reader asks for the fence's commit number alone, and for the rows themselves when it
has moved. A change that a later one of its row overtook in the same micro-batch is never visible and gives no sample; nor does a delete.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.failure import Wrong
from benchmarks.figures import percentile
from benchmarks.pipeline import running, usage
from benchmarks.pipeline.watch import Watch, must_run
from benchmarks.servers import DATABASE, Servers
from benchmarks.window import Window
from benchmarks.workloads import NARROW, create_table, quick_commits
from benchmarks.writer import Times, Written, connect, started_writer
from contracts.table import TableId
from devstack.pipeline import Pipeline

RATE = 500.0  # transactions a second
TIMES, TIMES_LEAST = Times(15, 30), Times(5, 5)
TABLES = tuple(TableId(DATABASE, f"fresh{number}") for number in range(1, 5))
SETTINGS: Mapping[str, Any] = {"batch": {"seconds": 1}}
_EVERY_S = 0.02
_FIRST_ID = 0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Freshness:
    """One run. `commits_per_minute` while it was measured; `held`: whether the writer was steady enough for the rest to mean anything."""

    p50_s: float
    p99_s: float
    max_s: float
    samples: int
    commits_per_minute: float
    tx_per_s: float
    held: bool
    window: Window

    @property
    def line(self) -> str:
        figures = f"p50 {self.p50_s:.2f} s, p99 {self.p99_s:.2f} s, max {self.max_s:.2f} s of {self.samples:,}"
        return (
            f"{figures}{'' if self.held else ' REFUSED: the writer did not hold its rate'}; {self.commits_per_minute:.0f} commits a minute;"
            f" {self.tx_per_s:.0f} tx/s; {usage.told(self.window)}"
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """Row times that became visible with a commit, and when; microseconds since the epoch."""

    at_us: int
    changed_us: Sequence[int]


def measure(servers: Servers, name: str, times: Times) -> Freshness:
    """One run, as the new pipeline `name`. Raises Wrong when both sides are not equal at the end."""
    servers.fresh_binlog()
    servers.execute(*(create_table(str(table), NARROW) for table in TABLES))
    with running.new_pipeline(servers, name, SETTINGS) as (pipeline, watch), quick_commits(servers):
        with connect(servers.mysql.port) as connection, connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"INSERT INTO {table} (id) VALUES ({_FIRST_ID})")
        services = [pipeline.start("streamer"), pipeline.start("loader")]
        watch.until(pipeline, lambda state: state.tables == len(TABLES), _PATIENCE_S)
        seconds = times.warm_up_s + times.measured_s + 1
        writer = started_writer(pipeline, servers.mysql.port, [str(table) for table in TABLES], RATE, seconds)
        start = running.processes(servers, [*services, writer])
        reader = _Reader(watch)
        _look(reader, pipeline, seconds, lambda: False)  # the writer takes longer than that, by its start
        window = Window.between(start, running.processes(servers, [*services, writer])) if writer.running() else None
        _look(reader, pipeline, _PATIENCE_S, lambda: not writer.running())
        written = Written.of(writer, pipeline)
        if window is None:
            raise Wrong("the writer ended before its time")
        rows = len(TABLES) + len(written.committed_us)
        _look(reader, pipeline, _PATIENCE_S, lambda: watch.state().rows >= rows)
        running.verify(servers, pipeline, TABLES)
    return _freshness(reader.seen, written, times, window)


class _Reader:
    """What becomes visible when."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._commit_no = watch.commit_no()
        self._newest = _EPOCH.replace(tzinfo=None)
        self.seen: list[_Seen] = []

    def look(self) -> bool:
        """Whether there was a commit since the last look."""
        commit_no = self._watch.commit_no()
        if commit_no == self._commit_no:
            return False
        self._commit_no = commit_no
        select = " UNION ALL ".join(f"SELECT changed_at FROM {table} WHERE changed_at > '{self._newest}'" for table in TABLES)
        rows = [row[0] for row in self._watch.query(select)]
        self.seen.append(_Seen(time.time_ns() // 1000, [_us(changed_at) for changed_at in rows]))
        self._newest = max([self._newest, *rows])
        return True


def _look(reader: _Reader, pipeline: Pipeline, seconds: float, enough: Callable[[], bool]) -> None:
    """Again and again for so long, or until there is `enough`."""
    deadline = time.monotonic() + seconds
    while not enough() and time.monotonic() < deadline:
        if not reader.look():
            time.sleep(_EVERY_S)
        must_run(pipeline)


def _us(moment: datetime) -> int:
    return round((moment.replace(tzinfo=UTC) - _EPOCH).total_seconds() * 1e6)


def _freshness(seen: Sequence[_Seen], written: Written, times: Times, window: Window) -> Freshness:
    """Of the rows changed in the measured time; a change of its end is seen after it."""
    start_us = written.started_us + times.warm_up_s * 1_000_000
    stop_us = start_us + times.measured_s * 1_000_000
    samples = sorted((found.at_us - at_us) / 1e6 for found in seen for at_us in found.changed_us if start_us <= at_us < stop_us)
    if not samples:
        raise Wrong("freshness: no row of the measured time became visible while it was measured")
    commits = sum(start_us <= found.at_us < stop_us for found in seen)
    pace = written.pace(start_us, stop_us, RATE)
    return Freshness(
        p50_s=percentile(samples, 50),
        p99_s=percentile(samples, 99),
        max_s=samples[-1],
        samples=len(samples),
        commits_per_minute=60 * commits / times.measured_s,
        tx_per_s=pace.per_s,
        held=pace.held,
        window=window,
    )
