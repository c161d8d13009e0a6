from datetime import timedelta

import orjson

from janitor.core.report import Tally, attempt_json, attempt_line, object_json, object_lines, readable_age, readable_size
from tests.janitor.builders import NOW, TOPIC, attempt, judged, objects, snapshot, stored


def test_an_object_s_line_has_state_time_size_key_and_proof() -> None:
    key = attempt(1)
    (verdict,) = judged(objects(key), snapshot())
    assert list(object_lines(verdict, NOW)) == [
        f"orphan     2025-08-14 16:00:00     100 B  {name}  (epoch 1 is below the fence's 5)" for name in (key.manifest, key.data)
    ]
    assert all("20250814_15" in line for line in object_lines(verdict, NOW))


def test_an_attempt_s_line_has_its_age_session_number_offsets_and_what_is_there_of_it() -> None:
    key = attempt(1)
    (verdict,) = judged(objects(key), snapshot())
    line = attempt_line(verdict, NOW)
    assert line == (
        "orphan        200 B    2h 00m  session 2025-08-14 15:03:12  batch 1  offsets 1 to 10"
        f"  {key.stem} (manifest and parquet)  epoch 1 is below the fence's 5"
    )
    assert attempt_line(verdict, NOW, deleted=True) == line.replace("orphan   ", "deleted  ")
    (half,) = judged([stored(key.data)], snapshot())
    assert f"{key.stem} (parquet)" in attempt_line(half, NOW)


def test_json_holds_the_same_and_the_keys_parts() -> None:
    key = attempt(1)
    (verdict,) = judged(objects(key), snapshot())
    named = {
        "topic": TOPIC,
        "partition": 0,
        "session": "2025-08-14T15:03:12Z",
        "batch": 1,
        "offset_start": 1,
        "offset_stop": 11,
        "epoch": 1,
    }
    state = {"state": "orphan", "proof": "epoch 1 is below the fence's 5", "stored_at": "2025-08-14T16:00:00Z", "age_seconds": 7200}
    assert [orjson.loads(line) for line in object_json(verdict, NOW)] == [
        {"key": name, "size_bytes": 100, **state, **named} for name in (key.manifest, key.data)
    ]
    assert orjson.loads(attempt_json(verdict, NOW)) == {
        "keys": [key.manifest, key.data],
        "size_bytes": 200,
        "deleted": False,
        **state,
        **named,
    }
    assert orjson.loads(attempt_json(verdict, NOW, deleted=True))["deleted"]


def test_a_foreign_key_can_neither_break_a_line_nor_colour_a_terminal() -> None:
    (verdict,) = judged([stored(f"{TOPIC}/a\n\x1b[31m")], snapshot())
    (line,) = object_lines(verdict, NOW)
    assert "\n" not in line
    assert "\x1b" not in line
    assert r"a\n\x1b[31m" in line
    (text,) = object_json(verdict, NOW)
    assert "\n" not in text


def test_a_tally_counts_attempts_objects_and_bytes() -> None:
    verdicts = judged([*objects(attempt(1)), stored(attempt(2, nonce="0b0b0b0b").data)], snapshot())
    assert str(Tally.of(verdicts)) == "3 objects of 2 attempts, 300 B"
    assert Tally.of(verdicts).told("orphan") == "2 orphans, 300 B"
    assert Tally.of(verdicts[:1]).told("batch") == "1 batch, 200 B"
    assert Tally.of(verdicts[:1]) + Tally.of(verdicts[1:]) == Tally.of(verdicts)


def test_sizes_read_in_the_largest_unit() -> None:
    sizes = (0, 999, 1000, 31_200_000, 5 * 10**9, 3 * 10**15)
    assert [readable_size(size) for size in sizes] == ["0 B", "999 B", "1.0 kB", "31.2 MB", "5.0 GB", "3000.0 TB"]


def test_ages_read_in_two_units() -> None:
    ages = [timedelta(seconds=-2), timedelta(seconds=40), timedelta(minutes=12), timedelta(hours=2, minutes=5), timedelta(days=3, hours=4)]
    assert [readable_age(age) for age in ages] == ["0s", "40s", "12m", "2h 05m", "3d 4h"]
