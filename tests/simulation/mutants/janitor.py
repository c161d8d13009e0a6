"""What the janitor takes for dead."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from janitor.core.classify import State, Verdict, classify, gather
from janitor.service import Janitor, Survey
from tests.simulation.variant import Variant


class JanitorByAge(Janitor):
    """Takes what is old and not in the ledger for dead."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        found = super().survey(topic, as_if_fenced=as_if_fenced)
        return replace(found, verdicts=[self._judged(verdict, found) for verdict in found.verdicts])

    def _judged(self, verdict: Verdict, found: Survey) -> Verdict:
        old = found.at - verdict.stored_at > timedelta(seconds=2)
        return replace(verdict, state=State.ORPHAN) if verdict.state is State.IN_FLIGHT and old else verdict


class JanitorWithoutClauses(Janitor):
    """Takes what is not in the ledger for dead."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        found = super().survey(topic, as_if_fenced=as_if_fenced)
        dead = [replace(v, state=State.ORPHAN) if v.state is State.IN_FLIGHT else v for v in found.verdicts]
        return replace(found, verdicts=dead)


class JanitorOfThisEpoch(Janitor):
    """epoch <= fence's instead of <."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        listing = self._bucket.list(topic)
        snapshot = self._snapshot(topic, 0)
        bumped = replace(snapshot, epochs={shard: epoch + 1 for shard, epoch in snapshot.epochs.items()})
        return Survey(topic, listing.at, classify(gather(listing.objects, topic), bumped), snapshot)


class JanitorOfTheNextOffset(Janitor):
    """start <= next_offset instead of <."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        listing = self._bucket.list(topic)
        snapshot = self._snapshot(topic, 0)
        offsets = {number: replace(offset, next_offset=offset.next_offset + 1) for number, offset in snapshot.offsets.items()}
        return Survey(topic, listing.at, classify(gather(listing.objects, topic), replace(snapshot, offsets=offsets)), snapshot)


class LedgerBeforeList(Janitor):
    """Reads the ledger, then lists, then reads the fence: what was committed in between looks dead."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        ledger = self._snapshot(topic, 0)
        listing = self._bucket.list(topic)
        snapshot = replace(self._snapshot(topic, 0), batches=ledger.batches)
        return Survey(topic, listing.at, classify(gather(listing.objects, topic), snapshot), snapshot)


class LedgerOlderThanFence(Janitor):
    """Lists first, as it must, but takes ledger and fence from two snapshots."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        listing = self._bucket.list(topic)
        ledger = self._snapshot(topic, 0)
        snapshot = replace(self._snapshot(topic, 0), batches=ledger.batches)
        return Survey(topic, listing.at, classify(gather(listing.objects, topic), snapshot), snapshot)


MUTANTS: Sequence[Variant] = (
    Variant("janitor by age", shows=("I4_COMMITTED_DELETED",), janitor=JanitorByAge),
    Variant("janitor without epoch and offset clauses", shows=("I4_COMMITTED_DELETED",), janitor=JanitorWithoutClauses),
    Variant("janitor: epoch <= instead of <", shows=("I4_COMMITTED_DELETED",), janitor=JanitorOfThisEpoch),
    Variant("janitor: start <= instead of <", shows=("I4_COMMITTED_DELETED",), janitor=JanitorOfTheNextOffset),
    Variant("janitor: ledger read before the list", shows=("I4_COMMITTED_DELETED",), janitor=LedgerBeforeList),
    Variant("janitor: ledger older than the fence", shows=("I4_COMMITTED_DELETED",), janitor=LedgerOlderThanFence),
)
