"""Sizes in bytes as people write them: `64MiB`, `128MB`, `8388608`."""

import re

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]*)")


def parse_size(text: str) -> int:
    """Bytes. KiB, MiB, GiB count by 1024; KB, MB, GB by 1000. Raises ValueError that says how to write it."""
    match = _SIZE.fullmatch(text.strip().upper())
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"not a size: {text!r}; write 64MiB, 128MB or a number of bytes")
    return int(float(match[1]) * _UNITS[match[2]])
