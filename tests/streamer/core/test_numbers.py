"""Numbers as text, against what is known of them."""

import random
import struct

import pytest

from streamer.core.numbers import decimal_text, double_text, shortest_float32


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (1.5, "1.5"), (100.0, "100.0"), (1e14, "100000000000000.0"), (1e15, "1e15"),
        (123456789012345678.0, "1.2345678901234568e17"), (1e-15, "0.000000000000001"), (1e-16, "1e-16"), (-2.5e-300, "-2.5e-300"),
        (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e308"), (0.1, "0.1"),
    ],
)  # fmt: skip
def test_a_double_is_printed_as_mysql_prints_it_in_json(value: float, text: str) -> None:
    assert double_text(value) == text


def test_a_float_comes_back_from_its_shortest_text() -> None:
    chance = random.Random("tidemark float")
    patterns = [chance.getrandbits(32) for _ in range(5000)] + [exponent << 23 for exponent in range(255)] + list(range(1, 200))
    for bits in patterns:
        (value,) = struct.unpack("<f", struct.pack("<I", bits))
        if value - value != 0:
            continue
        short = shortest_float32(value)
        assert struct.pack("<f", short) == struct.pack("<f", value)
        digits = len(f"{short:e}".split("e")[0]) and len(repr(short).split("e")[0].replace(".", "").replace("-", "").strip("0"))
        for fewer in range(1, digits):
            near = float(f"{value:.{fewer - 1}e}")
            assert abs(near) > 3.4028235e38 or struct.pack("<f", near) != struct.pack("<f", value)


def test_the_best_known_floats() -> None:
    bits = {0x3F8CCCCD: 1.1, 0x7F7FFFFF: 3.4028235e38, 0x00000001: 1e-45, 0x00800000: 1.1754944e-38, 0x80000000: -0.0}
    for pattern, text in bits.items():
        (value,) = struct.unpack("<f", struct.pack("<I", pattern))
        assert repr(shortest_float32(value)) == repr(text)


def test_a_zero_has_no_sign_and_a_cut_decimal_is_refused() -> None:
    assert decimal_text(b"\x7f\xff", 3, 1) == "0.0"
    assert decimal_text(b"\x80\x05", 3, 1) == "0.5"
    with pytest.raises(ValueError, match="cut short"):
        decimal_text(b"\x80", 3, 1)
    with pytest.raises(ValueError, match="too many digits"):
        decimal_text(b"\xe4\x01", 3, 1)
