"""The topic `signals`, read from wherever the position says."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from contracts.errors import Unavailable
from contracts.signals import Signal
from contracts.topics import Topics
from runtime.connect.kafka import client_config
from runtime.sections import Kafka
from streamer.edges.kafkaerrors import REFUSED, translated
from streamer.edges.topics import RECORD_OVERHEAD_BYTES

_log = structlog.get_logger()

_BATCH = 16  # some hold thousands of keys
_PATIENCE = timedelta(seconds=20)


class KafkaSignals:
    """A SignalLog. The topic must be there."""

    def __init__(self, settings: Kafka, topics: Topics) -> None:
        self._settings = settings
        self._topics = topics
        self._consumer: Any = None
        self._next = 0
        self._refusal = ""  # what Kafka said last, until it gives records again

    def hear(self, offset: int) -> Sequence[tuple[int, bytes]]:
        try:
            if self._consumer is None or offset != self._next:
                self._assign(offset)
            found = self._consumer.consume(_BATCH, 0)
        except KafkaException as exception:
            raise translated(exception, f"{self._topics.signals} could not be read") from exception
        heard: list[tuple[int, bytes]] = []
        for message in found:
            if (error := message.error()) is not None:
                # A broker that is away for now, or a topic that is only just there; what is asked is heard later. The stream goes on.
                if error.fatal():
                    raise Unavailable(f"{self._topics.signals} could not be read: {error.str()}")
                self._told(error)
                continue
            heard.append((message.offset(), message.value() or b""))
        if heard:
            self._next, self._refusal = heard[-1][0] + 1, ""
        return heard

    def _told(self, error: KafkaError) -> None:
        if error.name() != self._refusal:
            self._refusal = error.name()
            advice = REFUSED.get(error.code(), "")
            _log.warning("signals.unheard", topic=self._topics.signals, error=error.str(), code=error.name(), advice=advice)

    def _assign(self, offset: int) -> None:
        if self._consumer is None:
            self._consumer = Consumer(
                {
                    **client_config(self._settings),
                    "group.id": f"tidemark-{self._topics.prefix}-signals",  # librdkafka wants one; nothing is committed to it
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",  # what expired unheard is lost to people, not to rows
                    "isolation.level": "read_committed",
                    "log_level": 3,
                }
            )
        self._consumer.assign([TopicPartition(self._topics.signals, 0, offset)])
        self._next = offset

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


class KafkaOutbox:
    """A SignalOutbox. The topic must be there."""

    def __init__(self, settings: Kafka, topics: Topics) -> None:
        self._topic = topics.signals
        message_bytes_max = settings.message_bytes_max + RECORD_OVERHEAD_BYTES  # as the topic is made
        self._producer = Producer(
            {
                **client_config(settings),
                "acks": "all",
                "enable.idempotence": True,
                "message.max.bytes": message_bytes_max,
                "log_level": 3,
            }
        )

    def send(self, signal: Signal) -> int:
        told: list[tuple[KafkaError | None, int]] = []
        self._producer.produce(
            self._topic, signal.encode(), partition=0, on_delivery=lambda error, record: told.append((error, record.offset() or 0))
        )
        self._producer.flush(_PATIENCE.total_seconds())
        error, offset = told[0] if told else (None, -1)
        if error is not None or not told:
            raise Unavailable(f"Kafka did not take the request into {self._topic}: {error.str() if error else 'no answer'}")
        return offset
