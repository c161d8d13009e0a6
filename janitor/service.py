"""Survey, choose, delete. The order is the proof: first the list, then the snapshot; and nothing goes before all of it was counted."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.errors import Invalid, PipelineError, Refused, Unavailable
from contracts.ledger import Guard
from janitor.core.classify import State, Verdict, classify, gather, missing
from janitor.core.selection import Choice, Retention, too_many
from janitor.core.snapshot import LedgerBatch, StoredObject, TopicSnapshot, refuse_unprovable
from janitor.core.swept import Swept
from janitor.ports import Bucket, Ledger

ORPHAN_AGE = timedelta(hours=1)
"""What the sweep leaves alone although it is proven dead: a COPY that read it may still be running, and need not fail for it."""

UPLOAD_AGE = timedelta(days=1)

ATTEMPTS_AT_A_TIME = 8
"""What is deleted together: a request to S3 takes ten times as long to answer as to send."""

Outcome = bool | PipelineError
Each = Callable[[Callable[[Verdict], Outcome], Sequence[Verdict]], Iterable[Outcome]]
"""Calls a function for each of some verdicts, in any order or at the same time; the results are in the verdicts' order."""


@dataclass(frozen=True, slots=True)
class Survey:
    """One topic's objects and what they are. `at`: the bucket's clock."""

    topic: str
    at: datetime
    verdicts: Sequence[Verdict]
    snapshot: TopicSnapshot

    def chosen(self, choice: Choice) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if choice.takes(verdict, self.at)]

    def kept(self, choice: Choice) -> int:
        """How many would be chosen, too, if the choice kept none."""
        return sum(choice.leaves(verdict, self.at) for verdict in self.verdicts)

    @property
    def objects(self) -> int:
        return sum(len(verdict.objects) for verdict in self.verdicts)


@dataclass(slots=True)
class Plan:
    """What is to be deleted, of how many objects there are."""

    at: datetime | None = None
    listed: int = 0
    chosen: list[tuple[str, Verdict]] = field(default_factory=list)
    ledger_empty: bool = False

    def add(self, survey: Survey, verdicts: Iterable[Verdict]) -> None:
        self.at = self.at or survey.at
        self.listed += survey.objects
        self.chosen += [(survey.topic, verdict) for verdict in verdicts]
        self.ledger_empty = self.ledger_empty or survey.snapshot.ledger_empty

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for _, verdict in self.chosen]

    def refuse_unasked(self, delete_max: int | None) -> None:
        """Raises Refused for what only a person may confirm."""
        if self.chosen and self.ledger_empty:
            raise Refused(
                "the ledger is empty; if no batch was ever committed that is right, else it was emptied or restored: --yes says it is right"
            )
        if reason := too_many(sum(len(verdict.objects) for verdict in self.verdicts), self.listed, delete_max):
            raise Refused(f"{reason}; nothing was deleted. Look at them with --dry-run, then add --yes")


