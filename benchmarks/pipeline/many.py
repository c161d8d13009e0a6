"""Many tables that hardly change, in one shard: how far the warehouse falls behind, and what that takes in COPYs and commits."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.failure import Wrong
from benchmarks.pipeline import running, usage
from benchmarks.pipeline.watch import Watch, must_run
from benchmarks.servers import DATABASE, Servers
from benchmarks.window import Window
from benchmarks.workloads import NARROW, create_table, quick_commits
from benchmarks.writer import Written, connect, started_writer
from contracts.table import TableId
from devstack.pipeline import Pipeline
from devstack.redshift.journal import read_journal

CHANGED_EVERY_S = 10.0  # each table
MEASURED_S = 150
TABLES = 1000
_FIRST_ID = 0
_PATIENCE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Lag:
    """One run. `lag_s_max`: the oldest the watermark was, sampled each second; `copies` and `commits` while that was measured."""

    tables: int
    seconds: int
    lag_s_max: float
    first_batch_s: float
    copies: int
    commits: int
    tx_per_s: float
    held: bool
    window: Window

    @property
    def line(self) -> str:
        return (
            f"{self.tables:,} tables: the watermark was {self.lag_s_max:.1f} s old at most in {self.seconds} s; {self.copies:,} COPYs in"
            f" {self.commits} commits; {self.tx_per_s:.0f} tx/s{'' if self.held else ' (the rate was not held)'}; first batch after"
            f" {self.first_batch_s:.0f} s; {usage.told(self.window)}"
        )


def measure(servers: Servers, name: str, count: int, seconds: int) -> Lag:
    """One run, as the new pipeline `name`, with the loader's default settings. Raises Wrong when both sides are not equal at the end."""
    tables = [TableId(DATABASE, f"many{number:04d}") for number in range(1, count + 1)]
    servers.fresh_binlog()
    rate = count / CHANGED_EVERY_S
    with running.new_pipeline(servers, name, {}) as (pipeline, watch), quick_commits(servers):
        servers.execute(*(create_table(str(table), NARROW) for table in tables))
        with connect(servers.mysql.port) as connection, connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"INSERT INTO {table} (id) VALUES ({_FIRST_ID})")
        servers.say(f"  {count:,} tables are made")
        began_s = time.monotonic()
        services = [pipeline.start("streamer"), pipeline.start("loader")]
        before = watch.until(pipeline, lambda state: state.tables == count, _PATIENCE_S, every_s=0.5)
        first_batch_s = time.monotonic() - began_s
        writer = started_writer(pipeline, servers.mysql.port, [str(table) for table in tables], rate, seconds + 2)
        start, start_at = running.processes(servers, [*services, writer]), datetime.now(UTC)
        lag_s_max = _lag_s_max(pipeline, watch, seconds)  # the writer takes longer than that, by its start
        stop_at = datetime.now(UTC)
        if not writer.running():
            raise Wrong(f"the writer ended before its time; its log, {writer.log}, ends:\n{writer.tail()}")
        window = Window.between(start, running.processes(servers, [*services, writer]))
        commits = watch.commit_no() - before.commit_no
        written = Written.of(writer, pipeline)
        watch.until(pipeline, lambda state: state.rows >= count + len(written.committed_us), _PATIENCE_S, every_s=0.5)
        running.compare(servers, watch, tables)
    pace = written.pace(written.started_us, written.started_us + (seconds - 1) * 1_000_000, rate)
    copies = _copies(servers, start_at, stop_at)
    return Lag(count, seconds, lag_s_max, first_batch_s, copies, commits, pace.per_s, pace.held, window)


def _lag_s_max(pipeline: Pipeline, watch: Watch, seconds: float) -> float:
    """The oldest the watermark is in so many seconds from now."""
    oldest_s, deadline = 0.0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        oldest_s = max(oldest_s, time.time() - watch.state().commit_ts_us / 1e6)
        must_run(pipeline)
        time.sleep(1)
    return oldest_s


def _copies(servers: Servers, start: datetime, stop: datetime) -> int:
    """COPYs that succeeded between two moments."""
    entries = read_journal(servers.stack.redshift.journal_path)
    return sum(entry.verb == "copy" and entry.ok and start <= datetime.fromisoformat(entry.ts) < stop for entry in entries)
