"""What a shard's loader says of itself: its metrics, and the log lines of a commit."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import inf, nan

import structlog
from prometheus_client import Counter, Gauge, Histogram

from contracts.ledger import TopicOffset
from contracts.progress import TableState
from loader.committer import Spent
from loader.core.cut import Cut
from loader.core.plan import CommitPlan
from loader.ports import Clock
from runtime.metrics import REGISTRY

ROWS = Counter("tidemark_loader_rows_total", "Row changes committed.", ["topic"], registry=REGISTRY)
QUARANTINED = Counter("tidemark_loader_quarantined_total", "Values and rows that went to quarantine.", ["topic"], registry=REGISTRY)
BATCHES = Counter("tidemark_loader_batches_total", "Tables' parts of commits.", ["topic"], registry=REGISTRY)
COMMITS = Counter("tidemark_loader_commits_total", "Commits of a shard, also without rows.", ["shard", "reason"], registry=REGISTRY)
COMMIT_SECONDS = Histogram(
    "tidemark_loader_commit_seconds",
    "From cut to committed.",
    ["shard"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250),
    registry=REGISTRY,
)
LAG_SECONDS = Gauge("tidemark_loader_lag_seconds", "Age of the watermark: how far the warehouse is behind.", ["shard"], registry=REGISTRY)
HEADROOM_SECONDS = Gauge(
    "tidemark_loader_kafka_headroom_seconds",
    "At least as long until Kafka's retention takes what was not loaded yet; infinite when it keeps all.",
    ["shard"],
    registry=REGISTRY,
)
EPOCH = Gauge("tidemark_loader_epoch", "The epoch this process holds; 0 when it holds none.", ["shard"], registry=REGISTRY)
PARKED = Gauge("tidemark_loader_parked", "1 while a table can't follow its source and is left as it is.", ["topic"], registry=REGISTRY)
RESTARTS = Counter("tidemark_loader_restarts_total", "Times a shard went back to ASSIGN.", ["shard", "error"], registry=REGISTRY)


class Teller:
    """Of one shard."""

    def __init__(self, shard: int, clock: Clock) -> None:
        self._shard = shard
        self._clock = clock
        self._retention: timedelta | None = None
        self._parked: set[str] = set()  # topics whose tables are said to be
        self._told: set[str] = set()  # all topics
        self._log = structlog.get_logger().bind(shard=shard)
        LAG_SECONDS.labels(shard).set(inf)  # until it is known; a shard that can't be taken has to be heard of

    def committed(self, cut: Cut, plan: CommitPlan, watermark: datetime, elapsed: timedelta, spent: Spent) -> None:
        """`elapsed`: since the cut; `spent` on what."""
        for load in plan.loads:
            entry = load.entry
            ROWS.labels(entry.topic).inc(entry.records)
            QUARANTINED.labels(entry.topic).inc(len(load.quarantine))
            BATCHES.labels(entry.topic).inc()
            self._log.debug(
                "batch.committed",
                topic=entry.topic,
                offset_start=entry.offsets.start,
                offset_stop=entry.offsets.stop,
                epoch=entry.epoch,
                batch_id=entry.batch_id,
                records=entry.records,
                superseded=entry.superseded,
                applied=entry.applied,
                quarantined=entry.quarantined,
                values_nulled=entry.values_nulled,
            )
            if load.quarantine:
                self._log.warning("rows.quarantined", topic=entry.topic, batch_id=entry.batch_id, values=len(load.quarantine))
        self.states(plan.offsets)
        for passed in plan.passed:
            self._log.warning("rows.passed", topic=passed.topic, records=passed.entry.records, because="the table is parked")
        lag = plan.at - watermark
        self.reached(plan.fence.commit_ts_us, self._retention)
        COMMITS.labels(self._shard, cut.reason.value).inc()
        COMMIT_SECONDS.labels(self._shard).observe(elapsed.total_seconds())
        self._log.info(
            "shard.committed",
            reason=cut.reason.value,
            epoch=plan.fence.epoch,
            commit_no=plan.fence.commit_no,
            barrier_no=plan.fence.barrier_no,
            partial=plan.fence.partial,
            tables=len(plan.loads),
            records=cut.rows,
            applied=sum(load.entry.applied for load in plan.loads),
            superseded=sum(load.entry.superseded for load in plan.loads),
            quarantined=sum(load.entry.quarantined for load in plan.loads),
            complete_up_to=watermark.isoformat(),
            lag_ms=round(lag.total_seconds() * 1000),
            elapsed_ms=round(elapsed.total_seconds() * 1000),
            **{f"{what}_ms": round(took.total_seconds() * 1000) for what, took in spent.items()},
        )

    def close(self) -> None:
        """What was said of the shard is not this process's to say any more."""
        LAG_SECONDS.remove(self._shard)
        HEADROOM_SECONDS.remove(self._shard)
        for topic in self._told:
            PARKED.remove(topic)

    def states(self, offsets: Iterable[TopicOffset]) -> None:
        """Which tables are parked: aloud when it begins and when it ends, also when a predecessor did it."""
        for offset in offsets:
            parked = offset.state is TableState.PARKED
            if parked and offset.topic not in self._parked:
                self._parked.add(offset.topic)
                self._log.error("table.parked", topic=offset.topic, table=offset.source_table, because=offset.because)
            elif not parked and offset.topic in self._parked:
                self._parked.remove(offset.topic)
                self._log.info("table.followed_again", topic=offset.topic, table=offset.source_table)
            self._told.add(offset.topic)
            PARKED.labels(offset.topic).set(parked)

    def reached(self, complete_us: int, retention: timedelta | None) -> None:
        """The watermark, 0 before there is any. `retention`: Kafka's, None for ever; nothing that it has and the warehouse hasn't was
        written before the watermark."""
        self._retention = retention
        complete = complete_us / 1_000_000
        kept_until = inf if retention is None or not complete_us else complete + retention.total_seconds()
        # By the clock at the time it is asked: what moves while nothing is committed is what somebody has to hear of.
        LAG_SECONDS.labels(self._shard).set_function(lambda: max(0.0, self._clock.now().timestamp() - complete) if complete_us else nan)
        HEADROOM_SECONDS.labels(self._shard).set_function(lambda: max(0.0, kept_until - self._clock.now().timestamp()))
