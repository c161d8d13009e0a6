"""What the janitor needs from the world. Every effect crosses one of these; the method's name is the name of its crash point
(`janitor.<method>`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from janitor.core.snapshot import LedgerBatch, StoredObject, TopicSnapshot


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything below one folder. `at`: the server's clock when it began to list; ages are measured from there."""

    at: datetime
    objects: Sequence[StoredObject]


@dataclass(frozen=True, slots=True)
class Top:
    """What lies directly below the prefix: folders by name, and stray objects."""

    folders: Sequence[str]
    objects: Sequence[StoredObject]


class Bucket(Protocol):
    """The bucket below the pipeline's prefix. Raises Unavailable, Invalid."""

    def top(self) -> Top: ...

    def list(self, folder: str) -> Listing:
        """All objects below a folder; what was stored before the call is in it."""

    def delete(self, stored: StoredObject) -> bool:
        """Removes this object if it still is the one listed. False when another is in its place; True also when it is gone already."""

    def abort_uploads(self, beginning: str, older_than: timedelta) -> int:
        """Aborts unfinished multipart uploads, begun longer ago than that, of batch keys with this beginning; how many."""


class Ledger(Protocol):
    """The warehouse. Raises Unavailable, Refused when there is no ledger."""

    def topics(self) -> Mapping[str, str]:
        """The source table of every topic the ledger knows."""

    def snapshot(self, topic: str, since: int | None) -> TopicSnapshot:
        """All of it in one snapshot, begun after every earlier call here and to the bucket ended. Of the ledger, which grows for ever, the
        batches that start at offset `since` (None: at no offset) or later, and those whose objects are not recorded as deleted."""

    def bump_epoch(self, shard: int, above: int = 0) -> int:
        """Epoch + 1, or above + 1 if that is more, in a transaction of its own, so that no attempt made before can be committed. Raises
        OutcomeUnknown; asking again is safe."""

    def mark_deleted(self, topic: str, batches: Sequence[LedgerBatch], at: datetime) -> None:
        """Records that the objects of these batches are gone. Safe to repeat."""
