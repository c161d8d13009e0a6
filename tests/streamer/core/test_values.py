"""The signs and ends of integers, without a server: the first thing a decoder gets wrong."""

import pytest

from contracts.envelope import Value
from contracts.table import Column, Kind
from streamer.core.schemas import StoredColumn
from streamer.core.storage import INT24, LONG, LONGLONG, SHORT, TINY, Storage
from streamer.core.values import compile_decoder


@pytest.mark.parametrize(
    ("code", "kind", "data", "signed", "unsigned"),
    [
        (TINY, Kind.TINYINT, "80", -128, 128),
        (TINY, Kind.TINYINT, "7f", 127, 127),
        (SHORT, Kind.SMALLINT, "0080", -32768, 32768),
        (INT24, Kind.MEDIUMINT, "ffffff", -1, 16777215),
        (LONG, Kind.INT, "feffffff", -2, 4294967294),
        (LONGLONG, Kind.BIGINT, "0000000000000080", -(2**63), str(2**63)),
        (LONGLONG, Kind.BIGINT, "0100000000000000", 1, "1"),
    ],
)
def test_an_integer_is_little_endian_and_has_its_column_s_sign(code: int, kind: Kind, data: str, signed: Value, unsigned: Value) -> None:
    image = bytes.fromhex("aa" + data + "bb")
    for flag, wanted in ((False, signed), (True, unsigned)):
        decode = compile_decoder(StoredColumn(Column("n", kind, unsigned=flag), Storage(code)))
        assert decode(image, 1) == (wanted, 1 + len(data) // 2)
