"""What a topic says of dates that are none: the warehouse holds NULL for them, and Kafka keeps MySQL's own text."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, TopicPartition


def raw_texts(bootstrap_servers: str, topic: str, key: str) -> Mapping[int, Mapping[str, str]]:
    """`source.raw` of each row's last event, by the row's key."""
    return {value["after"][key]: value["source"].get("raw", {}) for value in _envelopes(bootstrap_servers, topic)}


def _envelopes(bootstrap_servers: str, topic: str) -> Iterator[Any]:
    settings = {"group.id": "unused", "isolation.level": "read_committed", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, **settings})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        while True:
            message = consumer.poll(10)
            assert message is not None, f"{topic} could not be read"
            error, value = message.error(), message.value()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                return
            assert isinstance(value, bytes)
            yield orjson.loads(value)
    finally:
        consumer.close()
