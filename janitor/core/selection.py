"""`--older-than`, `--pattern`, `--all`, retention → which verdicts to act on, and how many may go without being asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from janitor.core.classify import State, Verdict

DELETE_MAX = 1000
SHARE_MAX = 0.2
SHARE_FROM = 100


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the objects of committed batches stay: `keep`, or what a topic has of its own. None is for ever."""

    keep: timedelta | None = None
    topics: Mapping[str, timedelta | None] = field(default_factory=dict)

    def of(self, topic: str) -> timedelta | None:
        return self.topics.get(topic, self.keep)


@dataclass(frozen=True, slots=True)
class Choice:
    """States to act on; of those, what S3 stored longer ago than `older_than`, and whose name fits `pattern` (`*`, `?`, `[…]`; the whole
    name of an object, or of both without their ending, below the partition's folder). States are proof, the rest is politeness.
    `keep`: committed batches stored no longer ago than that are left, with None all of them."""

    states: frozenset[State]
    older_than: timedelta | None = None
    pattern: str | None = None
    keep: timedelta | None = timedelta()

    def __post_init__(self) -> None:
        # No rule here may ever reach what isn't proven or isn't ours.
        if not self.states <= {State.ORPHAN, State.COMMITTED}:
            raise ValueError(f"only orphans and committed batches can be acted on, not {sorted(self.states)}")

    def takes(self, verdict: Verdict, now: datetime) -> bool:
        """`now`: the clock of the server that stored the objects."""
        return self._means(verdict, now) and not self._keeps(verdict, now)

    def leaves(self, verdict: Verdict, now: datetime) -> bool:
        """Whether nothing but `keep` saves it."""
        return self._means(verdict, now) and self._keeps(verdict, now)

    def _means(self, verdict: Verdict, now: datetime) -> bool:
        if verdict.state not in self.states or verdict.key is None:
            return False
        if self.older_than is not None and now - verdict.stored_at <= self.older_than:
            return False
        return self.pattern is None or any(fnmatchcase(name, self.pattern) for name in _names(verdict))

    def _keeps(self, verdict: Verdict, now: datetime) -> bool:
        return verdict.state is State.COMMITTED and (self.keep is None or now - verdict.stored_at <= self.keep)


def _names(verdict: Verdict) -> set[str]:
    paths = {stored.key for stored in verdict.objects} | ({verdict.key.stem} if verdict.key else set())
    return {path.rpartition("/")[2] for path in paths}


def too_many(chosen: int, listed: int, delete_max: int | None) -> str | None:
    """Why so many objects may not go without `--yes`, or None. `delete_max`: the person's own cap, which then is the only one; else a
    thousand, and a fifth of what is there from a hundred objects on."""
    if delete_max is not None:
        return f"{chosen} objects are more than --max-delete {delete_max}" if chosen > delete_max else None
    if chosen > DELETE_MAX:
        return f"{chosen} objects are more than {DELETE_MAX}"
    if chosen > SHARE_FROM and chosen > listed * SHARE_MAX:
        return f"{chosen} objects are more than {SHARE_MAX:.0%} of the {listed} there"
    return None
