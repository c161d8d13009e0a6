"""A whole pipeline in one process: a source that goes on, streamers with their readers of tables, two loaders, janitors, and who asks for
readings, on the fakes, in the order a seed decides."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from unittest.mock import patch

import structlog

from contracts.errors import Fenced, OutcomeUnknown, Refused, Unavailable
from contracts.ledger import Fence, Guard
from contracts.signals import Ask, Signal
from contracts.table import TableId, TableSchema
from contracts.topics import Topics
from janitor.core.classify import State
from janitor.core.selection import Choice
from janitor.service import Janitor, Plan
from loader.committer import Committer
from loader.core.cut import CutPolicy
from loader.core.plan import Mode, TargetTable
from loader.core.readers import collect_decoded
from loader.core.target import TargetNaming, target_table
from loader.destinations import Destinations
from loader.service import Loader
from streamer.core.progress import ClosePolicy
from streamer.core.route import Choices, TableChoice
from streamer.service import Ports, Snapshot, Streamer, Tuning
from tests.fakes.binlog import FakeBinlogSource, FakeSourceServer
from tests.fakes.broker import Broker, Group
from tests.fakes.faults import Gate
from tests.fakes.kafka_clients import FakeMembership, FakePositionStore, FakeSchemaBook, FakeShardLog, FakeSignals, FakeSink, FakeTopicAdmin
from tests.fakes.ledger import FakeLedger
from tests.fakes.object_store import Bucket, FakeBatchStore, FakeJanitorBucket
from tests.fakes.versions import Isolation
from tests.fakes.warehouse import Database, FakeWarehouse
from tests.simulation.audit import Audit, Violation
from tests.simulation.binlog import LiveServer
from tests.simulation.encoder import encode_as_json
from tests.simulation.feeder import Feeder
from tests.simulation.reader import FakeTableReader
from tests.simulation.risks import Risks
from tests.simulation.schedule import Actor, Scheduler
from tests.simulation.source import History, source_table, write_history
from tests.simulation.worker import FakeWorker

PREFIX = "p"
BUCKET_PREFIX = "tidemark"
TURN = timedelta(milliseconds=500)
SESSION_TIMEOUT = timedelta(seconds=3)
STEPS_MAX = 6_000
STREAMER = Tuning(
    close=ClosePolicy(rows_max=3, split_rows=3),
    standby_pause=timedelta(seconds=2),
    backoff_min=timedelta(milliseconds=500),
    backoff_max=timedelta(seconds=2),
)


@dataclass(frozen=True)
class Variant:
    """What of the design is changed, for the mutants. The default is the design."""

    name: str = "design"
    warehouse: type[FakeWarehouse] = FakeWarehouse
    loader: type[Loader] = Loader
    janitor: type[Janitor] = Janitor
    ledger: type[FakeLedger] = FakeLedger
    committer: type[Committer] = Committer
    store: type[FakeBatchStore] = FakeBatchStore
    sink: type[FakeSink] = FakeSink
    patches: tuple[tuple[object, str, object], ...] = ()
    """Attributes of the real code that are other ones while this variant runs: owner, name, value."""
    risks: Risks = field(default_factory=Risks)
    streams: bool | None = None
    """Whether the streamer itself runs, or what stands in for it; None: some schedules have the one, some the other."""
    shards: int | None = None


DESIGN = Variant()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a schedule ended. `hits`: how often each effect met each fate; `lossy`: which effects there were, and whether they can lose an
    answer."""

    seed: int
    violations: tuple[Violation, ...]
    steps: int
    hits: Counter[tuple[str, str]]
    lossy: dict[str, bool]
    trace: tuple[str, ...]


