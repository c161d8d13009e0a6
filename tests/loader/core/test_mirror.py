"""What Kafka remembers of the warehouse's commits tells when it was restored from a backup."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from contracts.errors import Gone
from contracts.ledger import Fence
from contracts.position import GtidSet
from loader.core.mirror import Mirror, refuse_restored, regranted

FENCE = Fence(2, 5, 40, "", 7, 3, GtidSet(), False, 0)
MIRROR = Mirror(datetime(2026, 11, 20, 14, tzinfo=UTC), 40, 5)


def test_a_mirror_reads_as_it_was_written() -> None:
    assert str(MIRROR) == "2026-11-20T14:00:00+00:00 commit 40 epoch 5"
    assert Mirror.parse(str(MIRROR)) == MIRROR


@pytest.mark.parametrize("text", ["", "2026-11-20T14:00:00+00:00", "soon commit 1 epoch 1"])
def test_what_others_commit_is_no_mirror(text: str) -> None:
    assert Mirror.parse(text) is None


@pytest.mark.parametrize("mirror", [None, MIRROR, replace(MIRROR, commit_no=39), replace(MIRROR, epoch=9)])
def test_a_warehouse_that_has_what_was_acknowledged_is_gone_on_with(mirror: Mirror | None) -> None:
    refuse_restored(FENCE, mirror)


def test_a_warehouse_that_lacks_commits_it_had_halts_and_names_them() -> None:
    with pytest.raises(Gone, match=r"lacks commits 41 to 57 of shard 2, up to 2026-11-20T14:00:00.*loader adopt-warehouse"):
        refuse_restored(FENCE, replace(MIRROR, commit_no=57))


@pytest.mark.parametrize(
    ("mirror", "epoch_seen", "expected"),
    [(None, 0, (6, 41)), (None, 9, (10, 41)), (replace(MIRROR, commit_no=57, epoch=12), 9, (13, 58)), (MIRROR, 9, (10, 41))],
)
def test_a_restored_shard_goes_on_above_everything_that_was_ever_used(
    mirror: Mirror | None, epoch_seen: int, expected: tuple[int, int]
) -> None:
    assert regranted(FENCE, mirror, epoch_seen) == expected
