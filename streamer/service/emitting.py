"""Row events of append tables, read from the binlog once more and handed to the running streamer while they are read."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import structlog

from contracts.envelope import Envelope
from contracts.position import GtidSet
from contracts.signals import Ask, Signal
from contracts.table import TableId
from streamer.core.decoder import Decoder
from streamer.core.emission import Emission, Emissions
from streamer.core.names import spelling
from streamer.core.route import Choices
from streamer.core.window import WindowScan
from streamer.ports import SignalOutbox
from streamer.service.backfill import Source, dump, told

log = structlog.get_logger()


def emissions(
    ports: Source,
    choices: Choices,
    tables: Collection[TableId],
    window: tuple[GtidSet, GtidSet],
    decoder: Decoder,
    stopped: Callable[[], bool],
) -> Iterator[Emission]:
    """The row events between two states of the server, read as they are taken. `tables`: of which append tables. Ends early when
    `stopped`. Raises as `collect` does."""
    first, last = window
    found = Emissions(tables)
    # All that is captured, so that a row has the number in its transaction that it had.
    spell = spelling(ports.server.status().variables)
    scan = WindowScan(choices, choices.captures, last.minus(first), decoder, _no_keys, again=True, events=found, spell=spell)
    if not scan.left:
        return
    for block in dump(ports, first):
        decoder.feed(block, ports.clock.now())
        for step in scan.steps():
            scan.take(step)
            yield from found.due()
        if stopped():
            return
        if not scan.left:
            break
    ports.binlog.close()
    yield from found.rest()


def _no_keys(topic: str, keys: Sequence[bytes]) -> None:
    """Of tables that are not appended; nothing is done about them here."""


class Emitting:
    """A SignalOutbox that remembers up to where the row events went through it. `before_us`: those of every transaction up to the first one
    committed at that moment or later were sent; of those behind, `beyond` events, the last of them of transaction `gtid`."""

    def __init__(self, outbox: SignalOutbox, since_us: int) -> None:
        self._outbox = outbox
        self._offered: dict[str, Emission] = {}
        self.before_us = since_us
        self.beyond = 0
        self.gtid = ""
        self.sent = 0

    def signals(self, found: Iterable[Emission], name: Callable[[], str]) -> Iterator[Signal]:
        """To be sent here, one after the other. `name`: a new id for each."""
        for emission in found:
            signal = Signal(name(), Ask.EMIT, emission.table, events=emission.events, schema=emission.schema)
            self._offered[signal.id] = emission
            yield signal

    def send(self, signal: Signal) -> int:
        offset = self._outbox.send(signal)
        if (emission := self._offered.pop(signal.id, None)) is not None:
            self._count(emission)
            log.info(
                "backfill.emitted",
                id=signal.id,
                table=str(signal.table),
                events=len(signal.events),
                before=told(self.before_us),
                beyond=self.beyond,
            )
        return offset

    def _count(self, emission: Emission) -> None:
        self.sent += len(emission.events)
        if emission.before_us is not None:
            self.before_us, self.beyond, self.gtid = emission.before_us, 0, ""
        else:
            self.beyond += len(emission.events)
            self.gtid = Envelope.decode(emission.events[-1].value).source.gtid

    def __str__(self) -> str:
        """What was sent, and where to go on."""
        at = told(self.before_us)
        text = f"{self.sent:,} events were sent, with them all that were committed before {at}; --from-timestamp '{at}' goes on"
        if self.beyond:
            text += f", and sends again {self.beyond:,} that were sent of what came then, the last of them of {self.gtid}"
        if self._offered:
            ids = ", ".join(self._offered)
            text += f". Whether Kafka took one more request is not known: does the streamer's log hold signal.heard with id {ids}?"
        return text
