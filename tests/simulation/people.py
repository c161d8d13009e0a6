"""Those around a pipeline: who wants tables read, or left alone, or stands in their way, who deletes a topic, and who mends."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from contracts.envelope import encode_key
from contracts.errors import Corrupt, Fenced, Gone, OutcomeUnknown, PipelineError, Refused, Unavailable
from contracts.ledger import TopicOffset
from contracts.progress import TableState
from contracts.signals import Ask, Signal
from contracts.table import Column, Kind, TableId, TableSchema
from loader.adoption import Adoption, adopt, proposed
from loader.core.adoption import paused
from loader.core.plan import PARTITION, Mode
from loader.ports import ShardState
from tests.fakes.kafka_clients import FakeShardLog
from tests.fakes.warehouse import FakeWarehouse
from tests.simulation.audit import Audit
from tests.simulation.schedule import Actor, Scheduler
from tests.simulation.source import KEYS, SourceTable
from tests.simulation.surroundings import Surroundings
from tests.simulation.worker import FOREVER

MENDED_EVERY = 8
"""Steps between two looks at what is still to be mended."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Keys somebody has asked for, when the topic was `end` offsets long."""

    topic: str
    topic_id: str
    end: int
    keys: frozenset[int]


Order = Callable[[Actor, FakeWarehouse], None]


