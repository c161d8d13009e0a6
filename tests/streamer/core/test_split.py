"""A source transaction taken up again where it was split."""

import pytest

from contracts.errors import Corrupt
from contracts.position import Gtid
from streamer.core.split import SplitTransaction

GTID = Gtid("11111111-2222-3333-4444-555555555555", 1)


def rows(split: SplitTransaction, *values: bytes) -> list[bytes]:
    """Those that are to be handed on."""
    handed = []
    for value in values:
        if not split.next_is_out:
            handed.append(value)
        split.take(value)
    return handed


def test_a_split_transaction_taken_up_again_hands_on_the_rest() -> None:
    first = SplitTransaction(GTID)
    assert rows(first, b"a", b"b") == [b"a", b"b"]
    again = SplitTransaction(GTID, first.so_far())
    assert rows(again, b"a", b"b", b"c") == [b"c"]
    again.finish()
    done = again.so_far()
    assert done is not None
    assert done.rows_done == 3


def test_what_is_out_stays_out_while_it_is_taken_up_again() -> None:
    first = SplitTransaction(GTID)
    assert first.so_far() is None
    rows(first, b"a", b"b")
    again = SplitTransaction(GTID, first.so_far())
    rows(again, b"a")
    assert again.so_far() == first.so_far()


@pytest.mark.parametrize("others", [(b"a", b"x"), (b"b", b"a"), (b"ab", b"")])
def test_other_rows_or_another_order_are_noticed_before_a_row_is_handed_on(others: tuple[bytes, bytes]) -> None:
    first = SplitTransaction(GTID)
    rows(first, b"a", b"b")
    again = SplitTransaction(GTID, first.so_far())
    with pytest.raises(Corrupt, match="other rows or in another order"):
        rows(again, *others)


def test_fewer_rows_than_are_out_are_noticed_at_the_end() -> None:
    first = SplitTransaction(GTID)
    rows(first, b"a", b"b")
    again = SplitTransaction(GTID, first.so_far())
    rows(again, b"a")
    with pytest.raises(Corrupt, match="only 1"):
        again.finish()
