"""Chunks of rows that were read → the open Kafka transaction, once the stream has passed the place they were read at."""

from dataclasses import replace
from datetime import datetime

import structlog

from contracts.progress import TableState
from streamer.ports import Clock, TableRows
from streamer.service.emptying import Emptying
from streamer.service.placing import Placing
from streamer.service.reading import Reading
from streamer.service.readings import TableReadings
from streamer.service.rereading import Chunk, KeyRange, Rereading, Sent
from streamer.service.transaction import KafkaTransaction

log = structlog.get_logger()


class Sending:
    """Sends chunks, one at a time, and moves the reading they are of."""

    def __init__(
        self,
        clock: Clock,
        stream: Reading,
        transaction: KafkaTransaction,
        rereading: Rereading,
        readings: TableReadings,
        placing: Placing,
        emptying: Emptying,
    ) -> None:
        self._clock = clock
        self._stream = stream
        self._transaction = transaction
        self._rereading = rereading
        self._readings = readings
        self._placing = placing
        self._emptying = emptying

    @property
    def due(self) -> bool:
        """Whether a chunk may go now."""
        return self._rereading.ready(self._stream.passed)

    def send_due(self, now: datetime) -> bool:
        """Sends one; False when there is none that may go now."""
        found = self._rereading.next(self._stream.passed)
        if found is None:
            return False
        chunk, read = found
        if chunk.keys is not None:
            self._send_keys(chunk, chunk.keys, read, now)
        else:
            self._send_chunk(chunk, read, now)
        return True

    def _send_chunk(self, chunk: Chunk, rows: TableRows, now: datetime) -> None:
        topic, reread = chunk.topic, self._transaction.open.rereads[chunk.topic]
        if rows.definition is None:
            # The stream has passed every DROP that would explain it, and a DROP ends a reading.
            if self._transaction.open.begun(topic) or reread.standing.state is TableState.SNAPSHOTTING:
                self._rereading.failed(topic, f"there is no table {reread.table}, or none that this account may SELECT from", now)
                return
            log.warning("reread.given_up", topic=topic, table=str(reread.table), because="there is no such table")
            self._transaction.open.reread(topic, None)
            return
        self._transaction.open.drop(topic, gone=False)
        began = self._clock.now()
        if reread.where is None:
            self._emptying.renew(rows.definition.schema, now)
        way = self._placing.make_room(rows.definition, rows.packets.rows, now)
        if self._transaction.open.rereads[topic] != reread:
            return  # it begins anew, for its rows are of another schema now
        records = self._placing.encoded(chunk, rows, rows.definition, way, now)
        sent = len(records.records)
        self._placing.send(records, way)
        if rows.last:
            self._transaction.open.reread(topic, None)
            log.info("reread.done", topic=topic, rows=reread.rows + sent)
        else:
            self._transaction.open.reread(topic, replace(reread, after=rows.end, rows=reread.rows + sent, schema=way.schema.fingerprint))
        self._transaction.sent_chunk(Sent(topic, rows.packets.rows, rows.packets.size_bytes, self._clock.now() - began))

    def _send_keys(self, chunk: Chunk, keys: KeyRange, rows: TableRows, now: datetime) -> None:
        """The rows that have the keys; the target loses those of the other keys."""
        topic, signal = chunk.topic, keys.of.signal
        began = self._clock.now()
        fault, definition = rows.fault, rows.definition
        if definition is None:
            fault = "there is no such table"
        elif not fault:
            way = self._placing.make_room(definition, rows.packets.rows + keys.stop - keys.start, now)
            if way.schema.key_form != signal.key_form:
                fault = "its key is another one, or of another type, than that of the keys"
        if fault or definition is None:
            log.warning("reread.given_up", topic=topic, table=str(signal.table), id=signal.id, because=fault)
            self._rereading.spoil(topic)  # more of this signal's keys may be on their way
            self._readings.done(topic, [keys.of.offset])
            return
        self._transaction.open.drop(topic, gone=False)
        records = self._placing.encoded(chunk, rows, definition, way, now)
        present = {record["key"] for record in records.records}
        self._placing.send(records, way)
        gone = [key for key in keys.keys if key not in present and key not in chunk.struck]
        self._placing.send(self._placing.gone(gone, rows, way, now), way)
        keys.of.done = keys.stop
        if keys.stop == len(signal.keys):
            log.info("reread.done", topic=topic, id=signal.id, keys=keys.stop)
            self._readings.done(topic, [keys.of.offset])
        took = self._clock.now() - began
        self._transaction.sent_chunk(Sent(topic, keys.stop - keys.start, rows.packets.size_bytes, took, by_keys=True))
