import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.batch import BatchKey, Manifest, ManifestEntry, readable
from contracts.offsets import OffsetRange
from tests.contracts.specimens import BATCH_KEY, MANIFEST

OFFSETS = st.tuples(st.integers(0, 10**19), st.integers(1, 10**18)).map(lambda p: OffsetRange(p[0], p[0] + p[1]))
KEYS = st.builds(
    BatchKey,
    topic=st.from_regex(r"[a-zA-Z0-9_-]{1,64}\.[a-zA-Z0-9_-]{1,80}\.[a-zA-Z0-9_-]{1,91}", fullmatch=True),
    partition=st.integers(0, 99_999),
    session=st.integers(10**9, 2 * 10**11).map(lambda second: datetime.fromtimestamp(second, UTC)),
    number=st.integers(0, 10**9),
    offsets=OFFSETS,
    epoch=st.integers(0, 10**12),
    nonce=st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
)


@given(KEYS)
def test_a_key_survives_being_written_and_parsed(key: BatchKey) -> None:
    assert BatchKey.parse(key.data) == key
    assert BatchKey.parse(key.manifest) == key
    assert key.data != key.manifest


@given(KEYS, KEYS)
def test_two_attempts_never_share_a_key(a: BatchKey, b: BatchKey) -> None:
    assert (a == b) == (a.data == b.data)


@given(KEYS, st.data())
def test_a_key_changed_anywhere_is_another_key_or_none(key: BatchKey, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(key.data) - 1))
    mutant = key.data[:at] + data.draw(st.characters(codec="utf-8")) + key.data[at + data.draw(st.integers(0, 1)) :]
    found = BatchKey.parse(mutant)
    assert found is None or mutant in (found.data, found.manifest)


@given(st.text())
def test_any_text_is_a_key_exactly_or_not_at_all(text: str) -> None:
    found = BatchKey.parse(text)
    assert found is None or text in (found.data, found.manifest)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: f"{key}\n",
        lambda key: f"/{key}",
        lambda key: f"../{key}",
        lambda key: key.replace("/", "//"),
        lambda key: key.replace("/00000/", "/٠٠٠٠٠/"),  # digits to Unicode, not to us
        lambda key: key.replace("_batch_0037_", "_batch_037_"),
        lambda key: key.replace("_batch_0037_", "_batch_00037_"),
        lambda key: key.replace("20250814", "20250230"),
        lambda key: key.replace("_150009_", "_250009_"),
        lambda key: key.replace("00000000000000026000", "00000000000000001000"),
        lambda key: key.replace("_e00000008_", "_e000000008_"),
        lambda key: key.replace("0123abcd", "0123ABCD"),
        lambda key: key.replace("orders_old", "orders_new"),
        lambda key: key.replace(".parquet", ".parquet.manifest"),
        lambda key: key.replace(".parquet", ".json"),
        lambda key: key.upper(),
        lambda key: "",
    ],
)
def test_a_hostile_or_damaged_key_is_not_ours(change: object) -> None:
    assert BatchKey.parse(change(BATCH_KEY.data)) is None  # type: ignore[operator]  # a callable, to parametrize an object


@given(st.text(min_size=1))
def test_the_readable_part_is_harmless_whatever_the_table_is_called(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9_]{0,80}", readable(name))


@pytest.mark.parametrize(
    "change",
    [
        {"topic": "tm.shop.we/ird"},
        {"topic": ""},
        {"partition": -1},
        {"partition": 100_000},
        {"number": -1},
        {"epoch": -1},
        {"nonce": "0123abc"},
        {"nonce": "../../.."},
        {"session": datetime.fromisoformat("2025-08-14T15:00:09")},
        {"session": datetime(2025, 8, 14, 15, 0, 9, tzinfo=timezone(timedelta(hours=2)))},
        {"session": datetime(2025, 8, 14, 15, 0, 9, 1, tzinfo=UTC)},
    ],
)
def test_a_key_that_could_not_be_parsed_again_is_never_made(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"batch key|whole seconds"):
        replace(BATCH_KEY, **change)  # type: ignore[arg-type]  # the wrong value is the point


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (5, 4), (-1, 3)])
def test_an_offset_range_is_never_empty_or_backward(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match="start < stop"):
        OffsetRange(start, stop)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"true", b"false"),
        (b'"mandatory":true,', b""),
        (b'"entries"', b'"files"'),
        (b'"content_length"', b'"size"'),
        (b"[{", b"[[{"),
        (b"}}]", b"}}"),
    ],
)
def test_a_manifest_copy_could_misread_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Manifest.decode(MANIFEST.encode().replace(old, new))


def test_a_manifest_names_at_least_one_object() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Manifest(())
    with pytest.raises(ValueError, match="at least one"):
        Manifest.decode(b'{"entries":[]}')


@given(st.lists(st.builds(ManifestEntry, st.text(), st.integers(0, 2**40)), min_size=1, max_size=4))
def test_a_manifest_survives_encoding(entries: list[ManifestEntry]) -> None:
    assert Manifest.decode(Manifest(tuple(entries)).encode()) == Manifest(tuple(entries))
