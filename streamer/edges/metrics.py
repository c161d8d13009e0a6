"""What the streamer shows Prometheus."""

import time
from math import inf, nan

from prometheus_client import Counter, Gauge

from runtime.metrics import REGISTRY
from streamer.ports import Tally

_ROWS = Counter("tidemark_streamer_rows_total", "Row changes committed to Kafka", registry=REGISTRY)
_BYTES = Counter("tidemark_streamer_bytes_total", "Bytes of records committed to Kafka, uncompressed", registry=REGISTRY)
_SOURCE = Counter("tidemark_streamer_source_transactions_total", "MySQL transactions passed, captured or not", registry=REGISTRY)
_KAFKA = Counter("tidemark_streamer_kafka_transactions_total", "Kafka transactions committed", registry=REGISTRY)
_LAG = Gauge(
    "tidemark_streamer_lag_seconds",
    "Age of the newest commit time on Kafka, at this moment; the server's clock counts while it is idle. NaN while another leads",
    registry=REGISTRY,
)
_BEHIND = Gauge(
    "tidemark_streamer_behind_transactions", "Transactions executed at the source and not on Kafka, when last asked", registry=REGISTRY
)
_REREADS = Gauge("tidemark_streamer_tables_reading", "Tables whose rows are being read by SELECT", registry=REGISTRY)
_HEADROOM = Gauge(
    "tidemark_streamer_binlog_headroom_seconds",
    "Until the server may purge binlogs that were not streamed yet; infinite when it purges none by itself",
    registry=REGISTRY,
)


def observe(tally: Tally) -> None:
    """Counts what a Kafka transaction brought."""
    _ROWS.inc(tally.rows)
    _BYTES.inc(tally.size_bytes)
    _SOURCE.inc(tally.source_transactions)
    _KAFKA.inc(tally.kafka_transactions)
    _BEHIND.set(tally.behind)
    _REREADS.set(tally.rereads)
    kept_until = inf if tally.purged_at_us is None else tally.purged_at_us / 1e6
    _HEADROOM.set_function(lambda: max(0.0, kept_until - time.time()))  # it falls while the stream stands still
    if newest_us := tally.newest_commit_us:
        _LAG.set_function(lambda: max(0.0, time.time() - newest_us / 1e6))  # and this grows


def stand_by() -> None:
    """Another streamer leads, or this one has not committed yet: what it doesn't know is NaN, for 0 would be said to be no lag at all,
    and no time left."""
    _BEHIND.set(nan)
    _REREADS.set(0)
    for gauge in (_LAG, _HEADROOM):
        gauge.set_function(lambda: nan)  # a value that is set would not be seen behind a function


stand_by()
