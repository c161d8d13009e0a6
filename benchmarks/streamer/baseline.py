"""The baseline: what the usual Python libraries give when nothing is written in another language.

mysql-replication decodes every column, orjson writes the same envelope, confluent-kafka sends it: idempotent, acks=all, lz4. It makes no
transactions, keeps no position and checks no schema, all of which is to its advantage; and it stops after `--rows`, in the middle of
the workload. Clock and CPU start when the first event has come and stop when Kafka has acknowledged the last row.

`TIDEMARK_CONFIG=… python -m benchmarks.streamer.baseline --rows 60000 --result FILE`. The topics have to be there.
"""

import argparse
import os
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import KafkaError, Producer
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.constants import FIELD_TYPE
from pymysqlreplication.event import GtidEvent
from pymysqlreplication.row_event import DeleteRowsEvent, RowsEvent, UpdateRowsEvent, WriteRowsEvent

from benchmarks import machine
from benchmarks.streamer.measured import Measured
from benchmarks.window import Moment, Window
from contracts.table import TableId
from runtime.connect.kafka import client_config
from runtime.settings import Settings, load

FINGERPRINT = "0123456789abcdef"  # stands in the place of the table's schema, as in ours
_POLL_EVERY = 500  # messages, as ours


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streamer.baseline", description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--servers", type=machine.parse_pids, default={}, metavar="NAME=PID,…")
    arguments = parser.parse_args()
    settings = load(None, os.environ, uses={"mysql", "kafka"})
    stream(settings, arguments.rows, arguments.servers).write(arguments.result)
    return 0


def stream(settings: Settings, rows: int, servers: Mapping[str, int]) -> Measured:
    """The first `rows` row changes of the binlog, on Kafka."""
    failed: list[KafkaError] = []
    producer = _producer(settings, lambda error, _message: failed.append(error))
    topics: dict[tuple[str, str], str] = {}
    seqs: dict[str, int] = {}
    gtid, ev, sent = "", 0, 0
    start: Moment | None = None
    startup_s = 0.0
    for event in _events(settings):
        if start is None:
            start = Moment.now(servers)
            startup_s = machine.age_s()
        if isinstance(event, GtidEvent):
            gtid, ev = event.gtid, 0
            continue
        assert isinstance(event, RowsEvent)
        table = (event.schema, event.table)
        topic = topics.setdefault(table, settings.topics.rows(TableId(*table)))
        json_columns = [column.name for column in event.columns if column.type == FIELD_TYPE.JSON]
        now_ms = int(time.time() * 1000)
        for row in event.rows:
            op, before, after = _change(event, row, json_columns)
            seq = seqs[topic] = seqs.get(topic, -1) + 1
            source = {
                "version": "tidemark-1",
                "connector": "mysql",
                "name": settings.pipeline,
                "ts_ms": event.timestamp * 1000,
                "snapshot": "false",
                "db": event.schema,
                "table": event.table,
                "server_id": event.packet.server_id,
                "gtid": gtid,
                "file": "binlog.000001",
                "pos": event.packet.log_pos,
                "row": ev,
                "seq": seq,
                "ev": ev,
                "commit_ts_us": event.timestamp * 1_000_000,
                "schema": FINGERPRINT,
            }
            value = orjson.dumps({"before": before, "after": after, "source": source, "op": op, "ts_ms": now_ms}, default=_plain)
            key = orjson.dumps({"id": (after or before)["id"]})
            _send(producer, topic, key, value)
            ev += 1
            sent += 1
            if sent % _POLL_EVERY == 0:
                producer.poll(0)
            if sent == rows:
                break
        if sent == rows:
            break
    left = producer.flush(60)
    assert start is not None
    window = Window.between(start, Moment.now(servers))
    if left or failed or sent != rows:
        raise SystemExit(f"the baseline sent {sent} of {rows} rows; {left} unacknowledged, {len(failed)} failed: {failed[:1]}")
    return Measured(rows, startup_s, window, machine.peak_rss_bytes(), 0)


def _events(settings: Settings) -> Any:
    connection = {
        "host": settings.mysql.host,
        "port": settings.mysql.port,
        "user": settings.mysql.user,
        "passwd": settings.mysql.password.get_secret_value(),
        "charset": "utf8mb4",
    }
    return BinLogStreamReader(
        connection_settings=connection,
        server_id=settings.server_id("baseline"),
        log_file="binlog.000001",
        log_pos=4,
        resume_stream=True,
        blocking=True,
        only_events=[GtidEvent, WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
        enable_logging=False,
    )


def _producer(settings: Settings, on_delivery: Callable[[KafkaError, Any], None]) -> Any:
    producer = Producer(
        {
            **client_config(settings.kafka),
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 2_000_000,
            "delivery.report.only.error": True,
            "on_delivery": on_delivery,
        }
    )
    producer.list_topics(timeout=10)  # connected before the clock starts
    return producer


def _send(producer: Any, topic: str, key: bytes, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value, key, 0)
            return
        except BufferError:
            producer.poll(0.05)


def _change(event: RowsEvent, row: Mapping[str, Any], json_columns: list[str]) -> tuple[str, Any, Any]:
    """Op, before and after."""
    if isinstance(event, WriteRowsEvent):
        return "c", None, _texts(row["values"], json_columns)
    if isinstance(event, DeleteRowsEvent):
        return "d", _texts(row["values"], json_columns), None
    return "u", _texts(row["before_values"], json_columns), _texts(row["after_values"], json_columns)


def _texts(values: dict[str, Any], json_columns: list[str]) -> dict[str, Any]:
    """JSON columns as their text, as the envelope has them."""
    for name in json_columns:
        if values[name] is not None:
            values[name] = orjson.dumps(_decoded(values[name]), default=_plain).decode()
    return values


def _decoded(value: Any) -> Any:
    """The library leaves the strings of a JSON document as bytes, keys too."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {name.decode() if isinstance(name, bytes) else name: _decoded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """What orjson does not write by itself; dates and times it does, as ISO texts."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, set):
        return ",".join(value)
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    raise TypeError(f"no JSON for {type(value).__name__}")


if __name__ == "__main__":
    sys.exit(main())
