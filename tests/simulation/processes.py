"""The processes of a pipeline: the services' own code, each over the fakes of one process."""

from collections import Counter
from datetime import timedelta
from functools import partial

from contracts.errors import OutcomeUnknown, Refused, Unavailable
from janitor.core.classify import State
from janitor.core.selection import Choice
from janitor.service import Janitor, Plan
from loader.core.readers import collect_decoded
from loader.destinations import Destinations
from streamer.core.closing import ClosePolicy
from streamer.core.route import Choices, TableChoice
from streamer.service import Ports, Streamer, Tuning
from tests.fakes.binlog import FakeBinlogSource, FakeSourceServer
from tests.fakes.faults import Gate
from tests.fakes.kafka_clients import FakeMembership, FakePositionStore, FakeSchemaBook, FakeShardLog, FakeSignals, FakeTopicAdmin
from tests.fakes.ledger import FakeLedger
from tests.fakes.object_store import FakeJanitorBucket
from tests.fakes.warehouse import FakeWarehouse
from tests.simulation.encoder import encode_as_json
from tests.simulation.feeder import Feeder
from tests.simulation.people import People
from tests.simulation.published import Stream
from tests.simulation.reader import FakeTableReader
from tests.simulation.schedule import Actor
from tests.simulation.surroundings import BUCKET_PREFIX, PREFIX, Surroundings
from tests.simulation.variant import Variant
from tests.simulation.worker import FakeWorker

TURN = timedelta(milliseconds=500)
STREAMER = Tuning(
    close=ClosePolicy(rows_max=3, split_rows=3),
    standby_pause=timedelta(seconds=2),
    backoff_min=timedelta(milliseconds=500),
    backoff_max=timedelta(seconds=2),
)


class Processes:
    """The body of each kind of process, by name without number. `fed`: nothing more is to be streamed."""

    def __init__(self, around: Surroundings, variant: Variant, stream: Stream, people: People | None) -> None:
        self.around = around
        self.scheduler = around.scheduler
        self.variant = variant
        self.stream = stream
        self.people = people
        self.fed = False
        self.lives: Counter[str] = Counter()
        streamer = self._stream if around.streams else self._feed
        self.bodies = {"loader": self._load, "streamer": streamer, "janitor": self._clean, "operator": self._operate}
        self._sessions: dict[str, FakeWarehouse] = {}
        self._ledgers: dict[str, FakeLedger] = {}
        self._turns: dict[str, FakeSourceServer] = {}

    def abandon(self, name: str) -> None:
        """A process is gone: its connections break."""
        if session := self._sessions.pop(name, None):
            session.abandon()
        if control := self._turns.pop(name, None):
            self.scheduler.belated.append(control.drop)
        if ledger := self._ledgers.pop(name, None):
            ledger.abandon()

    def _load(self, actor: Actor) -> None:
        worker = FakeWorker(actor)
        warehouse = self._sessions[actor.name] = self.variant.warehouse(self.around.database, worker.hand)
        store = self.variant.store(self.around.bucket, worker.hand, BUCKET_PREFIX)
        committer = self.variant.committer(
            store=store,
            warehouse=warehouse,
            encode=encode_as_json,
            clock=worker.hand,
            nonce=self.around.nonce,
            jitter=self.around.rng.random,
        )
        schemas = FakeSchemaBook(self.around.broker, actor, self.around.topics.schemas)
        loader = self.variant.loader(
            owner=actor.name,
            topics=self.around.topics,
            policy=self.around.policy,
            membership=FakeMembership(self.around.broker, self.around.group, actor, actor.name, self.lives[actor.name]),
            open_log=partial(FakeShardLog, self.around.broker, actor, self.around.topics.progress),
            warehouse=warehouse,
            destinations=Destinations(schemas, self.around.target, collect_decoded),
            committer=committer,
            worker=worker,
            clock=actor,
            jitter=self.around.rng.random,
        )
        while True:
            loader.step(TURN)

    def _feed(self, actor: Actor) -> None:
        sink = self.variant.sink(self.around.broker, actor, f"tidemark-{PREFIX}")
        sink.repeats = 0.0 if self.scheduler.calm else 0.05
        store = FakePositionStore(self.around.broker, actor, self.around.topics.position)
        Feeder(self.around.history, self.around.topics, sink, store, self.around.rng).run()
        self.fed = True

    def _stream(self, actor: Actor) -> None:
        assert self.around.server is not None
        control = self._turns[actor.name] = FakeSourceServer(self.around.server, actor)
        sink = self.variant.sink(self.around.broker, actor, f"tidemark-{PREFIX}")
        sink.repeats = 0.0 if self.scheduler.calm else 0.05
        ports = Ports(
            actor,
            control,
            FakeBinlogSource(self.around.server, actor),
            sink,
            FakePositionStore(self.around.broker, actor, self.around.topics.position),
            FakeTopicAdmin(self.around.broker, actor, PREFIX),
            [FakeTableReader(self.around.server, actor) for _ in range(self.around.readers)],
            FakeSignals(self.around.broker, actor, self.around.topics.signals),
        )
        shards = {table.table: TableChoice(shard=table.shard) for table in self.around.history.tables}
        choices = Choices(self.around.topics, self.around.shards, lambda table: table in shards, ("shop.*",), shards)
        streamer = Streamer(ports, choices, 99, STREAMER, snapshot=self.around.snapshot)
        while not self.all_published():
            streamer.step()
        self.fed = True  # until somebody asks for more
        streamer.close()

    def all_published(self) -> bool:
        """Every shard's last barrier is a whole one behind the last transaction and the last row that was read, what was asked was heard,
        and no Kafka transaction was left open."""
        if self.around.broker.transactions:
            return False
        for shard in range(self.around.shards):
            barriers = self.stream.barriers(shard)
            if not barriers or barriers[-1].partial or barriers[-1].standings or barriers[-1].gtid_set != self.around.history.all:
                return False
        position = self.stream.position()  # its marker may have come before the barriers' have, or after
        if position is None or position.readings or position.gtid_set != self.around.history.all:
            return False
        assert self.people is not None
        return position.next_signal == self.around.broker.partition(self.around.topics.signals).end and self.people.content

    def _clean(self, actor: Actor) -> None:
        ledger = self._ledgers[actor.name] = self.variant.ledger(self.around.database, actor, self.around.guard)
        janitor = self.variant.janitor(FakeJanitorBucket(self.around.bucket, actor, BUCKET_PREFIX), ledger, self.around.guard)
        while not self.scheduler.calm:
            actor.sleep(timedelta(milliseconds=self.around.rng.randrange(500, 9_000)))
            try:
                delete_orphans(janitor, fence=self.around.rng.random() < 0.2)
            except (Refused, Unavailable, OutcomeUnknown) as error:
                self.scheduler.note(f"{actor.name:10s} gave up: {error.message}")

    def _operate(self, actor: Actor) -> None:
        assert self.people is not None
        warehouse = self._sessions[actor.name] = FakeWarehouse(self.around.database, actor)
        self.people.operate(actor, warehouse)


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


def delete_all_orphans(around: Surroundings, variant: Variant, gate: Gate) -> None:
    """What was dead when the writers stopped, and what they left on its way: two passes."""
    ledger = variant.ledger(around.database, gate, around.guard)
    janitor = variant.janitor(FakeJanitorBucket(around.bucket, gate, BUCKET_PREFIX), ledger, around.guard)
    for _ in range(2):
        delete_orphans(janitor, fence=True)
