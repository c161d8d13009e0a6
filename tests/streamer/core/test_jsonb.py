"""JSON documents that no server wrote."""

import random
import struct

import pytest

from contracts.errors import Corrupt
from streamer.core.jsonb import document_text, quote
from streamer.core.jsondiff import updated_text
from tests.streamer.core.golden import body_of, golden


def small_array(*values: bytes) -> bytes:
    """Of entries of three bytes, as they are, and what they point at."""
    entries = b"".join(values)
    return b"\x02" + struct.pack("<HH", len(values), 4 + len(entries)) + entries


def test_an_empty_document_is_null() -> None:
    assert document_text(b"") == "null"


def test_values_that_share_bytes_are_refused_before_they_multiply() -> None:
    # Ten levels of arrays whose sixteen elements are all the next level: 16^10 values in half a kilobyte.
    levels, width = 10, 16
    size = 4 + 3 * width
    data = bytearray()
    for _ in range(levels):
        data += struct.pack("<HH", width, size * levels) + struct.pack("<BH", 2, size) * width
    data += struct.pack("<HH", 0, 4)
    for level in range(levels):  # each level is all that is left
        struct.pack_into("<H", data, level * size + 2, len(data) - level * size)
    with pytest.raises(Corrupt, match="overlap"):
        document_text(b"\x02" + bytes(data))


def test_nesting_beyond_the_servers_limit_is_refused() -> None:
    data = struct.pack("<HH", 0, 4)
    for _ in range(100):
        data = struct.pack("<HHBH", 1, 7 + len(data), 2, 7) + data
    with pytest.raises(Corrupt, match="deeper than 100"):
        document_text(b"\x02" + data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x02\x01\x00",
        small_array(b"\x04\x07\x00"),
        small_array(b"\x63\x00\x00"),
        b"\x0b" + struct.pack("<d", float("inf")),
        b"\x0c\x05ab",
        b"\x0c\x01\xff",
        b"\x0f\x0a\x03abc",
        b"\x0f\xf6\x03\x00\x00\x80",
        b"\x0c\xff\xff\xff\xff\xff",
    ],
)
def test_a_malformed_document_is_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt):
        document_text(data)


def decimal(precision: int, scale: int, packed: bytes) -> bytes:
    return b"\x0f\xf6" + bytes([2 + len(packed), precision, scale]) + packed


@pytest.mark.parametrize(("precision", "scale"), [(35, 34), (31, 31), (73, 72), (80, 80), (81, 81)])
def test_a_decimal_may_have_more_digits_after_the_point_than_any_column(precision: int, scale: int) -> None:
    digits = ("123456789" * 9)[:scale]
    groups = [digits[at : at + 9] for at in range(0, scale, 9)]
    packed = b"".join(int(group).to_bytes((len(group) + 1) // 2 - (len(group) == 9), "big") for group in groups)
    packed = b"\x82" + packed if scale < precision else bytes([packed[0] | 0x80]) + packed[1:]
    assert document_text(decimal(precision, scale, packed)) == f"{2 * (precision - scale)}.{digits}"


@pytest.mark.parametrize(("precision", "scale"), [(0, 0), (30, 31), (82, 31), (81, 82)])
def test_a_decimal_of_no_precision_is_corrupt(precision: int, scale: int) -> None:
    with pytest.raises(Corrupt, match="no precision"):
        document_text(decimal(precision, scale, b"\x80" * 37))


def diff(operation: int, path: str, value: bytes | None = None) -> bytes:
    head = bytes([operation, len(path.encode())]) + path.encode()
    return head if value is None else head + bytes([len(value)]) + value


LIST = small_array(b"\x05\x01\x00", b"\x05\x02\x00")
SEVEN = b"\x05\x07\x00"


@pytest.mark.parametrize(
    ("diffs", "text"),
    [
        (diff(0, "$[0]", SEVEN), "[7, 2]"),
        (diff(1, "$[0]", SEVEN), "[7, 1, 2]"),
        (diff(1, "$[9]", SEVEN), "[1, 2, 7]"),
        (diff(2, "$[1]"), "[1]"),
        (diff(0, "$", SEVEN), "7"),
        (diff(2, "$[0]") + diff(2, "$[0]"), "[]"),
        (diff(0, "$[last]", SEVEN), "[1, 7]"),
        (diff(0, "$[last-1]", SEVEN), "[7, 2]"),
        (diff(2, "$[ last - 1 ]"), "[2]"),
        (diff(1, "$[last]", SEVEN), "[1, 7, 2]"),
        (diff(1, "$[last-1]", SEVEN), "[7, 1, 2]"),
        (diff(1, "$[last-9]", SEVEN), "[7, 1, 2]"),
        (diff(2, "$[last]") + diff(2, "$[last]") + diff(1, "$[last]", SEVEN), "[7]"),
        (diff(0, "$[last]", LIST) + diff(1, "$[9]", SEVEN) + diff(2, "$[last-1][last]"), "[1, [1], 7]"),
    ],
)
def test_diffs_are_applied_in_order(diffs: bytes, text: str) -> None:
    assert updated_text(LIST, diffs) == text


@pytest.mark.parametrize(
    "diffs",
    [
        diff(0, "$[2]", SEVEN),
        diff(2, "$.a"),
        diff(2, "$"),
        diff(9, "$[0]"),
        diff(0, "$[x]", SEVEN),
        diff(0, "$[0]"),
        diff(0, "$[last-2]", SEVEN),
        diff(2, "$[last-2]"),
        diff(0, "$[last-2][0]", SEVEN),
        diff(0, "$[last][last]", SEVEN),
        diff(2, "$[last]") * 3,
        diff(0, "$[last-]", SEVEN),
        diff(0, "$[last 1]", SEVEN),
        diff(0, "$[last+1]", SEVEN),
        diff(0, "$[-1]", SEVEN),
        diff(0, "$[LAST]", SEVEN),
    ],
)
def test_diffs_that_do_not_fit_are_corrupt(diffs: bytes) -> None:
    with pytest.raises(Corrupt):
        updated_text(LIST, diffs)


@pytest.mark.parametrize("key", ["\xa0", "\x85", "\u1680", "a\xa0b", "\u3000", "\x1c", "\x7f", "a]-\\"])
def test_a_bare_key_ends_at_no_space_but_those_of_ascii(key: str) -> None:
    # MySQL looks at the lowest byte of a character to tell whether a key needs quotes, and takes 0x80 and more for letters.
    assert updated_text(b"\x00" + struct.pack("<HH", 0, 4), diff(1, f"$.{key}", SEVEN)) == f"{{{quote(key)}: 7}}"


@pytest.mark.parametrize("space", "\t\n\x0b\x0c\r ")
def test_a_bare_key_ends_at_a_space_of_ascii(space: str) -> None:
    with pytest.raises(Corrupt, match="not a path"):
        updated_text(b"\x00" + struct.pack("<HH", 0, 4), diff(1, f"$.a{space}b", SEVEN))


def test_mutated_documents_are_corrupt_or_text() -> None:
    body = body_of(golden("write_rows"))
    at = body.index(b"\x00\x02\x00Z\x00")  # a small object of two members and 90 bytes
    document = body[at : at + 91]
    assert "0123" in document_text(document)
    chance = random.Random("tidemark json")
    texts = 0
    for _ in range(3000):
        mutant = bytearray(document)
        for _ in range(chance.choice((1, 2, 5))):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        try:
            texts += bool(document_text(bytes(mutant)))
        except Corrupt:
            continue
    assert texts > 100
