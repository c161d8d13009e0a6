"""`streamer status`: how far the stream is, for people and for programs."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from contracts.position import GtidSet
from contracts.progress import Asked, Position, Reread
from streamer.core.continuity import purged_at_us
from streamer.ports import ServerStatus


def status(pipeline: str, position: Position | None, source: ServerStatus) -> dict[str, Any]:
    """As JSON has it. `position`: None when the pipeline has not begun."""
    ours = position.gtid_set if position else GtidSet()
    behind = source.executed.minus(ours)
    body: dict[str, Any] = {
        "pipeline": pipeline,
        "started": position is not None,
        "behind_transactions": behind.count(),
        "missing_at_source": str(ours.minus(source.executed)),
        "source_server_uuid": source.uuid,
    }
    if position is not None:
        body |= {
            "gtid_set": str(ours),
            "binlog": str(position.binlog),
            "kafka_transactions": position.n,
            "complete_up_to": datetime.fromtimestamp(position.commit_ts_us / 1e6, UTC).isoformat(),
            "binlog_headroom_hours": _headroom_hours(source, position.newest_commit_us),
            "lag_seconds": round(max(0, source.now_us - position.commit_ts_us) / 1e6, 3),
            "split_transaction": str(position.in_progress.gtid) if position.in_progress else None,
            "rows": dict(sorted(position.next_seqs.items())),
            "reading": {topic: _told(reading) for topic, reading in sorted(position.readings.items())},
        }
    return body


def lines(body: Mapping[str, Any]) -> Iterator[str]:
    """The same for people."""
    for name, value in body.items():
        if isinstance(value, dict):
            for topic, told in value.items():
                yield f"{topic:<40} {_reading(told) if name == 'reading' else f'{told} records'}"
        else:
            yield f"{name.replace('_', ' '):<22} {'-' if value in (None, '') else value}"


def _headroom_hours(source: ServerStatus, newest_commit_us: int) -> float | None:
    """Until the server may purge what was not streamed yet; None when it purges nothing by itself."""
    kept = source.variables.get("binlog_expire_logs_seconds"), source.variables.get("binlog_expire_logs_auto_purge")
    until_us = purged_at_us(*kept, newest_commit_us or source.now_us)
    return None if until_us is None else round(max(0, until_us - source.now_us) / 3.6e9, 2)


def _told(reading: Asked | Reread) -> dict[str, Any]:
    standing = reading.standing
    paused = isinstance(reading, Reread) and reading.paused
    told: dict[str, Any] = {
        "table": str(reading.table),
        "state": f"{standing.state.value}{', paused' if paused else ''}",
        "since": datetime.fromtimestamp(standing.since_us / 1e6, UTC).isoformat(),
    }
    if isinstance(reading, Asked):
        return {**told, "signals": len(reading.signals)}
    return {**told, "rows": reading.rows, "where": reading.where}


def _reading(told: dict[str, Any]) -> str:
    left = f"{told['rows']} rows read" if "rows" in told else f"rows that {told['signals']} signals ask for"
    return f"{told['state']}: {left}"
