"""Commit times as the binlog has them: which transactions came before a moment."""

from contracts.errors import Refused
from contracts.position import GtidSet, Interval
from streamer.core.events import Type, split_events
from streamer.core.gtids import AnonymousGtid, GtidEvent
from streamer.core.stream import EventStream

_LOOKED_AT = frozenset((Type.ROTATE, Type.FORMAT_DESCRIPTION, Type.GTID, Type.GTID_TAGGED, Type.ANONYMOUS_GTID))
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
        for raw in split_events(block):
            if self.reached:
                return
            if raw[4] in _LOOKED_AT:
                for located in self._stream.feed(raw):
                    self._look(located.event)

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
        if not isinstance(event, GtidEvent):
            return
        if self.first_us is None:
            self.first_us = event.immediate_commit_us
        if event.immediate_commit_us >= self._since_us:
            self.reached = True
            return
        self.count += 1
        gtid = event.gtid
        runs = self._before.setdefault((gtid.server, gtid.tag), [])
        if runs and runs[-1][1] == gtid.number:
            runs[-1] = (runs[-1][0], gtid.number + 1)
        else:
            runs.append((gtid.number, gtid.number + 1))
