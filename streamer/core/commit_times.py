"""Commit times of source transactions → the time up to which a pipeline holds everything."""

from dataclasses import dataclass

from contracts.position import BinlogPosition, Gtid, GtidSet


@dataclass(frozen=True, slots=True)
class CommitTimes:
    """What commit times promise. Servers' clocks step back, so the promise stays behind the newest time seen by the greatest step seen,
    and it never falls. All in microseconds since the epoch."""

    promised_us: int = 0
    newest_us: int = 0
    backstep_us: int = 0

    def seen(self, commit_us: int) -> "CommitTimes":
        """After a transaction committed at `commit_us`, or the server's clock said so with nothing new executed since."""
        return self.after(commit_us, commit_us, 0)

    def after(self, lowest_us: int, newest_us: int, backstep_us: int) -> "CommitTimes":
        """After a run of transactions: its lowest and newest commit times and the greatest step back inside it."""
        backstep = max(self.backstep_us, self.newest_us - lowest_us, backstep_us)
        newest = max(self.newest_us, newest_us)
        return CommitTimes(max(self.promised_us, newest - backstep), newest, backstep)


@dataclass(frozen=True, slots=True)
class SourceCommits:
    """Source transactions that were committed one after another. Their commit times on the server we read from, in microseconds:
    the `lowest_us`, the `newest_us`, and the greatest step back from a newer one to an older one among them. `end`: where the last one
    ends."""

    gtids: GtidSet
    count: int
    lowest_us: int
    newest_us: int
    backstep_us: int
    end: BinlogPosition

    @classmethod
    def one(cls, gtid: Gtid, commit_us: int, end: BinlogPosition) -> "SourceCommits":
        return cls(GtidSet().with_gtid(gtid), 1, commit_us, commit_us, 0, end)


def idle_time(clock_us: int, executed_then: GtidSet, executed_now: GtidSet, ours: GtidSet) -> int | None:
    """The commit time up to which everything is on Kafka when the source is idle: the server's clock at an earlier look, if what it had
    executed then is what it has executed now, and all of it is ours; else None. One look would not do: a transaction gets its commit time
    a little before it counts as executed."""
    return clock_us if executed_then == executed_now == ours else None
