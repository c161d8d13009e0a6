"""Whether a run put on Kafka what was written: every row once, in order, committed."""

import time
from collections.abc import Iterator

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from benchmarks.failure import Wrong

_SILENCE_S = 30.0


def check(bootstrap_servers: str, topic: str, rows: int) -> None:
    """Reads a topic to its end as a loader does. Raises Wrong unless it holds `rows` whole records whose seqs count from 0 without a
    gap."""
    seq = -1
    for value in committed(bootstrap_servers, topic):
        source = orjson.loads(value)["source"]
        if source["seq"] != seq + 1:
            raise Wrong(f"topic {topic}: seq {source['seq']} follows seq {seq}")
        seq += 1
        if "oversize" in source:
            raise Wrong(f"topic {topic}: the row of seq {seq} was too large, {source['oversize']:,} bytes, and went without its values")
    if seq + 1 != rows:
        raise Wrong(f"topic {topic} holds {seq + 1:,} records, and {rows:,} rows were changed")


def committed(bootstrap_servers: str, topic: str) -> Iterator[bytes]:
    """The value of every committed record of a topic's only partition, to the end it has when it is reached."""
    return (message.value() or b"" for message in committed_messages(bootstrap_servers, topic))


def committed_messages(bootstrap_servers: str, topic: str) -> Iterator[Message]:
    """The same as messages."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "tidemark-bench",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.message.max.bytes": 1 << 20,
            "fetch.max.bytes": 64 << 20,
            "queued.max.messages.kbytes": 128 << 10,
            "fetch.queue.backoff.ms": 2,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        heard_s = time.monotonic()
        while True:
            messages = consumer.consume(500, 0.2)  # waits until it has all 500, or that long
            if messages:
                heard_s = time.monotonic()
            elif time.monotonic() > heard_s + _SILENCE_S:
                raise Wrong(f"topic {topic}: nothing came for {_SILENCE_S:.0f} s, and its end was not reached")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
