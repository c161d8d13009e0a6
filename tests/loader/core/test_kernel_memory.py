"""What changes kept as columns take in memory."""

import pytest

from contracts.envelope import Op
from loader.core.changes import OpenChanges
from loader.core.plan import Destination
from loader.core.readers import choose
from loader.core.records import Records
from tests.decoders import needs_kernel
from tests.loader.core.collecting import sent
from tests.loader.core.rowmaker import ORDERS, change, target_of

pytestmark = needs_kernel


def opened() -> OpenChanges:
    return choose("kernel").collect(Destination(ORDERS, target_of()), 0)


def filled(changes: OpenChanges, first: int, count: int, *, leaves: bool) -> None:
    """More rows; `leaves`: of every seven one is left."""
    for at in range(first, first + count):
        if at % 7 or not leaves:
            assert changes.read(Records.of(sent(at, Op.CREATE, {"id": at, "name": "n", "total": None})), 0) == 1
        else:
            changes.put(change(at, Op.DELETE, {"id": at}, oversize=9_000_000))


@pytest.mark.parametrize(("leaves", "row_bytes"), [(False, range(40, 160)), (True, range(200, 500))])
def test_memory_grows_with_rows_and_is_given_back_with_them(leaves: bool, row_bytes: range) -> None:
    changes = opened()
    nothing, sizes = changes.memory_bytes, []
    for first in range(0, 3000, 500):
        filled(changes, first, 500, leaves=leaves)
        sizes.append(changes.memory_bytes)
    assert nothing < 500
    assert sizes == sorted(sizes)
    assert all(size // rows in row_bytes for size, rows in zip(sizes, range(500, 3001, 500), strict=True))
    changes.take(1)
    assert sizes[2] < changes.memory_bytes <= sizes[-1]
    changes.take(2498)
    assert changes.memory_bytes // 501 in row_bytes
    changes.take(501)
    assert (len(changes), changes.memory_bytes, changes.size_bytes(0)) == (0, nothing, 0)


def test_rows_taken_again_and_again_leave_no_memory_behind() -> None:
    changes, first, offsets = opened(), 0, list[int]()
    for turn in range(200):
        filled(changes, first, 50, leaves=True)
        first += 50
        count = len(changes) if turn % 5 == 4 else 1 + turn % 50
        size_bytes = changes.size_bytes(count)
        taken = changes.take(count)
        assert (len(taken), taken.size_bytes) == (count, size_bytes)
        offsets.append(taken.stop_offset)
        assert changes.memory_bytes < 300_000
        keys = list(taken.message_keys())
        assert keys == [b'{"id":%d}' % at for at in range(taken.stop_offset - count, taken.stop_offset)]
    assert offsets[-1] == first
