"""What an operator does to a shard by hand: go on with what Kafka or the warehouse have after a loss, leave a table alone."""

from collections.abc import Sequence
from contextlib import closing

from confluent_kafka import Consumer

from contracts.errors import Invalid, Refused, Unfit
from contracts.ledger import TopicOffset
from contracts.progress import TableState
from contracts.sql import qualified
from contracts.table import TableId
from loader.adoption import Adoption, adopt, not_let_go, proposed, told
from loader.core.adoption import paused
from loader.core.evolve import reading
from loader.core.mirror import Mirror, regranted
from loader.core.plan import PARTITION
from loader.destinations import Targets
from loader.edges.kafka import PartitionReader, SchemaReader, notes
from loader.edges.redshift import RedshiftWarehouse
from loader.edges.s3 import highest_epoch
from loader.ports import Clock, ShardState
from loader.wiring import captured, ledger_guard, open_reader, open_schemas, open_warehouse, targets
from runtime.connect import kafka, s3
from runtime.settings import Settings


def adopt_topics(settings: Settings, tables: Sequence[TableId], clock: Clock, *, agreed: bool) -> None:
    """Goes on with what Kafka holds of the tables, of all when none is named; says what that means. Raises Refused when rows are lost and
    nobody has `agreed` to that; Invalid, Unavailable, Fenced, OutcomeUnknown."""
    kafka.require_brokers(settings.kafka)
    wanted: dict[int, list[TableId]] = {} if tables else {shard: [] for shard in range(settings.state_shards)}
    for table in tables:
        wanted.setdefault(shard_of(settings, table), []).append(table)
    with closing(open_schemas(settings)) as schemas, closing(open_warehouse(settings)) as warehouse:
        require_ledger(settings, warehouse)
        warehouse.prepare(ledger_guard(settings))
        for shard, named in sorted(wanted.items()):
            with closing(open_reader(settings, shard)) as log:
                _adopt_shard(settings, shard, named, log, schemas, warehouse, clock, agreed=agreed)


def _adopt_shard(
    settings: Settings,
    shard: int,
    tables: Sequence[TableId],
    log: PartitionReader,
    schemas: SchemaReader,
    warehouse: RedshiftWarehouse,
    clock: Clock,
    *,
    agreed: bool,
) -> None:
    """`tables`: none for all of the shard's. Raises Refused when rows are lost and nobody has agreed to that."""
    resolve = targets(settings)

    def keyed(offset: TopicOffset) -> bool:
        return _is_keyed(offset.topic, resolve, schemas)

    def unloaded(table: TableId) -> TopicOffset:
        topic = settings.topics.rows(table)
        target = resolve(topic, schemas.newest(topic))
        named = qualified(target.schema, target.name)
        return TopicOffset(topic, PARTITION, "", 0, 0, TableState.OK, 0, str(table), named)

    def propose(state: ShardState) -> Adoption:
        names = {settings.topics.rows(table): table for table in tables}
        topics = {topic: state.offsets.get(topic) or unloaded(table) for topic, table in names.items()}
        if not tables:
            topics = not_let_go(state.offsets, log, captured(settings))
        adoption = proposed(state, topics, settings.topics.progress, log, keyed)
        if adoption.barriers_lost and tables:
            raise Refused(f"barriers of shard {shard} are lost, so any of its tables may lack rows: loader adopt-topic --all-tables --yes")
        if adoption.skipped and not agreed:
            said = "; ".join(told(shard, adoption))
            raise Refused(f"rows are lost, and were not loaded: {said}. With --yes the loader goes on like that; nothing was changed")
        return adoption

    before = propose(warehouse.read_state(shard))
    if not before.moves and not before.barriers_lost:
        print(f"shard {shard}: nothing is lost, nothing was changed")
        return
    for line in told(shard, adopt(warehouse, shard, "adopt-topic", propose, clock)):
        print(line)


def adopt_warehouse(settings: Settings) -> None:
    """Gives every shard an epoch and a commit number above all that was ever given, after the warehouse was restored. Raises Invalid,
    Refused, Unavailable, Fenced, OutcomeUnknown."""
    kafka.require_brokers(settings.kafka)
    consumer = Consumer({**kafka.client_config(settings.kafka), "group.id": settings.group_id})
    with closing(open_warehouse(settings)) as warehouse, closing(consumer):
        warehouse.move_guard(ledger_guard(settings))
        seen = highest_epoch(s3.client(settings.s3), settings.s3.bucket, settings.s3.prefix)
        for shard, note in notes(consumer, settings.topics.progress, range(settings.state_shards)).items():
            fence, mirror = warehouse.read_state(shard).fence, Mirror.parse(note)
            epoch, commit_no = regranted(fence, mirror, seen)
            if epoch == fence.epoch + 1 and commit_no == fence.commit_no + 1:
                print(f"shard {shard}: the warehouse lacks nothing, nothing was changed")
                continue
            warehouse.regrant(fence, epoch, commit_no, "adopt-warehouse")
            print(
                f"shard {shard}: epoch {fence.epoch} became {epoch}, commit {fence.commit_no} became {commit_no}; the loader goes on at "
                f"barrier offset {fence.progress_offset}, GTID set {fence.gtid_set}, and says so when Kafka has not kept what follows"
            )


def pause(settings: Settings, tables: Sequence[TableId], clock: Clock) -> None:
    """Parks tables by hand. Raises Refused for one of which nothing was loaded, that is parked, or whose events would be lost; Invalid,
    Unavailable, Fenced, OutcomeUnknown."""
    resolve = targets(settings)
    with closing(open_schemas(settings)) as schemas, closing(open_warehouse(settings)) as warehouse:
        require_ledger(settings, warehouse)
        warehouse.prepare(ledger_guard(settings))
        for table in tables:
            topic, shard = settings.topics.rows(table), shard_of(settings, table)

            def propose(state: ShardState, table: TableId = table, topic: str = topic) -> Adoption:
                held = state.offsets.get(topic)
                if held is None:
                    raise Refused(f"nothing of {table} was loaded yet: to leave it out, exclude it (tables.exclude)")
                if held.state is TableState.PARKED:
                    raise Refused(f"{table} is parked already: {held.because}")
                if not _is_keyed(topic, resolve, schemas):
                    raise Refused(f"{table} is loaded in append mode: events that come while it is paused would be lost")
                return Adoption(((held, paused(held, state.fence.commit_ts_us)),), state.fence.progress_offset, barriers_lost=False)

            propose(warehouse.read_state(shard))  # before anything is taken from anybody
            adopt(warehouse, shard, "pause", propose, clock)
            print(f"{table} is left as it is; to go on: {reading(table)}")


def shard_of(settings: Settings, table: TableId) -> int:
    """Raises Invalid for a table that is not captured."""
    if not settings.tables.selection.captures(table):
        raise Invalid(f"table {table} is not captured; add it to tables.include")
    return settings.shard(table)


def require_ledger(settings: Settings, warehouse: RedshiftWarehouse) -> None:
    """Raises Invalid when no loader has made it yet."""
    if warehouse.guard() is None:
        raise Invalid(f"schema {settings.redshift.schema_} holds no ledger yet: start the loader first")


def _is_keyed(topic: str, resolve: Targets, schemas: SchemaReader) -> bool:
    """Whether the topic's target holds a row for each of its table's."""
    try:
        return resolve(topic, schemas.newest(topic)).mode.keyed
    except Unfit:
        return True  # no other target is ever without one
