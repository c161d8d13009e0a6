"""What the group's committed offsets carry as their metadata: for people the watermark, and for us the commit they tell of."""

import re
from dataclasses import dataclass
from datetime import datetime

from contracts.errors import Gone
from contracts.ledger import Fence

_FORM = re.compile(r"(\S+) commit (\d+) epoch (\d+)")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A commit that was acknowledged to Kafka, so the warehouse had it then."""

    watermark: datetime
    commit_no: int
    epoch: int

    def __str__(self) -> str:
        return f"{self.watermark.isoformat()} commit {self.commit_no} epoch {self.epoch}"

    @classmethod
    def parse(cls, text: str) -> "Mirror | None":
        """None for what is not a mirror's: nothing was committed, or by somebody else."""
        match = _FORM.fullmatch(text)
        try:
            return cls(datetime.fromisoformat(match[1]), int(match[2]), int(match[3])) if match else None
        except ValueError:
            return None


def refuse_restored(fence: Fence, mirror: Mirror | None) -> None:
    """Raises Gone when the warehouse lacks commits that it had: it was restored from a backup."""
    if mirror is None or mirror.commit_no <= fence.commit_no:
        return
    raise Gone(
        f"the warehouse lacks commits {fence.commit_no + 1} to {mirror.commit_no} of shard {fence.shard}, up to "
        f"{mirror.watermark.isoformat()}, which it had: it was restored from a backup. Point the loader at the warehouse that has them; if "
        "this one is to be gone on with: loader adopt-warehouse, and what it lacks is read from Kafka again",
        fault="warehouse_restored",
        shard=fence.shard,
        commit_no=fence.commit_no,
        acknowledged_commit_no=mirror.commit_no,
    )


def regranted(fence: Fence, mirror: Mirror | None, epoch_seen: int) -> tuple[int, int]:
    """The epoch and commit number from which a restored shard goes on: above all that were ever used, so that nothing prepared before can
    be committed and everything left in the bucket is provably dead. `epoch_seen`: the highest in the bucket's keys."""
    epoch = max(fence.epoch, epoch_seen, mirror.epoch if mirror else 0) + 1
    return epoch, max(fence.commit_no, mirror.commit_no if mirror else 0) + 1
