import orjson

from janitor.core.classify import classify
from janitor.core.report import Tally, json_lines, lines, readable_size
from tests.janitor.builders import TOPIC, attempt, objects, snapshot, stored


def test_one_line_an_object_with_state_time_size_key_and_proof() -> None:
    key = attempt(1)
    (verdict,) = classify(objects(key), snapshot())
    assert list(lines(verdict)) == [
        f"orphan     2025-08-14 16:00:00       100 B  {name}  (epoch 1 is below the fence's 5)" for name in (key.manifest, key.data)
    ]
    assert all("20250814_15" in line for line in lines(verdict))
    assert all(line.startswith("deleted    2025") for line in lines(verdict, deleted=True))


def test_json_holds_the_same_and_the_keys_parts() -> None:
    key = attempt(1)
    (verdict,) = classify([stored(key.data)], snapshot())
    (line,) = json_lines(verdict)
    assert orjson.loads(line) == {
        "key": key.data,
        "state": "orphan",
        "proof": "epoch 1 is below the fence's 5",
        "deleted": False,
        "stored_at": "2025-08-14T16:00:00Z",
        "size_bytes": 100,
        "topic": TOPIC,
        "partition": 0,
        "session": "2025-08-14T15:03:12Z",
        "batch": 1,
        "offset_start": 1,
        "offset_stop": 11,
        "epoch": 1,
    }


def test_a_foreign_key_can_neither_break_a_line_nor_colour_a_terminal() -> None:
    (verdict,) = classify([stored(f"{TOPIC}/a\n\x1b[31m")], snapshot())
    (line,) = lines(verdict)
    assert "\n" not in line
    assert "\x1b" not in line
    assert r"a\n\x1b[31m" in line
    (text,) = json_lines(verdict)
    assert "\n" not in text


def test_a_tally_counts_attempts_objects_and_bytes() -> None:
    verdicts = classify([*objects(attempt(1)), stored(attempt(2, nonce="0b0b0b0b").data)], snapshot())
    assert str(Tally.of(verdicts)) == "2 attempts, 3 objects, 300 B"
    assert str(Tally.of(verdicts[:1])) == "1 attempt, 2 objects, 200 B"


def test_sizes_read_in_the_largest_unit() -> None:
    assert [readable_size(size) for size in (0, 1023, 1024, 5 * 1024**2, 3 * 1024**4)] == ["0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.0 TiB"]
