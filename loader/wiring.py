"""Settings to real clients: the loader as it runs, and the parts its other commands need."""

import random
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import structlog

from contracts.errors import Corrupt, Invalid, Unavailable
from contracts.ledger import Guard, TopicOffset, cluster_id
from contracts.table import TableId, TableSchema
from loader.committer import Committer, backoff
from loader.core import readers
from loader.core.cut import CutPolicy
from loader.core.encode import encode
from loader.core.plan import Mode, TargetTable
from loader.core.target import TargetNames, TargetNaming, target_table
from loader.destinations import Destinations, Targets
from loader.edges.kafka import GroupMembership, PartitionReader, SchemaReader
from loader.edges.redshift import RedshiftWarehouse, WarehouseOptions
from loader.edges.s3 import S3BatchStore, look
from loader.edges.targets import Former, nothing_known
from loader.edges.worker import ThreadSpread, ThreadWorker
from loader.ports import Clock, SchemaBook
from loader.service import Loader
from runtime import garbage, kernel
from runtime.clock import SystemClock
from runtime.connect import kafka, redshift, s3
from runtime.lifecycle import Stop, crash_points
from runtime.settings import Settings

PUTS_AT_A_TIME = 8
"""To the bucket: fewer than the S3 client keeps connections."""
COLUMN_MEMORY_BYTES_MAX = 1 << 30
"""A column of Arrow's ends at 2 GiB."""


@contextmanager
def build(
    settings: Settings, stop: Stop, *, instance: str | None, age_max: timedelta | None = None, beat: Callable[[], object] | None = None
) -> Iterator[Loader]:
    """The loader over real clients, closed at the end: its open batches abandoned, the group left. `beat`: a warehouse that does not answer
    is waited for, and each try told; without it that raises Unavailable."""
    garbage.look_rarely()
    kafka.require_brokers(settings.kafka)
    check_s3(settings)
    config, clock, jitter = kafka.client_config(settings.kafka), SystemClock(stop), random.SystemRandom().random
    chosen = readers.choose(settings.loader.decoder)
    structlog.get_logger().info("decoder.chosen", **kernel.told(chosen.name, chosen.because))
    schemas, resolve = open_schemas(settings), targets(settings)
    warehouse = open_warehouse(settings, former(schemas, resolve))
    prepare = partial(warehouse.prepare, ledger_guard(settings))
    if beat is None:
        prepare()
    else:
        patiently(prepare, stop, clock, jitter, beat)
    guarded, spread = crash_points(warehouse, "loader"), ThreadSpread(PUTS_AT_A_TIME)
    committer = Committer(
        store=crash_points(S3BatchStore(s3.client(settings.s3), settings.s3.bucket, settings.s3.prefix), "loader"),
        warehouse=guarded,
        encode=encode,
        clock=clock,
        nonce=lambda: secrets.token_hex(4),
        jitter=jitter,
        spread=spread,
        halt_on_bad_row=settings.on_bad_row == "halt",
        ledger_keep=timedelta(seconds=settings.loader.ledger_keep_seconds) or None,
    )
    loader = Loader(
        owner=instance or f"{socket.gethostname()} sync",
        topics=settings.topics,
        policy=cut_policy(settings, age_max),
        membership=crash_points(
            GroupMembership(config, group=settings.group_id, progress=settings.topics.progress, instance=instance), "loader"
        ),
        open_log=lambda shard: open_reader(settings, shard),
        warehouse=guarded,
        destinations=Destinations(schemas, resolve, chosen.collect),
        committer=committer,
        worker=ThreadWorker(),
        clock=clock,
        jitter=jitter,
        captured=captured(settings),
    )
    try:
        yield loader
    finally:
        loader.close()
        spread.close()
        schemas.close()


