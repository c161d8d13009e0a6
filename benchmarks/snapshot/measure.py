"""One table read by a running streamer, from the request to its last row, beside steady writes to it and to another table.

The streamer is the process a person would start; the clock runs from when it says that it heard the request until it says that the last
row is read. The lag is that of the other table's rows: from NOW(6) of the statement to the return of poll() in a read_committed consumer,
which reads nothing else, so that it takes no time from what is measured. That of the table's own changes is told by what is on Kafka
afterwards: from NOW(6) until the streamer handed them to its producer.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from benchmarks import machine
from benchmarks.failure import Wrong
from benchmarks.figures import noisy, percentile
from benchmarks.measured import RunMeasured
from benchmarks.servers import DATABASE, Servers
from benchmarks.snapshot import readback
from benchmarks.window import Moment, Window
from benchmarks.workloads import NARROW, TOOLS, create_table, insert, make_numbers, quick_commits, writing
from benchmarks.writer import Written, started_writer
from contracts.table import TableId
from contracts.topics import Topics
from devstack.pipeline import Pipeline, Service, wait_until

RATE = 400.0  # transactions a second, over both tables
READ, OTHER = TableId(DATABASE, "read"), TableId(DATABASE, "other")
_OTHER_ROWS = 1000
_QUIET_S = 3.0  # of writes alone, before and after
_ROWS_PER_S_MIN = 500  # whoever is slower has stopped
_WRITES_S_MAX = 7200.0
_INSERT_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Measured(RunMeasured):
    """`rows`: read by SELECT. `streamed_rows`: changes of the table that were streamed meanwhile. Lags in seconds. `held`: whether
    the writer held its rate."""

    decoder: str
    streamed_rows: int
    lag_s_p99: float
    lag_s_max: float
    own_table_lag_s_max: float
    samples: int
    tx_per_s: float
    held: bool

    @property
    def line(self) -> str:
        used = ", ".join(f"{name} {self.server_cpu_s_per_million(name):.1f}" for name in self.window.servers_s if name != "streamer")
        return (
            f"{self.rows_per_s:>9,.0f} rows/s of {self.rows:,}  CPU s a million: {self.cpu_s_per_million:.1f} ({used})"
            f"  lag p99 {self.lag_s_p99:.2f} s, max {self.lag_s_max:.2f} s of {self.samples:,}, own table {self.own_table_lag_s_max:.2f} s"
            f"  RSS {self.rss_peak_bytes / 1e6:.0f} MB  {self.tx_per_s:.0f} tx/s{'' if self.held else ' NOT HELD'}"
            f"  {noisy(self.window.other_percent)}"
        )

    @property
    def cpu_s_per_million(self) -> float:
        return self.window.servers_s["streamer"] / self.rows * 1e6


def measure(servers: Servers, name: str, decoder: str, rows: int) -> Measured:
    """One run, as the new pipeline `name`. Raises Wrong when the topic does not end with the rows the table has."""
    fill(servers, rows)
    pipeline = servers.pipeline(name, {"streamer": {"snapshot": "never", "decoder": decoder}})
    topics = Topics(name)
    servers.settle()
    # A commit's own wait for the disk is no part of what is measured.
    with servers.global_settings(innodb_flush_log_at_trx_commit=2, sync_binlog=0):
        streamer = pipeline.start("streamer")
        try:
            _await(streamer, lambda: _said(streamer, "stream.started") is not None, 60, "it does not start")
            found = _measure(servers, pipeline, streamer, topics, decoder, rows)
            streamer.stop()
        finally:
            if streamer.running():
                streamer.kill9()
    servers.forget(topics)
    return found


def fill(servers: Servers, rows: int) -> None:
    """The tables, their rows not in the binlog."""
    servers.say(f"{rows:,} rows of {len(NARROW)} columns: writing")
    servers.fresh_binlog()
    servers.execute(*(create_table(str(table), NARROW) for table in (READ, OTHER)))
    make_numbers(servers)
    with quick_commits(servers), writing(servers) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        for table, count in ((READ, rows), (OTHER, _OTHER_ROWS)):
            for before in range(0, count, _INSERT_ROWS):
                tens = min(_INSERT_ROWS, count - before) // 1000
                ids = f"SELECT {before + 1} + t.n * 1000 + o.n AS id FROM {TOOLS}.numbers o JOIN {TOOLS}.numbers t ON t.n < {tens}"
                cursor.execute(insert(str(table), NARROW, ids))


def _measure(servers: Servers, pipeline: Pipeline, streamer: Service, topics: Topics, decoder: str, rows: int) -> Measured:
    patience_s = 60 + rows / _ROWS_PER_S_MIN
    held = [f"{READ}={rows}", f"{OTHER}={_OTHER_ROWS}"]
    writer = started_writer(pipeline, servers.mysql.port, held, RATE, _WRITES_S_MAX)
    own, other = (topics.rows(table) for table in (READ, OTHER))
    admin = servers.stack.kafka.admin()
    _await(streamer, lambda: {own, other} <= set(admin.list_topics(timeout=10).topics), 30, "it makes no topics")
    arrivals = Arrivals(servers.stack.kafka.bootstrap_servers, other)
    try:
        arrivals.take(_QUIET_S)
        done = pipeline.run("streamer", "snapshot", "-t", str(READ))
        if done.returncode:
            raise Wrong(f"no request for a snapshot: {done.stderr}")
        processes = {**servers.pids, "streamer": streamer.process.pid, "writer": writer.process.pid}
        start_us = _heard(streamer, arrivals, "signal.heard", 30)
        before = Moment.now(processes)
        stop_us = _heard(streamer, arrivals, "reread.done", patience_s)
        window = Window.between(before, Moment.now(processes))
        rss = machine.peak_rss_bytes(streamer.process.pid)
        arrivals.take(_QUIET_S)
    finally:
        arrivals.close()
    written = _stopped(writer, pipeline)
    lags_s = sorted((at_us - changed_us) / 1e6 for changed_us, at_us in arrivals.found if start_us <= at_us and changed_us <= stop_us)
    if not lags_s:
        raise Wrong("nothing was streamed while the table was read")
    _await(streamer, lambda: _status(pipeline)["behind_transactions"] == 0, 60, "it does not catch up")
    kept = readback.read(servers.stack.kafka.bootstrap_servers, own)
    servers.say(f"  read back: {kept.rows:,} rows, {kept.read:,} of them read, {kept.streamed:,} streamed")
    if (kept.rows, kept.digest) != _rows_of(servers):
        raise Wrong(f"topic {own} ends with {kept.rows:,} rows, and {READ} has {_rows_of(servers)[0]:,}, or others")
    pace = written.pace(start_us, max(stop_us, start_us + 1_000_000), RATE)
    return Measured(
        rows=rows,
        startup_s=0.0,
        window=Window((stop_us - start_us) / 1e6, 0.0, window.servers_s, window.other_percent),
        rss_peak_bytes=rss,
        decoder=decoder,
        streamed_rows=kept.streamed,
        lag_s_p99=round(percentile(lags_s, 99), 3),
        lag_s_max=round(lags_s[-1], 3),
        own_table_lag_s_max=round(kept.lag_s_max, 3),
        samples=len(lags_s),
        tx_per_s=pace.per_s,
        held=pace.held,
    )


class Arrivals:
    """A consumer of one topic from its end on. `found`: of each row when it was changed, by its own word, and when it came, in microseconds
    since the epoch."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self.found: list[tuple[int, int]] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "tidemark-bench",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "fetch.queue.backoff.ms": 1,
            }
        )
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_END)])

    def take(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            message = self._consumer.poll(min(left, 0.1))
            if message is None:
                continue
            if message.error():
                raise KafkaException(message.error())
            after = orjson.loads(message.value() or b"{}")["after"]
            if after is not None:  # a deleted row carries no time of its own
                self.found.append((after["changed_at"], time.time_ns() // 1000))

    def close(self) -> None:
        self._consumer.close()


def _heard(streamer: Service, arrivals: Arrivals, event: str, patience_s: float) -> int:
    """When the streamer said it, in microseconds since the epoch; what arrives until then is taken."""
    deadline = time.monotonic() + patience_s
    while (said := _said(streamer, event)) is None:
        if not streamer.running() or time.monotonic() > deadline:
            raise Wrong(f"the streamer does not say {event}; its log, {streamer.log}, ends:\n{streamer.tail()}")
        arrivals.take(0.2)
    return said


def _said(streamer: Service, event: str) -> int | None:
    for line in _events(streamer):
        if line.get("event") == event:
            return _us(line["at"])
    return None


def _events(streamer: Service) -> Iterator[dict[str, Any]]:
    for line in streamer.log.read_bytes().splitlines():
        if line.startswith(b"{") and line.endswith(b"}"):
            yield orjson.loads(line)


def _us(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1e6)


def _await(streamer: Service, is_so: Callable[[], bool], patience_s: float, what: str) -> None:
    try:
        wait_until(lambda: not streamer.running() or is_so(), patience_s, what)
    except TimeoutError:
        streamer.kill9()
    if not streamer.running():
        raise Wrong(f"the streamer: {what}; its log, {streamer.log}, ends:\n{streamer.tail()}")


def _stopped(writer: Service, pipeline: Pipeline) -> Written:
    writer.process.terminate()
    return Written.of(writer, pipeline)


def _status(pipeline: Pipeline) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(pipeline.run("streamer", "status", "--json").stdout)
    return found


def _rows_of(servers: Servers) -> tuple[int, int]:
    """How many rows the table has, and the sum of what `readback.digest` makes of their ids."""
    with servers.mysql.connect(read_timeout=600) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*), SUM(id * id % {readback.PRIME}) FROM {READ}")
        count, digest = cursor.fetchone()
    return int(count), int(digest)
