"""Commit times as the binlog has them: which transactions came before a moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.errors import Refused
from contracts.position import GtidSet, Interval
from streamer.core.events import Type, event_size
from streamer.core.gtids import AnonymousGtid, GtidEvent, read_commit
from streamer.core.stream import EventStream

_GTID = int(Type.GTID)
_FOR_THE_STREAM = frozenset(map(int, (Type.ROTATE, Type.FORMAT_DESCRIPTION, Type.GTID_TAGGED, Type.ANONYMOUS_GTID)))
_Source = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Met:
    """What a run of events says of commit times. `stop`: where it ends. `first_us`: when the first transaction was committed, None for
    there was none. `before`: those committed before the moment, as server and numbers [first, stop). `reached`: the last one was not."""

    stop: int
    first_us: int | None
    before: Sequence[tuple[str, int, int]]
    reached: bool


CommitsMet = Callable[[bytes, int, int], Met]
"""Reads the raw events of a block from a place on, as far as the first transaction committed at that moment (microseconds) or later, or the
first event that tells of a file, of a transaction with a tag or of one without a GTID. Raises Corrupt."""


def commits_met(block: bytes, at: int, since_us: int) -> Met:
    """A CommitsMet; the kernel has another."""
    first_us: int | None = None
    before: list[tuple[str, int, int]] = []
    while at < len(block):
        size = event_size(block, at)
        kind = block[at + 4]
        if kind in _FOR_THE_STREAM:
            break
        if kind == _GTID:
            gtid, commit_us = read_commit(block, at, size)
            first_us = commit_us if first_us is None else first_us
            if commit_us >= since_us:
                return Met(at + size, first_us, before, reached=True)
            before.append((gtid.server, gtid.number, gtid.number + 1))
        at += size
    return Met(at, first_us, before, reached=False)


class CommitScan:
    """What a dump says of commit times, up to the first transaction committed at or after `since_us`. Only the events that begin
    transactions are looked at. Times are the server's own (immediate_commit_timestamp): a session cannot set them.

    `first_us`: when the first transaction met was committed. `count`: how many met were committed before the moment. `reached`: one was met
    that was not.
    """

    def __init__(self, since_us: int, met: CommitsMet = commits_met) -> None:
        self._since_us = since_us
        self._commits_met = met
        self._stream = EventStream()
        self._before: dict[_Source, list[Interval]] = {}
        self.first_us: int | None = None
        self.count = 0
        self.reached = False

    def take(self, block: bytes) -> None:
        """Raw events back to back, in order. Raises Corrupt; Refused at a transaction without a GTID, behind which nobody can resume."""
        at = 0
        while at < len(block) and not self.reached:
            met = self._commits_met(block, at, self._since_us)
            self._took(met.first_us, [((server, ""), (first, stop)) for server, first, stop in met.before], reached=met.reached)
            at = met.stop
            if at < len(block) and not self.reached:
                size = event_size(block, at)
                for located in self._stream.feed(block[at : at + size]):
                    self._look(located.event)
                at += size

    @property
    def before(self) -> GtidSet:
        """The transactions met that were committed before the moment."""
        return GtidSet.of(self._before)

    def _look(self, event: object) -> None:
        if isinstance(event, AnonymousGtid):
            raise Refused(
                f"the binlog holds a transaction without a GTID at {self._stream.position}, from before gtid_mode was ON: a stream can "
                "begin behind it only. Choose a later --from-timestamp"
            )
        if isinstance(event, GtidEvent):
            gtid, us = event.gtid, event.immediate_commit_us
            before = us < self._since_us
            self._took(us, [((gtid.server, gtid.tag), (gtid.number, gtid.number + 1))] if before else [], reached=not before)

    def _took(self, first_us: int | None, before: Sequence[tuple[_Source, Interval]], *, reached: bool) -> None:
        self.first_us = first_us if self.first_us is None else self.first_us
        self.reached = reached
        for source, (first, stop) in before:
            self.count += stop - first
            runs = self._before.setdefault(source, [])
            if runs and runs[-1][1] == first:
                runs[-1] = (runs[-1][0], stop)
            else:
                runs.append((first, stop))
