"""What the processes of a pipeline share, and what goes on without them: a source that writes and may move to another server, Kafka with
its retention, a bucket, a warehouse."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from contracts.ledger import Guard
from contracts.table import TableSchema
from contracts.topics import Topics
from loader.core.cut import CutPolicy
from loader.core.plan import Mode, TargetTable
from loader.core.target import TargetNaming, target_table
from streamer.service.beginning import Snapshot
from tests.fakes.broker import Broker, Group
from tests.fakes.object_store import Bucket
from tests.fakes.versions import Isolation
from tests.fakes.warehouse import Database
from tests.simulation.binlog import LiveServer
from tests.simulation.schedule import Scheduler
from tests.simulation.source import REPLICA, source_table, write_history
from tests.simulation.variant import Variant

PREFIX = "p"
BUCKET_PREFIX = "tidemark"
SESSION_TIMEOUT = timedelta(seconds=3)


class Surroundings:
    """`streams`: a source is there, with a streamer on it; else only what stands in for both."""

    def __init__(self, scheduler: Scheduler, variant: Variant) -> None:
        self.scheduler = scheduler
        self.risks = risks = variant.risks
        rng = self.rng = scheduler.rng
        self.topics = Topics(PREFIX)
        # Decoding a binlog takes time that schedules about the loader don't need.
        self.streams = rng.random() < 0.4 if variant.streams is None else variant.streams
        shards = self.shards = variant.shards or rng.choice((1, 1, 2))
        self.tables = (
            source_table("orders", 0, Mode.MERGE),
            source_table("users", shards - 1, rng.choice((Mode.MERGE, Mode.SOFT_DELETE))),
            source_table("visits", 0, Mode.APPEND),
        )
        past = rng.randrange(4) if self.streams else 0
        count = past + rng.randrange(*risks.transactions)
        moves = self._moves(past, count) if self.streams and rng.random() < risks.moving else None
        self.history = write_history(rng, self.tables, risks.tables, count, statements=risks.statements, rewrites=self.streams, moves=moves)
        self.modes = {self.topics.rows(table.table): table.mode for table in self.tables}
        self.broker = Broker(defer=self._defer)
        self.broker.create(self.topics.progress, shards)
        self.broker.create(self.topics.position, compacted=True)
        self.broker.create(self.topics.schemas, compacted=True)
        for topic in self.modes:
            self.broker.create(topic)
        if self.streams:
            self.broker.create(self.topics.signals)
        self.group = Group(shards, SESSION_TIMEOUT)
        self.bucket = Bucket(scheduler.time)
        self.database = Database(self.bucket, rng.choice(list(Isolation)))
        for shard in range(shards):
            self.database.create_shard(shard)
        self.database.mirror = self.group.offsets
        self.snapshot = rng.choice((Snapshot.INITIAL, Snapshot.INITIAL, Snapshot.NEVER)) if self.streams else Snapshot.NEVER
        self.policy = CutPolicy(
            rows_max=rng.choice((3, 8)),
            size_bytes_max=1 << 20,
            age_max=timedelta(seconds=1),
            memory_bytes_max=rng.choice((12_000, 1 << 20)),
        )
        self.guard = Guard(PREFIX, self.bucket.name, BUCKET_PREFIX, "cluster", shards)
        self.server = LiveServer(self.history.lost or self.history, scheduler.time, past) if self.streams else None
        self.readers = rng.choice((1, 2))
        self.haste = rng.choice((0.05, 0.15, 0.4)) if risks.haste is None else risks.haste
        self._targets: dict[tuple[str, str], TargetTable] = {}

    def _moves(self, past: int, count: int) -> tuple[int, int] | None:
        """After how many of the transactions another server takes over, and how many of those it lacks."""
        if count - past < 2:
            return None
        stops_at = self.rng.randrange(past + 1, count)
        lossy = self.rng.random() < self.risks.losing
        return stops_at, self.rng.randrange(1, min(3, stops_at - past) + 1) if lossy else 0

    def target(self, topic: str, schema: TableSchema) -> TargetTable:
        known = self._targets.get((topic, schema.fingerprint))
        if known is None:
            known = self._targets[topic, schema.fingerprint] = target_table(topic, schema, TargetNaming(), self.modes[topic])
        return known

    def nonce(self) -> str:
        return f"{self.rng.getrandbits(32):08x}"

    def _defer(self, write: Callable[[], None]) -> None:
        if self.scheduler.calm or self.rng.random() < 0.5:
            write()
        else:
            self.scheduler.belated.append(write)

    def go_on(self) -> None:
        """One step of what happens by itself."""
        if not self.scheduler.calm and self.rng.random() < self.risks.flap:
            self.scheduler.note("the group moves its shards")
            self.group.flap()
            if self.server is not None:
                self.server.turn = None  # a control connection was lost, and its lock; the process knows nothing of it
        if self.server is not None:
            self._write_on(self.server)
        if self.rng.random() < self.risks.expiry:
            self._expire()

    def _expire(self) -> None:
        """Retention takes the segments of an idle table: all is loaded, and the newest marker goes too."""
        topic = self.rng.choice(sorted(self.modes))
        rows = [row for shard in range(self.shards) for row in self.database.offsets(shard)]
        loaded = {row.topic: row.next_offset for row in rows if row.topic_id == self.broker.topic(row.topic).topic_id}
        log = self.broker.partition(topic)
        last = max((offset for offset in range(log.end) if log.delivers(offset)), default=-1)
        if not log.open and loaded.get(topic, -1) == last + 1:
            self.scheduler.note(f"retention takes {topic} up to offset {log.end}")
            self.broker.expire(topic, 0, log.end)

    def _write_on(self, server: LiveServer) -> None:
        """The source's next transaction, or its move."""
        if not server.over:
            if self.scheduler.calm or self.rng.random() < self.haste:
                server.go_on(self.rng)
                if self.scheduler.trace is not None:
                    what = f"written {server.written}, committed {server.visible}, executed {server.executed}"
                    self.scheduler.note(f"the source has {what}")
        elif self.history.moves_at is not None and server.uuid != REPLICA and (self.scheduler.calm or self.rng.random() < self.haste):
            self._move(server)

    def _move(self, server: LiveServer) -> None:
        """Another server takes over. Who was connected to the old one notices some time later."""
        assert self.history.moves_at is not None
        self.server = LiveServer(self.history, self.scheduler.time, 0, REPLICA, begins_at=4)
        self.server.follow(server, self.history.moves_at)
        self.scheduler.belated.append(partial(setattr, server, "down", True))
        lacks = server.written - self.history.moves_at
        self.scheduler.note(f"another server takes over, {f'without the last {lacks} transactions' if lacks else 'with all there is'}")
