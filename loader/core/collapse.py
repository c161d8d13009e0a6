"""Many changes of one key become the last one: offsets order a table, so the last by offset is its state."""

from collections.abc import Sequence

from contracts.envelope import encode_key
from loader.core.records import Change


def identity(change: Change, key: Sequence[str]) -> object:
    """What names the row a change is of: the bytes of its message key. A record without one is named by its row.

    A zero date travels as null, so the keys of all of them look alike; a change whose key MySQL holds as such is a row of its own.
    """
    raw = change.envelope.source.raw
    if raw and not raw.keys().isdisjoint(key):
        return change.offset
    if change.key is not None:
        return change.key
    row = change.envelope.before if change.envelope.after is None else change.envelope.after
    if row is None or any(name not in row for name in key):
        return change.offset
    return encode_key(key, row)


def latest(changes: Sequence[Change], key: Sequence[str]) -> Sequence[Change]:
    """The last change of each row, in offset order; `changes` themselves when none is superseded. `key`: source names, not empty."""
    last = {identity(change, key): i for i, change in enumerate(changes)}
    return changes if len(last) == len(changes) else [changes[i] for i in sorted(last.values())]
