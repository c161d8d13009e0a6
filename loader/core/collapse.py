"""Many changes of one key become the last one: offsets order a table, so the last by offset is its state."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from contracts.envelope import Op, encode_key
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


def latest(changes: Sequence[Change], key: Sequence[str], *, keep_gone: bool = False) -> Sequence[Change]:
    """The last change of each row, in offset order; `changes` themselves when none is superseded. `key`: source names, not empty.
    `keep_gone`: rows that are gone are kept as they last were. What says that a row was looked for in vain doesn't tell how it was, so the
    change before is left then, as a delete."""
    vain = {i for i, change in enumerate(changes) if looked_for_in_vain(change)} if keep_gone else set[int]()
    kept, gone = last_of_rows((identity(change, key) for change in changes), vain)
    if len(kept) == len(changes):
        return changes
    return [as_gone(changes[i]) if i in gone else changes[i] for i in kept]


def last_of_rows(rows: Iterable[object], vain: Collection[int]) -> tuple[Sequence[int], Collection[int]]:
    """Of changes in offset order, told by the `rows` they are of: the indices of those that are left, and of those among them that a later
    one tells the end of. `vain`: the indices of such as tell no more than the end of a row; one is left only where nothing else of its row
    is."""
    last: dict[object, int] = {}
    gone: set[int] = set()
    for i, row in enumerate(rows):
        if i in vain and row in last and last[row] not in vain:
            gone.add(last[row])
        else:
            last[row] = i
    return sorted(last.values()), gone.intersection(last.values())


def looked_for_in_vain(change: Change) -> bool:
    """Whether it says that a row which was read by its key is not there. It holds the key and nothing else."""
    return change.envelope.op is Op.DELETE and change.envelope.source.snapshot


def as_gone(change: Change) -> Change:
    """The delete of the row that this change has left."""
    envelope = change.envelope
    if envelope.op is Op.DELETE:
        return change
    source = replace(envelope.source, snapshot=False)
    return replace(change, envelope=replace(envelope, op=Op.DELETE, before=envelope.after, after=None, source=source))
