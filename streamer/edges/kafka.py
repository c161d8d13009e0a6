"""Kafka: the transactional producer; rows, barrier and position in one transaction.

librdkafka speaks the transaction protocol without KIP-890, in which an EndTxn that arrives late can end the *next* transaction. So whatever
makes one doubtful (an error without a clear answer, a retry, a timeout, a new connection to the coordinator) ends in a new producer.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import orjson
from confluent_kafka import KafkaError, KafkaException, Producer

from contracts.errors import Corrupt, OutcomeUnknown, Unavailable
from contracts.topics import Topics
from runtime.connect.kafka import client_config
from runtime.sections import Kafka
from streamer.core.decoder import Record, Records
from streamer.edges.kafkaerrors import FENCED, REFUSED, translated
from streamer.edges.topics import RECORD_OVERHEAD_BYTES
from streamer.ports import Message

_LIBRARY_LOG = logging.getLogger("librdkafka")
_STATS_INTERVAL_MS = 500
_BATCH_BYTES = 4 << 20
_PIECES = 4  # that many are handed over for a batch
_LINGER_MS = 200
# After a commit the coordinator still writes the transaction's markers. A partition added to the next one before that is refused, and
# librdkafka asks again only 20 ms later.
_SETTLING = timedelta(milliseconds=1)
_QUEUE_KBYTES_MAX = 2_097_151  # librdkafka's own limit


def transactional_id(topics: Topics) -> str:
    return f"tidemark-{topics.prefix}"


class KafkaSink:
    """An EnvelopeSink. Its queue holds at most `queue_bytes_max`."""

    def __init__(self, settings: Kafka, topics: Topics, queue_bytes_max: int) -> None:
        self._id = transactional_id(topics)
        self._timeout = timedelta(seconds=settings.transaction_timeout_seconds)
        message_bytes_max = settings.message_bytes_max + RECORD_OVERHEAD_BYTES
        self._batch_bytes = min(_BATCH_BYTES, message_bytes_max)
        self._config = {
            **client_config(settings),
            "transactional.id": self._id,
            "transaction.timeout.ms": int(settings.transaction_timeout_seconds * 1000),
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            # librdkafka has one request of a partition under way, and while one waits behind it that could go, its thread looks again and
            # again: so batches are large, and nothing goes before its batch is full or a commit flushes it.
            "linger.ms": _LINGER_MS,
            "batch.size": self._batch_bytes,
            "batch.num.messages": 100_000,
            "message.max.bytes": message_bytes_max,
            "queue.buffering.max.kbytes": min(max(queue_bytes_max // 1024, 1024), _QUEUE_KBYTES_MAX),
            "queue.buffering.max.messages": 2_000_000,
            "socket.nagle.disable": True,
            "statistics.interval.ms": _STATS_INTERVAL_MS,
            "log_level": 3,
        }
        self._producer: Any = None
        self._worker = ThreadPoolExecutor(1, "commit")
        self._forget()

    def _forget(self) -> None:
        self._doubt = False
        self._settled_at = 0.0
        self._initialised = False
        self._counters: tuple[int, ...] | None = None

    def init(self) -> None:
        if self._producer is None or self._initialised:
            self.recycle()
        try:
            self._producer.init_transactions(self._timeout.total_seconds())
        except KafkaException as exception:
            raise translated(exception, f"the transactional producer {self._id} could not start") from exception
        self._producer.poll(0)
        # What happened while the coordinator was being found is no sign of doubt.
        self._doubt = False
        self._counters = None
        self._initialised = True

    def begin(self) -> None:
        if (left := self._settled_at - time.monotonic()) > 0:
            time.sleep(left)
        try:
            self._producer.begin_transaction()
        except KafkaException as exception:
            raise translated(exception, "a Kafka transaction could not begin") from exception

    def send(self, message: Message) -> None:
        deadline = time.monotonic() + self._timeout.total_seconds()
        while True:
            try:
                self._producer.produce(message.topic, message.value, message.key, message.partition)
                break
            except BufferError:
                self._producer.poll(0.05)
                if time.monotonic() > deadline:
                    raise Unavailable(f"Kafka took nothing for {self._timeout.total_seconds():.0f} s while the queue was full") from None
            except KafkaException as exception:
                if exception.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise self._too_large(message.topic) from exception
                raise translated(exception, f"a record of {message.topic} could not be queued") from exception

    def send_rows(self, rows: Records) -> None:
        records = rows.records
        # Never two batches of them in the queue: the second would make librdkafka's thread turn until the first is answered.
        piece = max(1, self._batch_bytes * len(records) // (_PIECES * max(rows.size_bytes, 1)))
        before = len(self._producer)
        deadline = time.monotonic() + self._timeout.total_seconds()
        for start in range(0, len(records), piece):
            while len(self._producer) - before > (2 * _PIECES - 2) * piece and time.monotonic() < deadline:
                self._producer.poll(0.05)
            self._queue(rows.topic, list(records[start : start + piece]), deadline)
        self._producer.poll(0)

    def _queue(self, topic: str, left: list[Record], deadline: float) -> None:
        while self._producer.produce_batch(topic, left, 0) < len(left):
            # Its first failure is the first record not queued: those behind it were not, either, or the order would be lost.
            left = self._unqueued(topic, left)
            self._producer.poll(0.05)
            if time.monotonic() > deadline:
                raise Unavailable(f"Kafka took nothing for {self._timeout.total_seconds():.0f} s while the queue was full")

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        if meanwhile is None:
            self._commit()
            return
        committing = self._worker.submit(self._commit)
        try:
            while not committing.done() and meanwhile():
                pass
        finally:
            committing.result()

    def _commit(self) -> None:
        deadline = time.monotonic() + self._timeout.total_seconds()
        while True:
            left = max(deadline - time.monotonic(), 0.1)
            try:
                self._producer.commit_transaction(left)
                break
            except KafkaException as exception:
                self._doubt = True
                error = exception.args[0]
                if error.retriable() and time.monotonic() < deadline:
                    continue  # the same commit, to a definite result
                # A record that could not be delivered fails the commit before it is asked for.
                if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise self._too_large("a topic of this pipeline") from exception
                if error.code() in FENCED or error.code() in REFUSED:
                    raise translated(exception, "the Kafka transaction was not committed") from exception
                raise OutcomeUnknown(f"whether Kafka committed the transaction is not known: {error.str()}") from exception
        self._producer.poll(0)
        self._settled_at = time.monotonic() + _SETTLING.total_seconds()

    def abort(self) -> None:
        if self._producer is None:
            return
        try:
            self._producer.abort_transaction(5)  # drops what is queued, too
        except (KafkaException, BufferError):
            self._doubt = True  # the next init aborts it

    def recycle(self) -> None:
        self.close()
        self._forget()
        self._producer = Producer(
            {
                **self._config,
                "stats_cb": self._on_stats,
                "error_cb": self._on_error,
                "logger": _LIBRARY_LOG,  # its lines go where ours go, as poll serves them
            }
        )

    def unsettled(self) -> bool:
        self._producer.poll(0)
        return self._doubt

    def close(self) -> None:
        """Drops what is queued. An open transaction is left to the next init: sending an abort now could meet an unanswered commit."""
        if self._producer is None:
            return
        self._producer.purge(blocking=False)
        self._producer = None

    def _unqueued(self, topic: str, records: list[Record]) -> list[Record]:
        """The records of a batch that wait for room, without the marks of the failure. Raises what else kept one from being queued."""
        first = next(place for place, record in enumerate(records) if "_error" in record)
        for record in records[first:]:
            error: Any = record.pop("_error", None)  # type: ignore[attr-defined]  # a dict, as produce_batch wants it
            if error is None:
                raise Unavailable(f"Kafka's client queued a record of {topic} behind one it refused; the order would be lost")
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise self._too_large(topic)
            if error.code() != KafkaError._QUEUE_FULL:
                raise translated(KafkaException(error), f"a record of {topic} could not be queued")
        return records[first:]

    def _too_large(self, topic: str) -> Corrupt:
        return Corrupt(
            f"a record of {topic} is larger than Kafka takes; make max.message.bytes of the topic at least kafka.message_bytes_max "
            f"+ {RECORD_OVERHEAD_BYTES} bytes"
        )

    def _on_error(self, _error: KafkaError) -> None:
        # Lost connections and timed-out requests arrive here before a commit that met them returns; the statistics come later.
        self._doubt = True

    def _on_stats(self, text: str) -> None:
        if not self._initialised:
            return
        counters = coordinator_counters(text)
        if self._counters is not None and counters != self._counters:
            self._doubt = True
        self._counters = counters


def coordinator_counters(statistics: str) -> tuple[int, ...]:
    """What moves only when something went amiss with the transaction coordinator: connects, retries, timeouts.
    Source: librdkafka, STATISTICS.md; the coordinator is the logical broker "TxnCoordinator"."""
    broker = orjson.loads(statistics).get("brokers", {}).get("TxnCoordinator", {})
    return tuple(int(broker.get(name, 0)) for name in ("connects", "disconnects", "txretries", "req_timeouts"))
