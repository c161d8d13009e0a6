from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Envelope, Op
from loader.core.quarantine import key_image, quarantined_change, quarantined_value, row_key
from tests.loader.core.rowmaker import TOPIC, change, delete, upsert


@given(st.binary(), st.binary())
def test_a_row_key_is_text_the_warehouse_takes_and_tells_keys_apart(a: bytes, b: bytes) -> None:
    for key in (a, b, a * 3000):
        text = row_key(key)
        assert text is not None
        assert "\x00" not in text
        assert len(text.encode()) <= 65_535
    assert (a == b) == (row_key(a) == row_key(b))


def test_a_key_of_json_is_kept_as_it_is_and_no_key_is_none() -> None:
    assert row_key('{"id":"é"}'.encode()) == '{"id":"é"}'
    assert row_key(None) is None


def test_long_keys_that_begin_alike_are_told_apart() -> None:
    assert row_key(b"x" * 70_000 + b"a") != row_key(b"x" * 70_000 + b"b")


def test_a_value_is_kept_as_json_so_that_nul_and_quotes_show() -> None:
    entry = quarantined_value(TOPIC, upsert(7, {"id": 1}), "name", 'a\x00"', "why")
    assert (entry.offset, entry.key, entry.column, entry.reason) == (7, '{"id":1}', "name", "why")
    assert (entry.raw, entry.raw_size_bytes) == ('"a\\u0000\\""', 11)


def test_a_long_value_is_cut_between_characters_and_its_true_size_told() -> None:
    entry = quarantined_value(TOPIC, upsert(7, {"id": 1}), "name", "é" * 70_000, "why")
    assert len(entry.raw.encode()) == 65_535
    assert entry.raw == '"' + "é" * 32_767
    assert entry.raw_size_bytes == 140_002


def test_a_value_that_is_no_unicode_is_kept_readable() -> None:
    assert "ud800" in quarantined_value(TOPIC, upsert(7, {"id": 1}), "name", "\ud800", "why").raw


def test_a_whole_change_is_kept_as_its_envelope() -> None:
    whole = upsert(7, {"id": 1, "name": "a"})
    entry = quarantined_change(TOPIC, whole, "why")
    assert entry.column is None
    assert Envelope.decode(entry.raw.encode()) == whole.envelope
    assert entry.raw_size_bytes == len(whole.envelope.encode())


def test_a_row_too_large_to_send_is_kept_with_its_true_size() -> None:
    whole = change(7, Op.UPDATE, None, key=b'{"id":1}', oversize=9_000_000)
    assert quarantined_change(TOPIC, whole, "why").raw_size_bytes == 9_000_000


def test_a_key_comes_from_the_row_or_else_from_the_message_key() -> None:
    assert key_image(upsert(0, {"id": 1, "name": "a"}), ("id",)) == {"id": 1}
    assert key_image(delete(0, {"id": 2}), ("id",)) == {"id": 2}
    assert key_image(change(0, Op.UPDATE, None, key=b'{"id":3,"x":1}'), ("id",)) == {"id": 3}
    assert key_image(change(0, Op.UPDATE, {"name": "a"}, key=b'{"id":3}'), ("id",)) == {"id": 3}
    for key in (None, b"", b"[]", b"\xff", b'{"x":1}'):
        assert key_image(change(0, Op.UPDATE, None, key=key), ("id",)) is None
