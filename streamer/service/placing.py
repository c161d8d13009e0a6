"""Rows that were read of a table, put into the open Kafka transaction as records of its topic."""

from datetime import datetime

from streamer.core.closing import CloseReason
from streamer.core.decoder import Records
from streamer.core.definition import Definition
from streamer.core.route import Choices, Route
from streamer.core.selected import SelectedRowsFactory
from streamer.core.translate import Origin, gone_records
from streamer.ports import TableRows
from streamer.service.reading import Reading
from streamer.service.rereading import Chunk
from streamer.service.routes import Routes
from streamer.service.transaction import KafkaTransaction


class Placing:
    """Makes room for rows, makes records of them under the topic's next seqs, and sends these."""

    def __init__(
        self,
        choices: Choices,
        stream: Reading,
        transaction: KafkaTransaction,
        routes: Routes,
        selected: SelectedRowsFactory,
        rows_max: int,
        message_bytes_max: int,
    ) -> None:
        """`rows_max`: with which a Kafka transaction is full. `message_bytes_max`: as of DecoderFactory."""
        self._choices = choices
        self._stream = stream
        self._transaction = transaction
        self._routes = routes
        self._selected = selected
        self._rows_max = rows_max
        self._message_bytes_max = message_bytes_max

    def make_room(self, definition: Definition, rows: int, now: datetime) -> Route:
        """Where the rows of this table go, of which at most so many come in this Kafka transaction, or the next if it is full."""
        if self._transaction.rows and self._transaction.rows + rows > self._rows_max:
            self._transaction.close(CloseReason.ROWS, now)
        return self._routes.use(definition.schema)

    def encoded(self, chunk: Chunk, rows: TableRows, definition: Definition, way: Route, now: datetime) -> Records:
        """Those rows of which the stream has nothing newer."""
        selected = self._selected(definition, way, self._message_bytes_max)
        first, now_ms = self._transaction.open.next_seq(chunk.topic), int(now.timestamp() * 1000)
        return selected.encode(rows.packets, chunk.struck, self._origin(rows), first, now_ms, 0, rows.packets.rows)[0]

    def gone(self, keys: list[bytes], rows: TableRows, way: Route, now: datetime) -> Records:
        """The end of the rows with these keys, which are not among those that were read."""
        first, now_ms = self._transaction.open.next_seq(way.topic), int(now.timestamp() * 1000)
        return gone_records(keys, way, self._origin(rows), first_seq=first, now_ms=now_ms)

    def send(self, records: Records, way: Route) -> None:
        if records.records:
            self._transaction.send_read(records, way.shard)
            self._stream.decoder.forget(way.topic)

    def _origin(self, rows: TableRows) -> Origin:
        high, read_us = rows.high, rows.read_us
        return Origin(self._choices.topics.prefix, 0, "", high.file, high.offset, read_us // 1000, read_us)
