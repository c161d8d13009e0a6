"""Commit times as the binlog has them: which transactions came before a moment."""

from contracts.errors import Refused
from contracts.position import Gtid, GtidSet, Interval
from streamer.core.events import Type, event_size
from streamer.core.gtids import AnonymousGtid, GtidEvent, read_commit
from streamer.core.stream import EventStream

_GTID = int(Type.GTID)
_LOOKED_AT = frozenset(map(int, (Type.ROTATE, Type.FORMAT_DESCRIPTION, Type.GTID_TAGGED, Type.ANONYMOUS_GTID)))
_Source = tuple[str, str]


class CommitScan:
    """What a dump says of commit times, up to the first transaction committed at or after `since_us`. Only the events that begin
    transactions are looked at. Times are the server's own (immediate_commit_timestamp): a session cannot set them.

    `first_us`: when the first transaction met was committed. `count`: how many met were committed before the moment. `reached`: one was met
    that was not.
    """

    def __init__(self, since_us: int) -> None:
        self._since_us = since_us
        self._stream = EventStream()
        self._before: dict[_Source, list[Interval]] = {}
        self.first_us: int | None = None
        self.count = 0
        self.reached = False

    def take(self, block: bytes) -> None:
        """Raw events back to back, in order. Raises Corrupt; Refused at a transaction without a GTID, behind which nobody can resume."""
        at, stop = 0, len(block)
        while at < stop and not self.reached:
            size = event_size(block, at)
            kind = block[at + 4]
            if kind == _GTID:
                self._met(*read_commit(block, at, size))
            elif kind in _LOOKED_AT:
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
            self._met(event.gtid, event.immediate_commit_us)

    def _met(self, gtid: Gtid, commit_us: int) -> None:
        if self.first_us is None:
            self.first_us = commit_us
        if commit_us >= self._since_us:
            self.reached = True
            return
        self.count += 1
        runs = self._before.setdefault((gtid.server, gtid.tag), [])
        if runs and runs[-1][1] == gtid.number:
            runs[-1] = (runs[-1][0], gtid.number + 1)
        else:
            runs.append((gtid.number, gtid.number + 1))