class World:
    def __init__(self, seed: int, variant: Variant = DESIGN, *, trace: bool = False) -> None:
        self.seed = seed
        self.variant = variant
        self.scheduler = Scheduler(seed, variant.risks, calm_after=220, on_end=self._ended)
        if trace:
            self.scheduler.trace = []
        rng = self.rng = self.scheduler.rng
        self.topics = Topics(PREFIX)
        # Decoding a binlog takes time that schedules about the loader don't need.
        self.streams = rng.random() < 0.4 if variant.streams is None else variant.streams
        shards = variant.shards or rng.choice((1, 1, 2))
        tables = (
            source_table("orders", 0, Mode.MERGE),
            source_table("users", shards - 1, Mode.MERGE),
            source_table("visits", 0, Mode.APPEND),
        )
        self.shards = shards
        past = rng.randrange(4) if self.streams else 0
        count = past + rng.randrange(*variant.risks.transactions)
        self.history: History = write_history(
            rng, tables, variant.risks.tables, count, statements=variant.risks.statements, rewrites=self.streams
        )
        self.modes = {self.topics.rows(table.table): table.mode for table in tables}
        self.broker = Broker(defer=self._defer)
        self.broker.create(self.topics.progress, shards)
        self.broker.create(self.topics.position, compacted=True)
        self.broker.create(self.topics.schemas, compacted=True)
        for topic in self.modes:
            self.broker.create(topic)
        self.group = Group(shards, SESSION_TIMEOUT)
        self.bucket = Bucket(self.scheduler.time)
        self.database = Database(self.bucket, rng.choice(list(Isolation)))
        for shard in range(shards):
            self.database.create_shard(shard)
        self.snapshot = rng.choice((Snapshot.INITIAL, Snapshot.INITIAL, Snapshot.NEVER)) if self.streams else Snapshot.NEVER
        self.audit = Audit(
            self.history,
            self.topics,
            self.broker,
            self.bucket,
            BUCKET_PREFIX,
            self.database,
            self.group,
            snapshots=self.snapshot is Snapshot.INITIAL,
        )
        self.database.mirror = self.group.offsets
        self.database.store.on_commit = self.audit.after_commit
        self.policy = CutPolicy(
            rows_max=rng.choice((3, 8)),
            size_bytes_max=1 << 20,
            age_max=timedelta(seconds=1),
            memory_bytes_max=rng.choice((12_000, 1 << 20)),
        )
        self.guard = Guard(PREFIX, self.bucket.name, BUCKET_PREFIX, "cluster", shards)
        self.sessions: dict[str, FakeWarehouse] = {}
        self.ledgers: dict[str, FakeLedger] = {}
        self.turns: dict[str, FakeSourceServer] = {}
        self.lives: Counter[str] = Counter()
        self.fed = False
        self._targets: dict[tuple[str, str], TargetTable] = {}
        for name in ("loader1", "loader2"):
            self._start(name, self._load)
        self.server = LiveServer(self.history, self.scheduler.time, past) if self.streams else None
        self.readers = rng.choice((1, 2))
        self.haste = rng.choice((0.05, 0.15, 0.4)) if variant.risks.haste is None else variant.risks.haste
        self.paused: set[TableId] = set()
        if self.streams:
            self.broker.create(self.topics.signals)
        for name in ("streamer1", "streamer2")[: 2 if self.streams else 1]:
            self._start(name, self._stream if self.streams else self._feed)
        for name in ("janitor1", "janitor2")[: rng.choice((1, 2))]:
            self._start(name, self._clean)

    # -- processes

    def _start(self, name: str, body: Callable[[Actor], None], delay: timedelta = timedelta()) -> None:
        self.lives[name] += 1

        def live(actor: Actor) -> None:
            if delay:
                actor.sleep(delay)
            body(actor)

        self.scheduler.add(Actor(self.scheduler, name, live))

    def _load(self, actor: Actor) -> None:
        worker = FakeWorker(actor)
        warehouse = self.sessions[actor.name] = self.variant.warehouse(self.database, worker.hand)
        store = self.variant.store(self.bucket, worker.hand, BUCKET_PREFIX)
        committer = self.variant.committer(
            store=store,
            warehouse=warehouse,
            encode=encode_as_json,
            clock=worker.hand,
            nonce=self._nonce,
            jitter=self.rng.random,
        )
        loader = self.variant.loader(
            owner=actor.name,
            topics=self.topics,
            policy=self.policy,
            membership=FakeMembership(self.broker, self.group, actor, actor.name, self.lives[actor.name]),
            open_log=partial(FakeShardLog, self.broker, actor, self.topics.progress),
            warehouse=warehouse,
            destinations=Destinations(FakeSchemaBook(self.broker, actor, self.topics.schemas), self._target, collect_decoded),
            committer=committer,
            worker=worker,
            clock=actor,
            jitter=self.rng.random,
        )
        while True:
            loader.step(TURN)

    def _feed(self, actor: Actor) -> None:
        sink = self.variant.sink(self.broker, actor, f"tidemark-{PREFIX}")
        sink.repeats = 0.0 if self.scheduler.calm else 0.05
        store = FakePositionStore(self.broker, actor, self.topics.position)
        Feeder(self.history, self.topics, sink, store, self.rng).run()
        self.fed = True

    def _stream(self, actor: Actor) -> None:
        assert self.server is not None
        control = self.turns[actor.name] = FakeSourceServer(self.server, actor)
        sink = self.variant.sink(self.broker, actor, f"tidemark-{PREFIX}")
        sink.repeats = 0.0 if self.scheduler.calm else 0.05
        ports = Ports(
            actor,
            control,
            FakeBinlogSource(self.server, actor),
            sink,
            FakePositionStore(self.broker, actor, self.topics.position),
            FakeTopicAdmin(self.broker, actor, PREFIX),
            [FakeTableReader(self.server, actor) for _ in range(self.readers)],
            FakeSignals(self.broker, actor, self.topics.signals),
        )
        shards = {table.table: TableChoice(shard=table.shard) for table in self.history.tables}
        choices = Choices(self.topics, self.shards, lambda table: table in shards, ("shop.*",), shards)
        streamer = Streamer(ports, choices, 99, STREAMER, snapshot=self.snapshot)
        while not self._all_published():
            streamer.step()
        self.fed = True  # nobody asks for anything any more
        streamer.close()

    def _all_published(self) -> bool:
        """Every shard's last barrier is a whole one behind the last transaction and the last row that was read, what was asked was heard,
        and no Kafka transaction was left open."""
        if self.broker.transactions:
            return False
        for shard in range(self.shards):
            barriers = self.audit.barriers(shard)
            if not barriers or barriers[-1].partial or barriers[-1].standings or barriers[-1].gtid_set != self.history.all:
                return False
        position = self.audit.position()  # its marker may have come before the barriers' have, or after
        if position is None or position.rereads or position.gtid_set != self.history.all:
            return False
        return position.next_signal == self.broker.partition(self.topics.signals).end and not self.paused

    def _clean(self, actor: Actor) -> None:
        ledger = self.ledgers[actor.name] = self.variant.ledger(self.database, actor, self.guard)
        janitor = self.variant.janitor(FakeJanitorBucket(self.bucket, actor, BUCKET_PREFIX), ledger, self.guard)
        while not self.scheduler.calm:
            actor.sleep(timedelta(milliseconds=self.rng.randrange(500, 9_000)))
            try:
                delete_orphans(janitor, fence=self.rng.random() < 0.2)
            except (Refused, Unavailable, OutcomeUnknown) as error:
                self.scheduler.note(f"{actor.name:10s} gave up: {error.message}")

    def _ended(self, actor: Actor) -> None:
        """A process is gone: its connections break, and somebody starts it again."""
        if actor.error is not None and not isinstance(actor.error, (Fenced, Unavailable)):
            self.audit.report("HALT", f"{actor.name} at {actor.doing}: {type(actor.error).__name__}: {actor.error}")
        if session := self.sessions.pop(actor.name, None):
            session.abandon()
        if control := self.turns.pop(actor.name, None):
            self.scheduler.belated.append(control.drop)
        if ledger := self.ledgers.pop(actor.name, None):
            ledger.abandon()
        if self.scheduler.trace is not None:
            self.scheduler.note(f"{actor.name:10s} is gone {actor.error or ''}")
        kind = actor.name.rstrip("0123456789")
        body = {"loader": self._load, "streamer": self._stream if self.streams else self._feed, "janitor": self._clean}[kind]
        done = self.fed and not self.broker.transactions if kind == "streamer" else kind == "janitor" and self.scheduler.calm
        if not done:
            self._start(actor.name, body, timedelta(milliseconds=self.rng.randrange(0, 3_000)))

    def _nonce(self) -> str:
        return f"{self.rng.getrandbits(32):08x}"

    def _target(self, topic: str, schema: TableSchema) -> TargetTable:
        known = self._targets.get((topic, schema.fingerprint))
        if known is None:
            known = self._targets[topic, schema.fingerprint] = target_table(topic, schema, TargetNaming(), self.modes[topic])
        return known

    def _defer(self, write: Callable[[], None]) -> None:
        if self.scheduler.calm or self.rng.random() < 0.5:
            write()
        else:
            self.scheduler.belated.append(write)

    def _expire(self) -> None:
        """Retention takes the segments of an idle table: all is loaded, and the newest marker goes too."""
        topic = self.rng.choice(sorted(self.modes))
        loaded = {row.topic: row.next_offset for shard in range(self.shards) for row in self.database.offsets(shard)}
        log = self.broker.partition(topic)
        last = max((offset for offset in range(log.end) if log.delivers(offset)), default=-1)
        if not log.open and loaded.get(topic, -1) == last + 1:
            self.scheduler.note(f"retention takes {topic} up to offset {log.end}")
            self.broker.expire(topic, 0, log.end)

    def _go_on(self, server: LiveServer) -> None:
        """Whatever the source does by itself, and those who want its tables read."""
        calm = self.scheduler.calm
        if not server.over and (calm or self.rng.random() < self.haste):
            server.go_on(self.rng)
            self.scheduler.note(f"the source has written {server.written}, committed {server.visible}, executed {server.executed}")
        if not calm and not self.fed and self.rng.random() < self.variant.risks.asking:
            self._ask(self.rng.choice(self.history.tables).table, self.rng.choice((Ask.SNAPSHOT, Ask.SNAPSHOT, Ask.PAUSE, Ask.RESUME)))
        if calm and self.paused:
            self._ask(min(self.paused), Ask.RESUME)

    def _ask(self, table: TableId, ask: Ask) -> None:
        signal = Signal("simulated", ask, table, resync=ask is Ask.SNAPSHOT and self.rng.random() < 0.5)
        self.scheduler.note(f"somebody asks: {signal}")
        self.broker.append(self.topics.signals, None, signal.encode())
        if ask is Ask.PAUSE:
            self.paused.add(table)
        else:
            self.paused.discard(table)

    # -- the run

    def run(self) -> Outcome:
        scheduler, audit = self.scheduler, self.audit
        while scheduler.step < STEPS_MAX and not audit.violations:
            if not scheduler.calm and self.rng.random() < self.variant.risks.flap:
                scheduler.note("the group moves its shards")
                self.group.flap()
                if self.server is not None:
                    self.server.turn = None  # a control connection was lost, and its lock; the process knows nothing of it
            if self.server is not None:
                self._go_on(self.server)
            if self.rng.random() < self.variant.risks.expiry:
                self._expire()
            if not scheduler.turn() or (scheduler.step % 4 == 0 and self.at_rest()):
                break
        if not audit.violations:
            if self.at_rest():
                self._end()
            else:
                audit.report("STUCK", f"after {scheduler.step} steps: {[self.database.fence(shard) for shard in range(self.shards)]}")
        scheduler.end()
        return Outcome(self.seed, tuple(audit.violations), scheduler.step, scheduler.hits, scheduler.lossy, tuple(scheduler.trace or ()))

    def _end(self) -> None:
        """The writers stop; two passes of the janitor later only what was committed is left."""
        self.scheduler.end()
        self.audit.at_rest()
        gate = Gate(self.scheduler.time, self.rng)
        ledger = self.variant.ledger(self.database, gate, self.guard)
        janitor = self.variant.janitor(FakeJanitorBucket(self.bucket, gate, BUCKET_PREFIX), ledger, self.guard)
        for _ in range(2):
            delete_orphans(janitor, fence=True)
        self.audit.after_janitor()

    def at_rest(self) -> bool:
        """All is published and loaded, and nothing on its way."""
        if not self.fed or self.scheduler.belated:
            return False
        return all(self._loaded(self.database.fence(shard)) for shard in range(self.shards))

    def _loaded(self, fence: Fence) -> bool:
        log = self.broker.partition(self.topics.progress, fence.shard)
        last = next((offset for offset in range(log.end - 1, -1, -1) if log.delivers(offset)), -1)
        return fence.progress_offset == last + 1


def delete_orphans(janitor: Janitor, *, fence: bool) -> None:
    """`janitor orphans --all-tables --all`, with `--fence` or without."""
    topics = janitor.topics()
    if fence:
        janitor.fence(topics)
    plan = Plan()
    for topic in topics:
        survey = janitor.survey(topic)
        plan.add(survey, survey.chosen(Choice(frozenset({State.ORPHAN}))))
    for _ in janitor.delete(plan):
        pass


def run(seed: int, variant: Variant = DESIGN, *, trace: bool = False) -> Outcome:
    """One schedule. The same seed and variant, the same trace."""
    with silent(), ExitStack() as changed:
        for owner, name, value in variant.patches:
            changed.enter_context(patch.object(owner, name, value))
        return World(seed, variant, trace=trace).run()


@contextmanager
def silent() -> Iterator[None]:
    """Logs go nowhere: a schedule's story is its trace."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True)
    try:
        yield
    finally:
        structlog.configure(**before)
