"""How soon a change is there: from the row's NOW(6) to the return of poll() in a read_committed consumer, on one clock.

NOW(6) is when the statement began, so its execution and commit count too. The streamer runs as the process a person would start. Deletes
are written like the rest and must arrive, but a deleted row carries no time of its own and gives no sample.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from benchmarks import machine
from benchmarks.failure import Wrong
from benchmarks.figures import noisy, percentile
from benchmarks.runs import decoder
from benchmarks.servers import DATABASE, Servers
from benchmarks.window import Moment, Window
from benchmarks.workloads import NARROW, create_table
from benchmarks.writer import Times, Written, connect, started_writer
from contracts.table import TableId
from contracts.topics import Topics
from devstack.pipeline import Pipeline, Service, wait_until

RATE = 500.0  # transactions a second
TIMES, TIMES_LEAST = Times(10, 20), Times(2, 4)
TABLES = tuple(f"{DATABASE}.latency{number}" for number in range(1, 5))
_ARRIVAL_PATIENCE_S = 30.0
_FIRST_ID = 0


@dataclass(frozen=True, slots=True)
class Latency:
    """One run. `tx_per_s`: what the writer achieved; `held`: whether that was steady enough for the rest to mean anything;
    `cpu_percent`: the streamer's, of one core."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    samples: int
    tx_per_s: float
    tx_slowest_second: int
    held: bool
    cpu_percent: float
    other_percent: float
    rss_peak_bytes: int
    decoder: str

    @property
    def line(self) -> str:
        figures = f"p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, max {self.max_ms:.0f} ms of {self.samples:,}"
        if not self.held:
            figures = "no figures: the writer did not hold its rate"
        return (
            f"{figures}; {self.tx_per_s:.0f} tx/s (slowest second {self.tx_slowest_second}); streamer {self.cpu_percent:.0f} % of a core, "
            f"RSS {self.rss_peak_bytes / 1e6:.0f} MB  {noisy(self.other_percent)}"
        )


def measure(servers: Servers, name: str, settings: Mapping[str, Any], times: Times) -> Latency:
    """One run, as the new pipeline `name`. Raises Wrong when a row does not arrive."""
    servers.fresh_binlog()
    servers.execute(*(create_table(table, NARROW) for table in TABLES))
    pipeline = servers.pipeline(name, settings)
    topics = Topics(name)
    servers.settle()
    # A commit's own wait for the disk is no part of what is measured.
    with servers.global_settings(innodb_flush_log_at_trx_commit=2, sync_binlog=0):
        streamer = pipeline.start("streamer")
        try:
            _wait_until_started(streamer)
            consumer = _consumer_of_first_rows(servers, [topics.rows(TableId.parse(table)) for table in TABLES])
            try:
                latency = _measure(servers, pipeline, streamer, consumer, times)
            finally:
                consumer.close()
            streamer.stop()
        finally:
            if streamer.running():
                streamer.kill9()
    servers.forget(topics)
    return latency


def _wait_until_started(streamer: Service) -> None:
    def started() -> bool:
        return not streamer.running() or '"event":"stream.started"' in streamer.log.read_text(errors="replace")

    try:
        wait_until(started, 60, "the streamer does not start")
    except TimeoutError:
        streamer.kill9()
    if not streamer.running():
        raise Wrong(f"the streamer does not start; its log, {streamer.log}, ends:\n{streamer.tail()}")


def _consumer_of_first_rows(servers: Servers, topics: Sequence[str]) -> Any:
    """A consumer that has read one row of each table: the topics are there, and everybody knows everybody."""
    with connect(servers.mysql.port) as connection, connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"INSERT INTO {table} (id) VALUES ({_FIRST_ID})")
    admin = servers.stack.kafka.admin()
    wait_until(lambda: set(topics) <= set(admin.list_topics(timeout=10).topics), 30, "the streamer makes no topics")
    consumer = _consumer(servers.stack.kafka.bootstrap_servers, topics)
    if len(_take(consumer, lambda taken: taken >= len(TABLES), _ARRIVAL_PATIENCE_S)) < len(TABLES):
        consumer.close()
        raise Wrong("latency: the first rows do not arrive")
    return consumer


def _measure(servers: Servers, pipeline: Pipeline, streamer: Service, consumer: Any, times: Times) -> Latency:
    seconds = times.warm_up_s + times.measured_s + 1
    writer = started_writer(pipeline, servers.mysql.port, TABLES, RATE, seconds)
    processes = {**servers.pids, "streamer": streamer.process.pid, "writer": writer.process.pid}
    before = Moment.now(processes)
    arrived = _take(consumer, lambda _: not writer.running(), seconds)  # the writer takes longer than that, by its start
    window = Window.between(before, Moment.now(processes)) if writer.running() else None
    arrived += _take(consumer, lambda _: not writer.running(), _ARRIVAL_PATIENCE_S)
    written = Written.of(writer, pipeline)
    if window is None:
        raise Wrong("the writer ended before its time")
    missing = len(written.committed_us) - len(arrived)
    arrived += _take(consumer, lambda taken: taken >= missing, _ARRIVAL_PATIENCE_S)
    if len(arrived) != len(written.committed_us):
        raise Wrong(f"latency: {len(written.committed_us):,} rows were changed, and {len(arrived):,} records arrived")
    start_us = written.started_us + times.warm_up_s * 1_000_000
    stop_us = start_us + times.measured_s * 1_000_000
    latencies_ms = sorted(_latencies_ms(arrived, start_us, stop_us))
    pace = written.pace(start_us, stop_us, RATE)
    return Latency(
        p50_ms=percentile(latencies_ms, 50),
        p99_ms=percentile(latencies_ms, 99),
        max_ms=latencies_ms[-1],
        samples=len(latencies_ms),
        tx_per_s=pace.per_s,
        tx_slowest_second=pace.slowest_second,
        held=pace.held,
        cpu_percent=100 * window.servers_s["streamer"] / window.wall_s,
        other_percent=window.other_percent,
        rss_peak_bytes=machine.peak_rss_bytes(streamer.process.pid),
        decoder=decoder(pipeline),
    )


def _consumer(bootstrap_servers: str, topics: Sequence[str]) -> Any:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "tidemark-bench",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.min.bytes": 1,
            "fetch.wait.max.ms": 10,
            "fetch.queue.backoff.ms": 1,
            "fetch.error.backoff.ms": 1,
        }
    )
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in topics])
    return consumer


def _take(consumer: Any, enough: Callable[[int], bool], patience_s: float) -> list[tuple[int, bytes]]:
    """Records with the time poll() returned them, in microseconds since the epoch, until there are `enough` or patience ends."""
    taken: list[tuple[int, bytes]] = []
    deadline = time.monotonic() + patience_s
    while not enough(len(taken)) and time.monotonic() < deadline:
        message = consumer.poll(0.1)
        now_us = time.time_ns() // 1000
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        taken.append((now_us, message.value()))
    return taken


def _latencies_ms(arrived: Sequence[tuple[int, bytes]], start_us: int, stop_us: int) -> list[float]:
    """Of the rows changed in [start_us, stop_us)."""
    found = []
    for arrived_us, value in arrived:
        after = orjson.loads(value)["after"]
        if after is not None and start_us <= after["changed_at"] < stop_us:
            found.append((arrived_us - after["changed_at"]) / 1000)
    if not found:
        raise Wrong("latency: no row of the measured time arrived")
    return found