class People:
    """`wanted`: what was asked for by keys. `recreated`: topics that were deleted and made again, at most once each."""

    def __init__(self, scheduler: Scheduler, around: Surroundings, audit: Audit) -> None:
        self.scheduler = scheduler
        self.rng = scheduler.rng
        self.topics = around.topics
        self.broker = around.broker
        self.group = around.group
        self.database = around.database
        self.audit = audit
        self.tables = around.tables
        self.keyed = [table for table in around.tables if table.mode.keyed]
        self.soft = [table for table in around.tables if table.mode is Mode.SOFT_DELETE]
        self.may_recreate = around.history.lost is None  # whose stream may end has nobody who could send what mends a topic
        self.wanted: list[Wanted] = []
        self.recreated: set[str] = set()
        self.orders: deque[tuple[str, str, Order]] = deque()
        self._readings_paused: set[TableId] = set()
        self._meddled = False
        self._resynced: dict[str, int] = {}

    # -- what befalls the pipeline

    def act(self) -> None:
        """Once a step, while anybody listens."""
        if self.scheduler.calm:
            if self.scheduler.step % MENDED_EVERY == 0:
                self._mend()
            return
        risks, dice = self.scheduler.risks, self.rng.random()
        if dice < risks.asking:
            self._ask_for_something()
        elif (dice := dice - risks.asking) < risks.obstructing:
            self._obstruct()
        elif (dice := dice - risks.obstructing) < risks.parking:
            self._leave_alone()
        elif dice - risks.parking < risks.recreating and self.may_recreate:
            self._recreate()

    def _ask_for_something(self) -> None:
        ask = self.rng.choice((Ask.SNAPSHOT, Ask.SNAPSHOT, Ask.REREAD, Ask.REREAD, Ask.PAUSE, Ask.RESUME))
        if ask is Ask.REREAD:
            # Only a soft_delete table has a statement of its own for rows that are gone.
            self._ask_for_keys(self.rng.choice([*self.tables, *self.soft, *self.soft, *self.soft]).table)
        else:
            self._ask(self.rng.choice(self.tables).table, ask, resync=ask is Ask.SNAPSHOT and self.rng.random() < 0.5)

    def _ask(self, table: TableId, ask: Ask, *, resync: bool = False) -> None:
        self._send(Signal("simulated", ask, table, resync=resync))
        if ask is Ask.PAUSE:
            self._readings_paused.add(table)
        else:
            self._readings_paused.discard(table)

    def _ask_for_keys(self, table: TableId) -> None:
        keys = self.rng.sample(range(KEYS), self.rng.choice((1, 2, 4)))
        form = TableSchema(table, (Column("id", Kind.INT, nullable=False),), ("id",)).key_form
        topic = self.broker.topic(self.topics.rows(table))
        self.wanted.append(Wanted(topic.name, topic.topic_id, topic.partitions[0].end, frozenset(keys)))
        named = (encode_key(("id",), {"id": key}) for key in keys)
        self._send(Signal("simulated", Ask.REREAD, table, keys=tuple(key for key in named if key is not None), key_form=form))

    def _send(self, signal: Signal) -> None:
        self.scheduler.note(f"somebody asks: {signal}")
        self.broker.append(self.topics.signals, None, signal.encode())

    def _obstruct(self) -> None:
        """A column of somebody's own in a target; or away it is again."""
        table = self.rng.choice(self.keyed).table
        self._meddle(self.topics.rows(table))
        self.scheduler.note(f"somebody meddles with the target of {table}")
        self.database.obstructed ^= {f"{table.database}.{table.name}"}

    def _leave_alone(self) -> None:
        table = self.rng.choice(self.keyed)
        self._order("pause", table, partial(self._park, table))

    def _recreate(self) -> None:
        topic = self.topics.rows(self.rng.choice(self.keyed).table)
        undecided = {transaction.serial for transaction in self.broker.transactions.values()}
        # Markers that are on their way would never show what became of the records of the old topic.
        if topic not in self.recreated and self.broker.partition(topic).open.keys() <= undecided:
            self.scheduler.note(f"somebody deletes {topic} and makes it again")
            self._meddle(topic)
            self.recreated.add(topic)
            self.broker.delete(topic)
            self.broker.create(topic)
            self.group.offsets.pop((topic, PARTITION), None)

    def _meddle(self, topic: str) -> None:
        self._meddled = True
        self.audit.following[topic].may_park = True

    # -- what they do about it

    def halted_rightly(self, error: BaseException) -> bool:
        """Whether a loader has ended for what somebody has done, and says so; then that is mended."""
        topic = str(error.fields.get("topic", "")) if isinstance(error, PipelineError) else ""
        if not isinstance(error, Gone | Corrupt) or topic not in self.recreated:
            return False
        table = next(table for table in self.keyed if self.topics.rows(table.table) == topic)
        held = next((row for row in self.database.offsets(table.shard) if row.topic == topic), None)
        elsewhere = held is not None and held.topic_id != self.broker.topic(topic).topic_id
        if elsewhere and error.fields.get("fault") != "topic_recreated":
            return False
        self._order("adopt-topic", table, partial(self._adopt, table))
        return True

    def _order(self, what: str, table: SourceTable, order: Order) -> None:
        topic = self.topics.rows(table.table)
        if not any((known, of) == (what, topic) for known, of, _ in self.orders):
            self._meddle(topic)
            self.scheduler.note(f"somebody wants {what} of {topic}")
            self.orders.append((what, topic, order))

    def operate(self, actor: Actor, warehouse: FakeWarehouse) -> None:
        """The commands that people type, one after the other; again when they did not work."""
        while True:
            actor.wait("operator.order", lambda: bool(self.orders), FOREVER)
            if self.orders:
                first = self.orders[0]
                try:
                    first[2](actor, warehouse)
                except (Unavailable, OutcomeUnknown, Fenced) as error:
                    self.scheduler.note(f"{actor.name:10s} again: {error.message}")
                    continue
                except Refused as error:
                    self.scheduler.note(f"{actor.name:10s} is refused: {error.message}")
                self.orders.remove(first)

    def _park(self, table: SourceTable, actor: Actor, warehouse: FakeWarehouse) -> None:
        """`loader pause`."""
        topic = self.topics.rows(table.table)

        def propose(state: ShardState) -> Adoption:
            held = state.offsets.get(topic)
            if held is None or held.state is TableState.PARKED:
                raise Refused(f"{topic}: nothing to pause")
            return Adoption(((held, paused(held, state.fence.commit_ts_us)),), state.fence.progress_offset, barriers_lost=False)

        propose(warehouse.read_state(table.shard))
        adopt(warehouse, table.shard, "pause", propose, actor)

    def _adopt(self, table: SourceTable, actor: Actor, warehouse: FakeWarehouse) -> None:
        """`streamer snapshot --resync`, then `loader adopt-topic --yes`."""
        topic = self.topics.rows(table.table)
        log = FakeShardLog(self.broker, actor, self.topics.progress, table.shard)
        named = f"{table.table.database}.{table.table.name}"
        unloaded = TopicOffset(topic, PARTITION, "", 0, 0, TableState.OK, 0, str(table.table), named)

        def propose(state: ShardState) -> Adoption:
            return proposed(state, {topic: state.offsets.get(topic) or unloaded}, self.topics.progress, log, lambda _: True)

        self._resync(table)
        if propose(warehouse.read_state(table.shard)).moves:
            adopt(warehouse, table.shard, "adopt-topic", propose, actor)

    def _mend(self) -> None:
        """What keeps everything from coming to rest."""
        if self.database.obstructed and self.rng.random() < 0.2:  # not at once: a table may be emptied before it fits
            self.database.obstructed.discard(min(self.database.obstructed))
        if self._readings_paused:
            self._ask(min(self._readings_paused), Ask.RESUME)
        for table in self.keyed:
            if self._is_parked(table):
                self._resync(table)

    def _resync(self, table: SourceTable) -> None:
        """Unless one is on its way."""
        topic = self.topics.rows(table.table)
        position, offset = self.audit.stream.position(), self._held(table)
        asked = self._resynced.get(topic)
        unheard = asked is not None and position is not None and asked >= position.next_signal
        topic_id, first = self.broker.topic(topic).topic_id, offset.next_seq if offset else 0
        on_its_way = any(r.op == "t" and r.seq >= first and r.topic_id == topic_id for r in self.audit.stream.rows(topic))
        if not unheard and not on_its_way:
            self._resynced[topic] = self.broker.partition(self.topics.signals).end
            self._ask(table.table, Ask.SNAPSHOT, resync=True)

    def _held(self, table: SourceTable) -> TopicOffset | None:
        return next((row for row in self.database.offsets(table.shard) if row.topic == self.topics.rows(table.table)), None)

    def _is_parked(self, table: SourceTable) -> bool:
        held = self._held(table)
        return held is not None and held.state is TableState.PARKED

    @property
    def content(self) -> bool:
        """Whether nobody will want anything any more."""
        if self._readings_paused or self.orders:
            return False
        if not self._meddled:
            return True
        position = self.audit.stream.position()
        if self.database.obstructed or position is None:
            return False
        for table in self.keyed:
            held, seq = self._held(table), position.next_seqs.get(self.topics.rows(table.table), 0)
            if (held.next_seq if held else 0) != seq or (held is not None and held.state is TableState.PARKED):
                return False
        return True
