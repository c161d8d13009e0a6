"""Settings to real clients: the streamer as it runs, and the backfill beside it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import structlog

from contracts.errors import Invalid
from contracts.table import TableId
from runtime import garbage, kernel
from runtime.clock import SystemClock
from runtime.lifecycle import Stop, crash_points
from runtime.settings import Settings
from streamer.core import decoders
from streamer.core.closing import ClosePolicy
from streamer.core.commits import CommitsMet
from streamer.core.decoder import Decoder
from streamer.core.route import Choices, TableChoice
from streamer.edges import metrics
from streamer.edges.dump import MysqlBinlog
from streamer.edges.kafka import KafkaSink
from streamer.edges.keys import SqliteKeys
from streamer.edges.mysql import MysqlServer
from streamer.edges.signals import KafkaSignals
from streamer.edges.tables import MysqlTableReader
from streamer.edges.topics import KafkaPositions, KafkaTopics
from streamer.ports import Ports, Tally
from streamer.service import Streamer, Tuning
from streamer.service.beginning import Snapshot

TRANSACTION_SHARE = 3  # a Kafka transaction is open for at most this part of its timeout

log = structlog.get_logger()


def choices(settings: Settings) -> Choices:
    """What is captured, and what the settings choose for single tables."""
    tables = {
        TableId.parse(name): TableChoice(
            override.key, override.shard, needs_key=override.mode in ("merge", "soft_delete"), append=override.mode == "append"
        )
        for name, override in settings.tables.override.items()
    }
    captures, include = settings.tables.selection.captures, settings.tables.include
    names = (*include, *settings.tables.exclude, *settings.tables.override)
    return Choices(settings.topics, settings.state_shards, captures, include, tables, names)


def require_captured(settings: Settings, tables: Sequence[TableId]) -> None:
    """Raises Invalid for tables that are not this pipeline's."""
    captures = settings.tables.selection.captures
    if foreign := [str(table) for table in tables if not captures(table)]:
        raise Invalid(
            f"{', '.join(foreign)} is not captured by this pipeline; name tables as MySQL does, db.table, or correct tables.include"
        )


def step_patience(settings: Settings) -> timedelta:
    """How long a streamer that is alive takes for a step, and is silent towards MySQL: it may wait for Kafka as long as a transaction of
    its may be open, twice."""
    return timedelta(seconds=max(120, 2 * settings.kafka.transaction_timeout_seconds + 60))


def build(settings: Settings, stop: Stop, observe: Callable[[Tally], None], since: datetime | None = None) -> Streamer:
    """The streamer these settings describe, on real clients. `observe` is told of every Kafka transaction it commits; `since`: a new
    pipeline begins there."""
    garbage.look_rarely()
    server_id = settings.server_id("streamer")
    topics = settings.topics
    chosen = decoders.choose(settings.streamer.decoder)
    log.info("decoder.chosen", **kernel.told(chosen.name, chosen.because))
    ports = Ports(
        clock=SystemClock(stop),
        server=crash_points(MysqlServer(settings.mysql, step_patience(settings)), "streamer"),
        binlog=crash_points(MysqlBinlog(settings.mysql, server_id, f"tidemark-{topics.prefix}", chosen.packets), "streamer"),
        sink=crash_points(KafkaSink(settings.kafka, topics, settings.memory_bytes_max // 2), "streamer"),
        positions=crash_points(KafkaPositions(settings.kafka, topics), "streamer"),
        topics=crash_points(KafkaTopics(settings.kafka, topics), "streamer"),
        readers=[
            crash_points(MysqlTableReader(settings.mysql, chosen.row_packets), "streamer")
            for _ in range(settings.streamer.snapshot_connections)
        ],
        signals=crash_points(KafkaSignals(settings.kafka, topics), "streamer"),
    )
    timeout = timedelta(seconds=settings.kafka.transaction_timeout_seconds)
    tuning = Tuning(
        close=ClosePolicy(split_rows=settings.batch.rows, split_bytes=settings.shard_bytes_max, split_age=timeout / TRANSACTION_SHARE),
        message_bytes_max=settings.kafka.message_bytes_max,
    )
    since_us = None if since is None else round(since.timestamp() * 1_000_000)
    return Streamer(
        ports,
        choices(settings),
        server_id,
        tuning,
        observe,
        chosen.decoder,
        chosen.selected,
        chosen.commits_met,
        since_us,
        Snapshot(settings.streamer.snapshot),
        metrics.stand_by,
    )


@dataclass(frozen=True, slots=True)
class Beside:
    """What a backfill works with, beside a running streamer: connections of its own, on a dump that is not the streamer's. `decoder`: a new
    one for each reading of the binlog."""

    clock: SystemClock
    server: MysqlServer
    binlog: MysqlBinlog
    keys: SqliteKeys
    decoder: Callable[[], Decoder]
    commits_met: CommitsMet


@contextmanager
def beside(settings: Settings, stop: Stop) -> Iterator[Beside]:
    """Closed at the end."""
    chosen = decoders.choose(settings.streamer.decoder)
    server = MysqlServer(settings.mysql)
    name = f"tidemark-{settings.topics.prefix}-backfill"
    # Of its own for each run: of two dumps with one identity the server ends the older one.
    binlog = MysqlBinlog(settings.mysql, settings.server_id(f"backfill/{uuid4()}"), name, chosen.packets)
    decoder = partial(chosen.decoder, settings.topics.prefix, settings.kafka.message_bytes_max, None)
    with closing(server), closing(binlog), closing(SqliteKeys(settings.memory_bytes_max // 2)) as keys:
        yield Beside(SystemClock(stop), server, binlog, keys, decoder, chosen.commits_met)
