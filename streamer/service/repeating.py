"""Row events that a signal carries → the open Kafka transaction once more."""

from datetime import datetime

import structlog

from contracts.envelope import with_seq
from contracts.errors import Invalid
from contracts.signals import Signal
from streamer.core.decoder import Record, Records
from streamer.core.definition import Definition
from streamer.core.route import Choices
from streamer.ports import SourceServer
from streamer.service.asking import AskedRows
from streamer.service.placing import Placing
from streamer.service.reading import Reading
from streamer.service.readings import TableReadings
from streamer.service.routes import Routes
from streamer.service.transaction import KafkaTransaction

log = structlog.get_logger()


class Repeating:
    """Sends the row events of one signal at a time. They need no reading, and strike nothing."""

    def __init__(
        self,
        server: SourceServer,
        choices: Choices,
        stream: Reading,
        transaction: KafkaTransaction,
        routes: Routes,
        asked: AskedRows,
        readings: TableReadings,
        placing: Placing,
    ) -> None:
        self._server = server
        self._choices = choices
        self._stream = stream
        self._transaction = transaction
        self._routes = routes
        self._asked = asked
        self._readings = readings
        self._placing = placing

    @property
    def due(self) -> bool:
        """Whether a signal's row events may go now."""
        return self._next() is not None

    def send_due(self, now: datetime) -> bool:
        """Sends those of one signal; False when there are none that may go now."""
        found = self._next()
        if found is None:
            return False
        self._send(*found, now)
        return True

    def _next(self) -> tuple[str, int, Signal] | None:
        """The row events to be sent again next: their topic, the offset of their signal, and the signal. Who loads them has read in a
        barrier before them that they come. None while rows of a transaction are read ahead, or out and the transaction is not."""
        transaction = self._transaction
        if not self._asked.emitting or not self._stream.drained or transaction.source.under_way or transaction.open.in_progress is not None:
            return None
        for topic, asked in transaction.open.asked.items():
            if topic in transaction.position.readings and (found := self._asked.events_of(asked)) is not None:
                return topic, *found
        return None

    def _send(self, topic: str, offset: int, signal: Signal, now: datetime) -> None:
        """Row events once more, as they were; only their seqs are new."""
        definition, fault = self._fit(signal)
        if definition is None or fault:
            log.warning("reread.given_up", topic=topic, table=str(signal.table), id=signal.id, events=len(signal.events), because=fault)
        else:
            way = self._placing.make_room(definition, len(signal.events), now)
            first = self._transaction.open.next_seq(topic)
            records: list[Record] = [
                {"key": event.key, "value": with_seq(event.value, seq)} for seq, event in enumerate(signal.events, start=first)
            ]
            self._placing.send(Records(topic, records, sum(len(event.value) for event in signal.events)), way)
            log.info("reread.done", topic=topic, id=signal.id, events=len(records))
        self._readings.done(topic, [offset])

    def _fit(self, signal: Signal) -> tuple[Definition | None, str]:
        """The table as it is now, and why the row events of a signal can't be loaded as events of it; empty when they can."""
        try:
            definition = self._server.definition(signal.table)
            if definition is None:
                return None, "there is no such table"
            schema = self._routes.of(definition.schema).schema
        except Invalid as error:
            return None, error.message
        if not self._choices.appends(schema):
            return definition, "its target holds rows, not events"
        return definition, "" if schema.fingerprint == signal.schema else "its schema is another one by now than that of the events"
