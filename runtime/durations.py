"""Durations and moments as people write them: `90s 15m 1h 7d`; `2026-11-20`, `2026-11-20 14:30:00`, RFC 3339, `2h` for two hours ago."""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")


def parse_duration(text: str) -> timedelta:
    """A number with a unit, `15m`; a bare number is seconds. Raises ValueError that says how to write it."""
    match = _DURATION.fullmatch(text.strip().lower())
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]] if match else _seconds(text))
    except (ValueError, OverflowError):
        raise ValueError(f"not a duration: {text!r}; write 90s, 15m, 1h or 7d") from None


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds


def format_duration(duration: timedelta) -> str:
    """The shortest exact form in one unit down to seconds: `90s`, `15m`, `7d`; parts of a second are dropped."""
    seconds = int(duration.total_seconds())
    for unit in ("d", "h", "m"):
        size = int(_UNITS[unit])
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def parse_time(text: str, now: datetime) -> datetime:
    """A moment in UTC. What names no zone is UTC; a duration is that long before `now`. Raises ValueError that says how to write it."""
    words = text.strip()
    if _DURATION.fullmatch(words.lower().removesuffix("ago").strip()):
        return now - parse_duration(words.lower().removesuffix("ago"))
    try:
        # RFC 3339 allows a lower-case t and z; fromisoformat takes neither z.
        moment = datetime.fromisoformat(words.upper())
    except ValueError:
        moment = None
    # A bare year or week date is ISO 8601 too, and more likely a slip than a wish.
    if moment is None or not re.match(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}|$)", words.upper()):
        raise ValueError(
            f"not a time: {text!r}; write 2026-11-20, '2026-11-20 14:30:00' (UTC), 2026-11-20T14:30:00+02:00 or 2h for two hours ago"
        )
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
