"""What `loader status` says: how far each shard and each table is, as values a person or a program reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.ledger import Fence


@dataclass(frozen=True, slots=True)
class Watermark:
    """A row of the view `watermarks`; times are UTC."""

    source_table: str
    target_table: str
    state: str
    since: datetime
    because: str
    complete_up_to: datetime
    partial: bool
    rows_applied: int
    batches: int
    last_batch: datetime | None
    quarantined: int
    seconds_behind: int


def headroom(fence: Fence, behind: int, retention: timedelta | None, now: datetime) -> timedelta | None:
    """At least as long until Kafka's retention takes what the shard has not loaded yet; None when it keeps all."""
    if retention is None or not fence.commit_ts_us:
        return None
    # What is unread was written after the watermark; when nothing is but the mark that ends a Kafka transaction, what comes is young.
    age = now - datetime.fromtimestamp(fence.commit_ts_us / 1_000_000, UTC) if behind > 1 else timedelta()
    return max(timedelta(), retention - age)


def status_lines(
    fences: Sequence[Fence], barriers_behind: Mapping[int, int], headrooms: Mapping[int, timedelta | None], watermarks: Sequence[Watermark]
) -> Iterator[dict[str, Any]]:
    """One object a shard, then one a table. By shard: `barriers_behind`, offsets of `progress` not loaded yet, and `headrooms`."""
    for fence in fences:
        yield {
            "shard": fence.shard,
            "owner": fence.owner or None,
            "epoch": fence.epoch,
            "commit_no": fence.commit_no,
            "gtid_set": str(fence.gtid_set),
            "complete_up_to": _text(datetime.fromtimestamp(fence.commit_ts_us / 1_000_000, UTC)) if fence.commit_ts_us else None,
            "partial": fence.partial,
            "barriers_behind": barriers_behind.get(fence.shard),
            "kafka_headroom_hours": None if (left := headrooms.get(fence.shard)) is None else round(left / timedelta(hours=1), 2),
        }
    for watermark in watermarks:
        yield {key: _text(value) if isinstance(value, datetime) else value for key, value in asdict(watermark).items()}


def status_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """The same for a person."""
    return "\n".join(_shard(line) if "shard" in line else _table(line) for line in lines)


def _shard(line: Mapping[str, Any]) -> str:
    reached = line["complete_up_to"] or "nothing yet"
    inside = ", inside a transaction" if line["partial"] else ""
    hours = line["kafka_headroom_hours"]
    kept = "" if hours is None else f", which Kafka keeps for {hours} h more"
    holder = f"epoch {line['epoch']} of {line['owner'] or 'nobody'}"
    return f"shard {line['shard']}: complete up to {reached}{inside}, {line['barriers_behind']} offsets of progress to read{kept}, {holder}"


def _table(line: Mapping[str, Any]) -> str:
    behind = f"{line['seconds_behind']} s behind"
    loaded = f"{line['rows_applied']} changes in {line['batches']} batches, {line['quarantined']} quarantined"
    because = f"\n    {line['because']}" if line["because"] else ""
    return f"  {line['source_table']} → {line['target_table']}: {line['state']} since {line['since']}, {loaded}, {behind}{because}"


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
