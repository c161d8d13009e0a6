"""What the terminal shows while rows flow: changes made in MySQL, records committed in the warehouse, lag and watermark."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redshift_connector.core import Connection
from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.shop import Counts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """The warehouse's own figures at one moment; zeros before the first commit."""

    records: int = 0
    batches: int = 0
    commit_no: int = 0
    epoch: int = 0
    complete_up_to_us: int = 0

    def watermark(self, now: datetime) -> str:
        """The time up to which everything is there, and how long ago that is."""
        if not self.complete_up_to_us:
            return "none yet"
        at = _EPOCH + timedelta(microseconds=self.complete_up_to_us)
        return f"{at:%H:%M:%S} UTC, {max((now - at).total_seconds(), 0):.1f} s behind"


def read(warehouse: Connection) -> Reading:
    """One look at ledger and fence. The ledger's tables appear when the first loader has started; until then everything is zero."""
    views = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'tidemark' AND table_name = 'watermarks'"
    if _row(warehouse, views) == [0]:
        return Reading()
    records, batches = _row(warehouse, "SELECT COALESCE(SUM(records), 0), COUNT(*) FROM tidemark.ledger")
    fence = "SELECT COALESCE(MAX(epoch), 0), COALESCE(SUM(commit_no), 0), COALESCE(MIN(commit_ts_us), 0) FROM tidemark.fence"
    epoch, commits, complete = _row(warehouse, fence)
    return Reading(records, batches, commits, epoch, complete)


def _row(warehouse: Connection, sql: str) -> list[int]:
    cursor = warehouse.cursor()
    cursor.execute(sql)
    return [int(value) for row in cursor.fetchall() for value in row]


class Gauges:
    """Live on a terminal; elsewhere a line every two seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None
        self._printed_at: datetime | None = None

    def __enter__(self) -> "Gauges":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._live:
            self._live.stop()

    def show(self, counts: Counts, reading: Reading, loader: str, now: datetime) -> None:
        shown = {
            "MySQL": f"{counts.transactions:,} transactions, {counts.rows:,} row changes",
            "warehouse": f"{reading.records:,} changes committed in {reading.batches:,} batches, {reading.commit_no:,} commits",
            "watermark": reading.watermark(now),
            "loader": f"{loader}, epoch {reading.epoch}",
        }
        if self._live:
            table = Table(show_header=False, box=None, padding=(0, 2))
            for name, value in shown.items():
                table.add_row(f"  [bold]{name}[/bold]", value)
            self._live.update(table)
        elif self._printed_at is None or (now - self._printed_at).total_seconds() >= 2:
            self._printed_at = now
            self._console.print("  " + " | ".join(f"{name}: {value}" for name, value in shown.items()), soft_wrap=True)