class Janitor:
    """Raises Refused whenever the ledger can't be asked or isn't ours: then nothing is proven."""

    def __init__(
        self, bucket: Bucket, ledger: Ledger, guard: Guard, stopping: Callable[[], bool] = lambda: False, each: Each = map
    ) -> None:
        self._bucket = bucket
        self._ledger = ledger
        self._guard = guard
        self._stopping = stopping
        self._each = each

    def topics(self) -> list[str]:
        """Every topic of the pipeline that has objects or a place in the ledger."""
        stored = {folder for folder in self._bucket.top().folders if folder.startswith(f"{self._guard.pipeline}.")}
        return sorted(stored | set(self._known()))

    def strays(self) -> list[Verdict]:
        """What lies beside the topics' folders; folders of other pipelines are not looked into."""
        return [Verdict(State.FOREIGN, "not below a topic of this pipeline", (stored,)) for stored in self._bucket.top().objects]

    def checks(self, now: datetime) -> Iterator[tuple[str, Callable[[], object]]]:
        """What must work before anything else does, each as a call that raises when it doesn't. They change nothing."""
        yield "listing the bucket", self._bucket.top
        # Of a name that is nobody's: the right to delete, and on condition, shows all the same.
        yield "deleting on condition", lambda: self._bucket.delete(StoredObject("tidemark-check", '"no-object"', 0, now))
        # Older than any is: they are listed, and none is aborted. A sweep comes to them when it has deleted.
        yield "listing unfinished uploads", lambda: self._bucket.abort_uploads(f"{self._guard.pipeline}.", timedelta.max)
        yield "reading the ledger", lambda: self._snapshot(f"{self._guard.pipeline}.check", None)

    def refuse_unknown(self, topic: str, table: str) -> None:
        """Raises Invalid for a table of which nothing is stored or loaded, if any other is: most likely its name is misspelt."""
        known = self._known()
        if known and topic not in known and not self._bucket.list(topic).objects:
            near = difflib.get_close_matches(table, known.values(), n=1)
            there = ", ".join(sorted(known.values())[:10])
            raise Invalid(f"nothing of {table} is stored or loaded; {f'did you mean {near[0]}?' if near else f'there are {there}'}")

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        """`as_if_fenced`: judges as it would be after `fence`, for those who only look."""
        listing = self._bucket.list(topic)
        gathered = gather(listing.objects, topic)
        snapshot = self._snapshot(topic, gathered.first_offset)
        if as_if_fenced:
            snapshot = snapshot.fenced()
        return Survey(topic, listing.at, classify(gathered, snapshot), snapshot)

    def fence(self, topics: Sequence[str]) -> list[int]:
        """Bumps the epoch of every shard that owns one of the topics, so that even the newest attempt becomes provable; a running loader
        takes its shard over again. Whose a topic is that nobody has loaded yet is not known: all shards are brought above the highest of
        their epochs. Returns the shards."""
        above: dict[int, int] = {}
        for topic in topics:
            snapshot = self._snapshot(topic, None)
            _, highest = snapshot.epochs_of_owner
            for shard in snapshot.owners:
                above[shard] = max(highest, above.get(shard, 0))
        for shard in sorted(above):
            self._ledger.bump_epoch(shard, above[shard])
        return sorted(above)

    def delete(self, plan: Plan) -> Iterator[Verdict]:
        """Deletes what was chosen, and yields each attempt of which nothing is left. What was put in an object's place meanwhile stays.
        Ends early when asked to stop. Raises what S3 made of the first that failed, once those beside it are told."""
        gone: dict[str, list[LedgerBatch]] = {}
        try:
            for at in range(0, len(plan.chosen), ATTEMPTS_AT_A_TIME):
                if self._stopping():
                    return
                some = plan.chosen[at : at + ATTEMPTS_AT_A_TIME]
                failed: PipelineError | None = None
                for (topic, verdict), outcome in zip(some, self._each(self._removed, [verdict for _, verdict in some]), strict=True):
                    if isinstance(outcome, PipelineError):
                        failed = failed or outcome
                    elif outcome:
                        if verdict.batch is not None:
                            gone.setdefault(topic, []).append(verdict.batch)
                        yield verdict
                if failed is not None:
                    raise failed
        finally:
            for topic, batches in gone.items():
                assert plan.at is not None
                self._ledger.mark_deleted(topic, batches, plan.at)

    def _removed(self, verdict: Verdict) -> Outcome:
        try:
            return not self._stopping() and all(self._bucket.delete(stored) for stored in verdict.objects)
        except PipelineError as error:
            return error

    def sweep(
        self,
        retention: Retention,
        *,
        confirmed: bool,
        delete_max: int | None,
        dry_run: bool,
        tell: Callable[[Verdict], object] = lambda verdict: None,
    ) -> Swept:
        """Orphans older than an hour, committed batches past their retention, unfinished uploads. A person must confirm orphans alone: how
        many batches expire is the settings' doing. `tell` hears of each attempt that is gone, as soon as it is. Raises Refused, before
        anything goes, for too many orphans or, while the ledger is empty, any."""
        swept = Swept()
        orphans, expired = Plan(), Plan()
        for topic in self.topics():
            if self._stopping():
                swept.finished = False
                return swept
            survey = self.survey(topic)
            swept.at = swept.at or survey.at
            swept.tables += 1
            swept.found(survey.verdicts)
            orphans.add(survey, survey.chosen(Choice(frozenset({State.ORPHAN}), older_than=ORPHAN_AGE)))
            keep = retention.of(topic)
            expired.add(survey, survey.chosen(Choice(frozenset({State.COMMITTED}), keep=keep)))
            if keep is not None and not dry_run:
                self._record_missing(survey, keep)
        swept.found(self.strays())
        if dry_run:
            swept.orphans, swept.expired = orphans.verdicts, expired.verdicts
            return swept
        if not confirmed:
            orphans.refuse_unasked(delete_max)
        for plan, gone in ((orphans, swept.orphans), (expired, swept.expired)):
            for verdict in self.delete(plan):
                tell(verdict)
                gone.append(verdict)
        swept.finished = not self._stopping()
        if swept.finished:
            swept.uploads = self._bucket.abort_uploads(f"{self._guard.pipeline}.", UPLOAD_AGE)
        return swept

    def _record_missing(self, survey: Survey, keep: timedelta) -> None:
        # A janitor died between the last delete and the record of it. Young batches are left out: they may be newer than the list.
        lost = [batch for batch in missing(survey.verdicts, survey.snapshot) if survey.at - batch.committed_at > keep]
        if lost:
            self._ledger.mark_deleted(survey.topic, lost, survey.at)

    def _known(self) -> dict[str, str]:
        try:
            return dict(self._ledger.topics())
        except Unavailable as error:
            raise _unproven(error) from error

    def _snapshot(self, topic: str, since: int | None) -> TopicSnapshot:
        try:
            snapshot = self._ledger.snapshot(topic, since)
        except Unavailable as error:
            raise _unproven(error) from error
        refuse_unprovable(snapshot, self._guard)
        return snapshot


def _unproven(error: Unavailable) -> Refused:
    return Refused(f"the warehouse can't be asked, so nothing is proven and nothing was deleted: {error.message}", **error.fields)
