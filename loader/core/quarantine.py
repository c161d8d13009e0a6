"""What the quarantine keeps of a value or a change that can't be loaded: which, why, and its raw text within what the table holds."""

from typing import Any

import orjson

from contracts.batch import sha256_hex
from contracts.envelope import Row, decode_key
from loader.core.column_type import VARCHAR_BYTES_MAX
from loader.core.plan import PARTITION, QuarantinedValue
from loader.core.records import Change


def quarantined_value(topic: str, change: Change, column: str, value: Any, reason: str) -> QuarantinedValue:
    """One value, which loads as NULL. `raw` is its JSON as the envelope carries it, cut at 65535 bytes; its size is the whole one's."""
    return _entry(topic, change, column, reason, _json(value), 0)


def quarantined_change(topic: str, change: Change, reason: str) -> QuarantinedValue:
    """A whole change. `raw` is its envelope, which names position and GTID; for a row too large to send, the size is the row's."""
    return _entry(topic, change, None, reason, _json_envelope(change), change.envelope.source.oversize)


def row_key(key: bytes | None) -> str | None:
    """A message key as quarantine keeps it, the same for the same key and another for another: its text, or its beginning and a hash
    where a VARCHAR could not hold it."""
    if key is None:
        return None
    text = key.decode(errors="replace")
    if len(key) <= VARCHAR_BYTES_MAX and text.encode() == key and "\x00" not in text:
        return text
    return f"{_cut(text, 1024).replace(chr(0), '')}… sha256:{sha256_hex(key)}"


def key_image(change: Change, key: tuple[str, ...]) -> Row | None:
    """The key's columns of the row a change is of, from its images or else its message key; None when neither has them all."""
    for row in (change.envelope.before if change.envelope.after is None else change.envelope.after, _decoded(change.key)):
        if row is not None and all(name in row for name in key):
            return {name: row[name] for name in key}
    return None


def _decoded(key: bytes | None) -> Row | None:
    try:
        return None if key is None else decode_key(key)
    except ValueError:
        return None


def _entry(topic: str, change: Change, column: str | None, reason: str, raw: bytes, size_bytes: int) -> QuarantinedValue:
    text = _cut(raw.decode(errors="replace"), VARCHAR_BYTES_MAX)
    key = row_key(change.key)
    return QuarantinedValue(topic, PARTITION, change.offset, key, column, _cut(reason, 1024), text, max(size_bytes, len(raw)))


def _json_envelope(change: Change) -> bytes:
    try:
        return change.envelope.encode()
    except TypeError:  # text that is no Unicode
        return repr(change.envelope).encode(errors="backslashreplace")


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return repr(value).encode(errors="backslashreplace")


def _cut(text: str, size_bytes: int) -> str:
    return text.encode()[:size_bytes].decode(errors="ignore")
