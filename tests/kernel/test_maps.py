"""Table maps without number: both decoders forget some, ask again, and go on with the same records."""

import struct

import pytest

from tests.decoders import needs_kernel
from tests.kernel.driving import Pace, both, drive, same_whole, whole
from tests.kernel.test_malformed import BEGIN, HEAD, E, sized

pytestmark = needs_kernel

MAPS_KEPT = 4096


def numbered(table_id: int, name: bytes = b"goods") -> list[bytes]:
    """A transaction of two rows of the table, by a map of its own."""
    head = struct.pack("<IH", table_id, 0)
    raw = E["table_map"]
    table_map = sized(raw[:19] + head + raw[25:].replace(b"\x05goods", bytes([len(name)]) + name, 1))
    return [*BEGIN[len(HEAD) :], table_map, E["write_rows"][:19] + head + E["write_rows"][25:], E["xid"]]


def test_maps_of_one_table_that_take_turns_are_asked_for_each_time_and_keep_its_seqs() -> None:
    raws = [*HEAD, *numbered(7), *numbered(8), *numbered(8), *numbered(7)]
    told = both(raws, Pace(block=4))
    assert [step[0] for step in told].count("routed") == 3
    assert whole(told).rows == 8


@pytest.mark.long
def test_more_maps_than_are_kept_give_the_same_records() -> None:
    # Tables of which many are met again after they were forgotten, and one that is always there.
    order = [*range(MAPS_KEPT + 150), *range(0, MAPS_KEPT, 40)]
    raws = list(HEAD)
    for place, number in enumerate(order):
        raws += numbered(1000 + number, b"t%d" % (number % 300))
        if place % 10 == 0:
            raws += numbered(1, b"always")
    ours, theirs = (whole(drive(name, raws, Pace(block=100))) for name in ("kernel", "python"))
    same_whole(ours, theirs)
    assert ours.error is None
    assert ours.rows == 2 * (len(order) + (len(order) + 9) // 10)