def patiently(prepare: Callable[[], None], stop: Stop, clock: Clock, jitter: Callable[[], float], beat: Callable[[], object]) -> None:
    """Prepares a warehouse that may be paused, with the pauses of the loop, which would wait for it, too. Returns also when asked to stop.
    Raises what isn't mended by waiting."""
    tries = 0
    while not stop.requested():
        beat()
        try:
            prepare()
            return
        except Unavailable as error:
            tries += 1
            pause = backoff(tries, jitter())
            structlog.get_logger().warning(
                "warehouse.awaited",
                message=error.message,
                tries=tries,
                pause_ms=round(pause.total_seconds() * 1000),
                **{f"field_{name}": value for name, value in error.fields.items()},
            )
            clock.sleep(pause)


def cut_policy(settings: Settings, age_max: timedelta | None = None) -> CutPolicy:
    return CutPolicy(
        rows_max=settings.batch.rows,
        size_bytes_max=settings.batch.bytes,
        age_max=age_max or timedelta(seconds=settings.batch.seconds),
        memory_bytes_max=min(settings.shard_bytes_max, COLUMN_MEMORY_BYTES_MAX),
    )


def open_schemas(settings: Settings) -> SchemaReader:
    return SchemaReader(
        kafka.client_config(settings.kafka),
        group=settings.group_id,
        topic=settings.topics.schemas,
        message_bytes_max=settings.kafka.message_bytes_max,
    )


def captured(settings: Settings) -> Callable[[TopicOffset], bool]:
    """Whether the settings capture the table of a topic that was loaded; one whose name does not say which table it is, they do."""

    def ask(held: TopicOffset) -> bool:
        table = TableId.parse(held.source_table)
        return settings.topics.rows(table) != held.topic or settings.tables.selection.captures(table)

    return ask


def targets(settings: Settings) -> Targets:
    """Where each table's rows go. Says aloud, once a table, when it has no key and so gets every change as a row."""
    naming = TargetNaming(settings.target.schema_, settings.target.table)
    names, said = TargetNames(), set[str]()

    def resolve(topic: str, schema: TableSchema) -> TargetTable:
        override = settings.tables.override.get(str(schema.table))
        target = target_table(topic, schema, naming, Mode(override.mode) if override and override.mode else None)
        names.claim(target)
        if not schema.key and topic not in said:
            said.add(topic)
            structlog.get_logger().warning("table.keyless", table=str(schema.table), mode=target.mode.value)
        return target

    return resolve


def former(schemas: SchemaBook, resolve: Targets) -> Former:
    """What a target was by a schema loaded before; None for one that Kafka has no more, or that has no target as the settings are now."""

    def look(topic: str, fingerprint: str) -> TargetTable | None:
        try:
            return resolve(topic, schemas.find(topic, fingerprint))
        except (Corrupt, Invalid):
            return None

    return look


def open_warehouse(settings: Settings, former: Former = nothing_known) -> RedshiftWarehouse:
    section = settings.redshift
    return RedshiftWarehouse(
        lambda: redshift.connect(section, autocommit=True),
        WarehouseOptions(
            schema=section.schema_,
            iam_role=section.iam_role,
            lock_patience=timedelta(seconds=section.lock_patience_seconds),
            statement_timeout=timedelta(seconds=section.statement_timeout_seconds),
            grant_select_to=settings.target.grant_select_to,
        ),
        former,
    )


def ledger_guard(settings: Settings) -> Guard:
    cluster = cluster_id(settings.redshift.host, settings.redshift.port, settings.redshift.database)
    return Guard(settings.pipeline, settings.s3.bucket, settings.s3.prefix, cluster, settings.state_shards)


def open_reader(settings: Settings, shard: int) -> PartitionReader:
    return PartitionReader(
        kafka.client_config(settings.kafka),
        group=settings.group_id,
        progress=settings.topics.progress,
        shard=shard,
        message_bytes_max=settings.kafka.message_bytes_max,
    )


def check_s3(settings: Settings) -> str:
    return look(s3.client(settings.s3), settings.s3.bucket)
