from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Envelope, Op, Row, Source, decode_key, encode_key, with_seq
from contracts.table import TableId
from tests.contracts.specimens import ENVELOPE

NAMES = st.text(min_size=1, max_size=20)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6)
ROWS = st.dictionaries(NAMES, VALUES, max_size=5)
COUNTS = st.integers(0, 2**63 - 1)
SOURCES = st.builds(
    Source,
    name=st.text(),
    table=st.builds(TableId, NAMES, NAMES),
    server_id=COUNTS,
    gtid=st.text(),
    file=st.text(),
    pos=COUNTS,
    ts_ms=COUNTS,
    commit_ts_us=COUNTS,
    seq=COUNTS,
    ev=COUNTS,
    schema=st.text(),
    snapshot=st.booleans(),
    key_change=st.booleans(),
    raw=st.dictionaries(NAMES, st.text(), max_size=2),
    oversize=COUNTS,
)
ENVELOPES = st.builds(Envelope, st.sampled_from(Op), st.none() | ROWS, st.none() | ROWS, SOURCES, COUNTS)


@given(ENVELOPES)
def test_an_envelope_survives_encoding_and_encodes_alike_again(envelope: Envelope) -> None:
    data = envelope.encode()
    assert Envelope.decode(data) == envelope
    assert Envelope.decode(data).encode() == data


@given(ENVELOPES, COUNTS)
def test_another_seq_changes_nothing_but_the_seq(envelope: Envelope, seq: int) -> None:
    assert with_seq(envelope.encode(), seq) == replace(envelope, source=replace(envelope.source, seq=seq)).encode()


def test_what_does_not_apply_is_left_out() -> None:
    plain = replace(ENVELOPE, source=replace(ENVELOPE.source, key_change=False, raw={}, oversize=0))
    assert orjson.loads(plain.encode())["source"].keys().isdisjoint({"key_change", "raw", "oversize"})


@pytest.mark.parametrize("name", ["version", "db", "table", "gtid", "seq", "ev", "commit_ts_us", "schema", "snapshot"])
def test_an_envelope_that_lacks_a_field_is_refused_by_its_name(name: str) -> None:
    body = orjson.loads(ENVELOPE.encode())
    del body["source"][name]
    with pytest.raises(ValueError, match=name):
        Envelope.decode(orjson.dumps(body))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"tidemark-1", b"tidemark-2"),
        (b'"op":"u"', b'"op":"x"'),
        (b'"source"', b'"sauce"'),
        (b'"commit_ts_us":', b'"commit_ts_us":"x","y":'),
        (b'"seq":', b'"seq":1.5,"y":'),
        (b'"before":', b'"before":7,"y":'),
        (b'"raw":', b'"raw":[],"y":'),
        (b'{"before"', b'[{"before"'),
        ("ü".encode(), b"\xff"),
    ],
)
def test_an_envelope_of_another_version_or_form_is_refused(old: bytes, new: bytes) -> None:
    damaged = ENVELOPE.encode().replace(old, new)
    assert damaged != ENVELOPE.encode()
    with pytest.raises(ValueError, match=r"."):
        Envelope.decode(damaged)


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"1", b"{}", b'{"source":1}', b'{"source":{}}', b"[" * 100_000])
def test_bytes_that_are_no_envelope_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Envelope.decode(data)


@given(ROWS.filter(bool))
def test_a_message_key_holds_the_key_columns_in_key_order(row: Row) -> None:
    key = sorted(row, reverse=True)
    data = encode_key(key, row)
    assert data is not None
    assert list(decode_key(data).items()) == [(name, row[name]) for name in key]


def test_a_table_without_a_key_has_no_message_key() -> None:
    assert encode_key((), {"a": 1}) is None


def test_equal_keys_have_equal_bytes_and_others_do_not() -> None:
    assert encode_key(("a", "b"), {"a": 1, "b": 2, "c": 3}) == encode_key(("a", "b"), {"b": 2, "c": 4, "a": 1})
    assert encode_key(("a",), {"a": 1}) != encode_key(("a",), {"a": "1"})


@pytest.mark.parametrize("data", [b"1", b"[]", b'"a"', b"", b"\xff"])
def test_a_message_key_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_key(data)
