from datetime import UTC, datetime, timedelta

import pytest

from runtime.durations import format_duration, parse_duration, parse_time
from runtime.sizes import parse_size

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604800), ("250ms", 0.25), ("1.5h", 5400), ("45", 45), (" 2 H ", 7200)],
)
def test_a_duration_is_a_number_with_a_unit_or_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "7 days", "-1h", "1h30", "nan", "inf", "-5", "1e400", "99999999999999d"])
def test_what_is_no_duration_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s, 15m, 1h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [(90, "90s"), (900, "15m"), (7200, "2h"), (604800, "7d"), (0, "0s"), (0.5, "0s")])
def test_a_duration_prints_in_the_largest_unit_that_holds_it_exactly(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20 14:30:00", datetime(2026, 11, 20, 14, 30, tzinfo=UTC)),
        ("2026-11-20T14:30:00Z", datetime(2026, 11, 20, 14, 30, tzinfo=UTC)),
        ("2026-11-20t14:30:00.250z", datetime(2026, 11, 20, 14, 30, 0, 250000, tzinfo=UTC)),
        ("2026-11-20T14:30:00+02:00", datetime(2026, 11, 20, 12, 30, tzinfo=UTC)),
        ("2h", NOW - timedelta(hours=2)),
        ("2h ago", NOW - timedelta(hours=2)),
    ],
)
def test_a_moment_without_a_zone_is_utc_and_a_duration_is_that_long_ago(text: str, moment: datetime) -> None:
    assert parse_time(text, NOW) == moment
    assert parse_time(text, NOW).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "2026", "20261120", "2026-W47-5", "14:30", "2026-13-01", "yesterday", "2026-11-20 1430", "12"])
def test_what_is_no_moment_is_refused_with_the_right_forms(text: str) -> None:
    with pytest.raises(ValueError, match="write 2026-11-20, '2026-11-20 14:30:00'"):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    ("text", "size"), [("64MiB", 67108864), ("128MB", 128000000), ("8388608", 8388608), ("1 gib", 1073741824), ("0.5KiB", 512)]
)
def test_sizes_count_by_1024_with_an_i_and_by_1000_without(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "64 megabytes", "1M"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write 64MiB"):
        parse_size(text)
