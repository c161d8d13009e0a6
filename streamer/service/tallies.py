"""What goes to Kafka, counted: told after each Kafka transaction, and summed up for a line in the log now and then."""

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from contracts.position import BinlogPosition
from contracts.progress import Position
from streamer.core.continuity import purged_at_us
from streamer.ports import Tally

log = structlog.get_logger()


class Tallies:
    """The tally of what was committed since it was last told, and the sum of those that were told since the last summary."""

    def __init__(self, observe: Callable[[Tally], None]) -> None:
        self._observe = observe
        self._tally = Tally()
        self._summary = Tally()
        self._kept: tuple[str | None, str | None] = (None, None)  # how long the server keeps its binlogs

    def sent(self, size_bytes: int) -> None:
        """Records of this size were handed to the producer."""
        self._tally.size_bytes += size_bytes

    def read(self, rows: int) -> None:
        """So many of the rows that were handed to the producer were read of tables."""
        self._tally.read += rows

    def source_committed(self, count: int) -> None:
        """So many source transactions were taken whole."""
        self._tally.source_transactions += count

    def looked(self, behind: int, variables: Mapping[str, str]) -> None:
        """The server has executed so many transactions more than were taken. `variables`: as of ServerStatus."""
        self._tally.behind = behind
        self._kept = (variables.get("binlog_expire_logs_seconds"), variables.get("binlog_expire_logs_auto_purge"))

    def committed(self, position: Position, rows: int, now: datetime) -> None:
        """A Kafka transaction of so many rows was committed, which brought the pipeline to this position: tells whoever observes."""
        tally, summary = self._tally, self._summary
        tally.rows += rows
        tally.kafka_transactions += 1
        tally.newest_commit_us = position.newest_commit_us
        tally.rereads = len(position.readings)
        tally.purged_at_us = purged_at_us(*self._kept, position.newest_commit_us or int(now.timestamp() * 1_000_000))
        self._observe(tally)
        self._summary = Tally(
            summary.rows + tally.rows,
            summary.size_bytes + tally.size_bytes,
            summary.source_transactions + tally.source_transactions,
            summary.kafka_transactions + tally.kafka_transactions,
        )
        self._tally = Tally(newest_commit_us=tally.newest_commit_us, behind=tally.behind)

    def summarise(self, binlog: BinlogPosition) -> None:
        """One line about what was told since the last one. `binlog`: how far the stream has come."""
        seen = self._summary
        log.info(
            "stream.advanced",
            rows=seen.rows,
            size_bytes=seen.size_bytes,
            transactions=seen.source_transactions,
            kafka_transactions=seen.kafka_transactions,
            binlog=str(binlog),
            behind_transactions=self._tally.behind,
        )
        self._summary = Tally()
