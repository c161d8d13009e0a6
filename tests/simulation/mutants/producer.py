"""What the streamer does with its producer and its position."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from contracts.errors import OutcomeUnknown
from contracts.progress import Barrier, Position
from streamer.core.closing import ClosePolicy, CloseReason
from streamer.core.progress import OpenTransaction
from streamer.ports import Message, PositionStore
from streamer.service import Streamer
from streamer.service.session import Session
from streamer.service.transaction import KafkaTransaction
from tests.fakes.broker import Broker, latest_by_key
from tests.fakes.faults import Gate
from tests.fakes.kafka_clients import FakePositionStore, FakeSink
from tests.simulation import processes
from tests.simulation.risks import Risks
from tests.simulation.variant import Variant


class KeepingProducer(FakeSink):
    """Goes on with a producer one of whose EndTxns was answered late: its copy ends the next transaction before its time."""

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        self.repeats = 0.2
        super().commit(meanwhile)

    def unsettled(self) -> bool:
        return False


class HopefulProducer(FakeSink):
    """Takes an EndTxn without an answer for a committed one."""

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        try:
            super().commit(meanwhile)
        except OutcomeUnknown:
            self.recycle()
            self.init()


class RenewingProducer(FakeSink):
    """Renews itself and lets its owner go on from memory: whoever took over in between is fenced, and what it published comes again."""

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        super().commit(meanwhile)
        if self.gate.rng.random() < 0.3:
            self.recycle()
            self.init()


class ResendingProducer(FakeSink):
    """Takes an EndTxn without an answer for an aborted one, and sends its transaction again."""

    sent: tuple[Message, ...] = ()

    def begin(self) -> None:
        super().begin()
        self.sent = ()

    def send(self, message: Message) -> None:
        super().send(message)
        self.sent = (*self.sent, message)

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        try:
            super().commit(meanwhile)
        except OutcomeUnknown:
            self.recycle()
            self.init()
            for message in self.sent:
                super().send(message)
            super().commit()


class UnfencedProducer(FakeSink):
    """A transactional id for each process: nobody ends what a predecessor left open, nor keeps it from going on."""

    def __init__(self, broker: Broker, gate: Gate, transactional_id: str) -> None:
        super().__init__(broker, gate, f"{transactional_id}-{gate.rng.getrandbits(32)}")


class TwoTransactions(FakeSink):
    """Sends the records of one topic in a transaction of their own, behind that of the rows."""

    apart = ""
    held: tuple[Message, ...] = ()

    def begin(self) -> None:
        super().begin()
        self.held = ()

    def send(self, message: Message) -> None:
        if message.topic.endswith(self.apart):
            self.held = (*self.held, message)
        else:
            super().send(message)

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        super().commit(meanwhile)
        for message in self.held:
            super().send(message)
        super().commit()


class PositionApart(TwoTransactions):
    apart = ".position"


class BarrierApart(TwoTransactions):
    apart = ".progress"


class Remembered(PositionStore):
    """A PositionStore that gives an old answer once."""

    def __init__(self, held: Position | None, store: PositionStore) -> None:
        self.answers = [lambda: held]
        self.store = store

    def read(self) -> Position | None:
        return self.answers.pop()() if self.answers else self.store.read()


_begin = Streamer._begin


def read_before_init(self: Streamer) -> Session:
    """Reads the position, then fences the predecessor: what that one published in between comes again."""
    ports = self._ports
    self._ports = replace(ports, positions=Remembered(ports.positions.read(), ports.positions))
    try:
        return _begin(self)
    finally:
        self._ports = ports


def read_what_is_stable(self: FakePositionStore) -> Position | None:
    """Reads `position` up to the first open transaction, and takes that for its end."""
    if self.topic not in self.broker.topics:
        return None
    log = self.broker.partition(self.topic)
    self.gate.wait("streamer.read", lambda: True, timedelta())
    return Position.decode({key: value for key, value in latest_by_key(log).items() if value is not None})


_encode = Position.encode


def forget_progress(self: Position) -> bytes:
    """A split transaction is begun again from its first row."""
    return _encode(replace(self, in_progress=None))


_barriers = OpenTransaction._barriers


def partial_where_touched(self: OpenTransaction, position: Position, shards: Collection[int]) -> Iterator[Message]:
    """Only barriers of shards that got rows of the split transaction just now say that it is not over."""
    for message in _barriers(self, position, shards):
        barrier = Barrier.decode(message.value)
        touched = message.partition in self._shards.values()
        yield message if touched else replace(message, value=replace(barrier, partial=False).encode())


def without_regard_to_schemas(self: OpenTransaction, topic: str) -> bool:
    """Rows under a table's new schema go into the Kafka transaction of those under its old one."""
    return False


_close = KafkaTransaction.close


def close_but_for_truncate(self: KafkaTransaction, reason: CloseReason, now: datetime, meanwhile: Callable[[], bool] | None = None) -> None:
    """A TRUNCATE goes among rows."""
    if reason is not CloseReason.TRUNCATE:
        _close(self, reason, now, meanwhile)


CROWDED = Risks(flap=0.08)
"""For what takes two streamers at once: the one that leads loses its turn and does not know it."""

HASTY = Risks(haste=1, statements=0.4)
LONG = (processes, "STREAMER", replace(processes.STREAMER, heartbeat=timedelta(seconds=5), close=ClosePolicy(12, timedelta(seconds=3), 12)))
"""Both for what takes many source transactions in one Kafka transaction."""

MUTANTS: Sequence[Variant] = (
    Variant("producer kept after a late EndTxn", shows=("HALT",), sink=KeepingProducer),
    Variant("producer renewed, position not read again", shows=("HALT",), sink=RenewingProducer, risks=CROWDED, streams=True),
    Variant("unanswered EndTxn taken for committed", shows=("HALT", "TORN"), sink=HopefulProducer),
    Variant("unanswered EndTxn taken for aborted", shows=("HALT",), sink=ResendingProducer),
    Variant("each process its own transactional id", shows=("STUCK", "HALT"), sink=UnfencedProducer),
    Variant("position in a transaction of its own", shows=("HALT",), sink=PositionApart),
    Variant("barrier in a transaction of its own", shows=("TORN",), sink=BarrierApart),
    Variant(
        "position read before the predecessor is fenced",
        shows=("HALT",),
        patches=((Streamer, "_begin", read_before_init),),
        risks=CROWDED,
        streams=True,
    ),
    Variant("position read up to an open transaction", shows=("HALT",), patches=((FakePositionStore, "read", read_what_is_stable),)),
    Variant("split transaction begun again", shows=("I7_ROWS",), patches=((Position, "encode", forget_progress),)),
    Variant(
        "partial only where rows are", shows=("AHEAD", "TORN"), patches=((OpenTransaction, "_barriers", partial_where_touched),), shards=2
    ),
    Variant(
        "two schemas in a Kafka transaction",
        shows=("HALT",),
        patches=((OpenTransaction, "touched", without_regard_to_schemas), LONG),
        risks=HASTY,
        streams=True,
    ),
    Variant(
        "TRUNCATE among rows", shows=("HALT",), patches=((KafkaTransaction, "close", close_but_for_truncate),), risks=HASTY, streams=True
    ),
)
