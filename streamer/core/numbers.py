"""Numbers as text: packed decimals, float32, and doubles as MySQL prints them."""

import struct

from streamer.core.storage import decimal_size

_FLOAT32 = struct.Struct("<f")
_NORMAL_MIN = 2.0**-126
_PARTIAL_GROUP = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
_PLAIN_EXPONENT_MAX = 15  # MySQL writes more digits than this before or zeros after the point in scientific form


def decimal_text(packed: bytes, precision: int, scale: int) -> str:
    """All digits of the scale, no leading zeros, no minus before a zero. Raises ValueError if a group has too many digits, or short.

    Source: MySQL 9.7, strings/decimal.cc, decimal2bin: groups of nine digits in four bytes, big-endian; the first bit is inverted,
    and a negative number has all its bits inverted."""
    if len(packed) != decimal_size(precision, scale):
        raise ValueError("a decimal is cut short")
    negative = not packed[0] & 0x80
    data = bytes([packed[0] ^ 0x80]) + packed[1:]
    if negative:
        data = bytes(byte ^ 0xFF for byte in data)
    whole = precision - scale
    groups = [whole % 9, *[9] * (whole // 9), *[9] * (scale // 9), scale % 9]
    digits: list[str] = []
    at = 0
    for count in groups:
        if count == 0:
            continue
        end = at + _PARTIAL_GROUP[count]
        text = f"{int.from_bytes(data[at:end], 'big'):0{count}}"
        if len(text) != count:
            raise ValueError("a decimal group has too many digits")
        digits.append(text)
        at = end
    text = "".join(digits)
    left = text[:whole].lstrip("0") or "0"
    sign = "-" if negative and text.strip("0") else ""
    return f"{sign}{left}.{text[whole:]}" if scale else sign + left


def shortest_float32(value: float) -> float:
    """The double with the fewest decimal digits that is still this float32: 1.1, not 1.10000002. `value` is finite."""
    packed = _FLOAT32.pack(value)
    # Six digits survive a float32 that is not denormal, so fewer need not be tried there.
    for digits in range(6 if abs(value) >= _NORMAL_MIN else 1, 10):
        short = float(f"{value:.{digits}g}")
        try:
            if _FLOAT32.pack(short) == packed:
                return short
        except OverflowError:
            continue  # the largest, rounded up
    return value


def double_text(value: float) -> str:
    """As MySQL prints a double inside JSON: shortest digits, always with a point or an exponent.

    Source: MySQL 9.7, strings/dtoa.cc, my_gcvt, and sql-common/json_dom.cc, wrapper_to_string."""
    mantissa, _, exponent_text = f"{value!r}".lower().partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    left, _, right = mantissa.lstrip("-").partition(".")
    if right == "0":
        right = ""
    exponent = int(exponent_text or 0) + len(left)
    digits = left + right
    stripped = digits.lstrip("0")
    exponent -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    if not digits:
        return f"{sign}0.0"
    if not -_PLAIN_EXPONENT_MAX < exponent <= _PLAIN_EXPONENT_MAX:
        point = "." if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{point}{digits[1:]}e{exponent - 1}"
    if exponent <= 0:
        return f"{sign}0.{'0' * -exponent}{digits}"
    whole = digits[:exponent].ljust(exponent, "0")
    return f"{sign}{whole}.{digits[exponent:] or '0'}"
