"""A whole pipeline in one process: a source that goes on and may move to another server, streamers with their readers of tables, two
loaders, janitors, and people, on the fakes, in the order a seed decides."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from unittest.mock import patch

import structlog

from contracts.errors import Fenced, Gone, OutcomeUnknown, Refused, Unavailable
from contracts.ledger import Fence, Guard
from contracts.table import TableSchema
from contracts.topics import Topics
from janitor.core.classify import State
from janitor.core.selection import Choice
from janitor.service import Janitor, Plan
from loader.core.cut import CutPolicy
from loader.core.plan import Mode, TargetTable
from loader.core.readers import collect_decoded
from loader.core.target import TargetNaming, target_table
from loader.destinations import Destinations
from streamer.core.progress import ClosePolicy
from streamer.core.route import Choices, TableChoice
from streamer.service import Ports, Snapshot, Streamer, Tuning
from tests.fakes.binlog import FakeBinlogSource, FakeSourceServer
from tests.fakes.broker import Broker, Group
from tests.fakes.faults import Gate
from tests.fakes.kafka_clients import FakeMembership, FakePositionStore, FakeSchemaBook, FakeShardLog, FakeSignals, FakeTopicAdmin
from tests.fakes.ledger import FakeLedger
from tests.fakes.object_store import Bucket, FakeJanitorBucket
from tests.fakes.versions import Isolation
from tests.fakes.warehouse import Database, FakeWarehouse
from tests.simulation.audit import Audit
from tests.simulation.binlog import LiveServer
from tests.simulation.encoder import encode_as_json
from tests.simulation.ending import Ending
from tests.simulation.feeder import Feeder
from tests.simulation.people import People
from tests.simulation.reader import FakeTableReader
from tests.simulation.schedule import Actor, Scheduler
from tests.simulation.source import REPLICA, History, source_table, write_history
from tests.simulation.variant import DESIGN, Outcome, Variant
from tests.simulation.worker import FakeWorker

PREFIX = "p"
BUCKET_PREFIX = "tidemark"
TURN = timedelta(milliseconds=500)
SESSION_TIMEOUT = timedelta(seconds=3)
STEPS_MAX = 6_000
CALM_AFTER = 220
"""Steps until nothing goes wrong any more."""
STREAMER = Tuning(
    close=ClosePolicy(rows_max=3, split_rows=3),
    standby_pause=timedelta(seconds=2),
    backoff_min=timedelta(milliseconds=500),
    backoff_max=timedelta(seconds=2),
)


class World:
    def __init__(
        self, seed: int, variant: Variant = DESIGN, *, trace: bool = False, scheduling: Callable[..., Scheduler] = Scheduler
    ) -> None:
        """`scheduling`: given seed, risks, steps until the calm and who is told of an actor's end."""
        self.seed = seed
        self.variant = variant
        self.scheduler = scheduling(seed, variant.risks, CALM_AFTER, self._ended)
        if trace:
            self.scheduler.trace = []
        rng = self.rng = self.scheduler.rng
        self.topics = Topics(PREFIX)
        # Decoding a binlog takes time that schedules about the loader don't need.
        self.streams = rng.random() < 0.4 if variant.streams is None else variant.streams
        shards = variant.shards or rng.choice((1, 1, 2))
        tables = (
            source_table("orders", 0, Mode.MERGE),
            source_table("users", shards - 1, rng.choice((Mode.MERGE, Mode.SOFT_DELETE))),
            source_table("visits", 0, Mode.APPEND),
        )
        self.shards = shards
        past = rng.randrange(4) if self.streams else 0
        count = past + rng.randrange(*variant.risks.transactions)
        moves = self._moves(past, count) if self.streams and rng.random() < variant.risks.moving else None
        risks = variant.risks
        self.history: History = write_history(
            rng, tables, risks.tables, count, statements=risks.statements, rewrites=self.streams, moves=moves
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
        self.audit = Audit(self.history, self.topics, self.broker, self.bucket, BUCKET_PREFIX, self.database, self.group)
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
        """Nothing more is to be streamed."""
        self.halted = False
        """The source has lost what was streamed of it: the stream has ended, as it must."""
        self._targets: dict[tuple[str, str], TargetTable] = {}
        for name in ("loader1", "loader2"):
            self._start(name, self._load)
        self.server = LiveServer(self.history.lost or self.history, self.scheduler.time, past) if self.streams else None
        self.readers = rng.choice((1, 2))
        self.haste = rng.choice((0.05, 0.15, 0.4)) if variant.risks.haste is None else variant.risks.haste
        self.people: People | None = None
        if self.streams:
            self.broker.create(self.topics.signals)
            self.people = People(
                self.scheduler,
                self.topics,
                self.broker,
                self.group,
                self.database,
                self.audit,
                tables,
                may_recreate=self.history.lost is None,
            )
            self._start("operator", self._operate)
        for name in ("streamer1", "streamer2")[: 2 if self.streams else 1]:
            self._start(name, self._stream if self.streams else self._feed)
        for name in ("janitor1", "janitor2")[: rng.choice((1, 2))]:
            self._start(name, self._clean)

    def _moves(self, past: int, count: int) -> tuple[int, int] | None:
        """After how many of the transactions another server takes over, and how many of those it lacks."""
        if count - past < 2:
            return None
        stops_at = self.rng.randrange(past + 1, count)
        lossy = self.rng.random() < self.variant.risks.losing
        return stops_at, self.rng.randrange(1, min(3, stops_at - past) + 1) if lossy else 0

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
        stream = self.audit.stream
        for shard in range(self.shards):
            barriers = stream.barriers(shard)
            if not barriers or barriers[-1].partial or barriers[-1].standings or barriers[-1].gtid_set != self.history.all:
                return False
        position = stream.position()  # its marker may have come before the barriers' have, or after
        if position is None or position.readings or position.gtid_set != self.history.all:
            return False
        assert self.people is not None
        return position.next_signal == self.broker.partition(self.topics.signals).end and self.people.content

    def _operate(self, actor: Actor) -> None:
        assert self.people is not None
        warehouse = self.sessions[actor.name] = FakeWarehouse(self.database, actor)
        self.people.operate(actor, warehouse)

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
        if actor.error is not None and not isinstance(actor.error, (Fenced, Unavailable)) and not self._halted_rightly(actor):
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
        streamer = self._stream if self.streams else self._feed
        body = {"loader": self._load, "streamer": streamer, "janitor": self._clean, "operator": self._operate}[kind]
        done = self.fed and not self.broker.transactions if kind == "streamer" else kind == "janitor" and self.scheduler.calm
        if not done:
            self._start(actor.name, body, timedelta(milliseconds=self.rng.randrange(0, 3_000)))

    def _halted_rightly(self, actor: Actor) -> bool:
        """Whether a process that must be seen to has ended for what has befallen it, and names that."""
        error = actor.error
        if error is None or self.people is None:
            return False
        if actor.name.startswith("loader"):
            return self.people.halted_rightly(error)
        position, lost = self.audit.stream.position(), self.history.lost
        if not isinstance(error, Gone) or error.fields.get("fault") != "transactions_lost" or lost is None or position is None:
            return False
        begun = position.gtid_set if position.in_progress is None else position.gtid_set.with_gtid(position.in_progress.gtid)
        if begun.is_subset(self.history.all):
            return False
        self.halted = self.fed = True
        return True

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
        rows = [row for shard in range(self.shards) for row in self.database.offsets(shard)]
        loaded = {row.topic: row.next_offset for row in rows if row.topic_id == self.broker.topic(row.topic).topic_id}
        log = self.broker.partition(topic)
        last = max((offset for offset in range(log.end) if log.delivers(offset)), default=-1)
        if not log.open and loaded.get(topic, -1) == last + 1:
            self.scheduler.note(f"retention takes {topic} up to offset {log.end}")
            self.broker.expire(topic, 0, log.end)

    def _go_on(self, server: LiveServer) -> None:
        """Whatever the source does by itself."""
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
            if self.people is not None and not self.fed:
                self.people.act()
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
        ending = Ending(self.audit, snapshots=self.snapshot is Snapshot.INITIAL, halted=self.halted)
        ending.at_rest(self.people.wanted if self.people else ())
        gate = Gate(self.scheduler.time, self.rng)
        ledger = self.variant.ledger(self.database, gate, self.guard)
        janitor = self.variant.janitor(FakeJanitorBucket(self.bucket, gate, BUCKET_PREFIX), ledger, self.guard)
        for _ in range(2):
            delete_orphans(janitor, fence=True)
        ending.after_janitor()

    def at_rest(self) -> bool:
        """All is published and loaded, and nothing on its way."""
        if not self.fed or self.scheduler.belated:
            return False
        return all(self._loaded(self.database.fence(shard)) for shard in range(self.shards))

    def _loaded(self, fence: Fence) -> bool:
        if self.halted:
            # What is behind the last whole barrier waits for the rest of its transaction.
            return fence.barrier_no >= max((b.n for b in self.audit.stream.barriers(fence.shard) if not b.partial), default=0)
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
    with changed(variant):
        return World(seed, variant, trace=trace).run()


@contextmanager
def changed(variant: Variant) -> Iterator[None]:
    """While it lasts the code is as the variant has it, and silent."""
    with silent(), ExitStack() as changes:
        for owner, name, value in variant.patches:
            changes.enter_context(patch.object(owner, name, value))
        yield


@contextmanager
def silent() -> Iterator[None]:
    """Logs go nowhere: a schedule's story is its trace."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True)
    try:
        yield
    finally:
        structlog.configure(**before)
