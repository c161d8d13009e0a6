"""Looks at the source server beside the stream: whether it is still the one that is streamed, how far behind we are, whether it is idle,
and whether all its changes are in its binlog."""

from datetime import datetime, timedelta

from contracts.position import GtidSet
from streamer.core.commit_times import idle_time
from streamer.core.continuity import Watch
from streamer.ports import SourceServer
from streamer.service.cascades import Cascades
from streamer.service.tallies import Tallies
from streamer.service.transaction import KafkaTransaction


class Looking:
    """What was seen at the last look, and when that was."""

    def __init__(
        self,
        server: SourceServer,
        watch: Watch,
        cascades: Cascades,
        transaction: KafkaTransaction,
        tallies: Tallies,
        idle_every: timedelta,
        now: datetime,
    ) -> None:
        """`idle_every`: the least time between two looks whether the server is idle."""
        self._server = server
        self._watch = watch
        self._cascades = cascades
        self._transaction = transaction
        self._tallies = tallies
        self._idle_every = idle_every
        self._seen: tuple[int, GtidSet] | None = None  # the server's clock and executed set at the last look at an idle one
        self.looked_at = self.idle_at = now  # at the server; at an idle one

    def look(self, now: datetime) -> tuple[int, GtidSet]:
        """The server's clock and what it has executed; notes how far behind we are. Raises Gone, Unavailable when it is not the server any
        more that the stream came from; Refused when it has come to change rows that the stream does not bring."""
        status, opened = self._server.status(), self._transaction.open
        self.looked_at = now
        under_way = self._transaction.source.under_way or opened.rows > 0
        self._watch.look(status.uuid, status.executed, opened.streamed, opened.gtid_set, now, under_way=under_way)
        self._cascades.look(status, opened.begun)
        self._tallies.looked(status.executed.minus(opened.gtid_set).count(), status.variables)
        return status.now_us, status.executed

    def look_idle(self, now: datetime) -> None:
        """Nothing comes: notes in the open Kafka transaction up to when and where that is all there is, if the server says so."""
        if now - self.looked_at < self._idle_every:
            return
        self.idle_at = now
        opened, before, end = self._transaction.open, self._seen, self._server.binlog_end()
        clock_us, executed = self.look(now)
        if before is not None and (until := idle_time(*before, executed, opened.gtid_set)) is not None:
            opened.idle_until(until)
        self._seen = (clock_us, executed)
        if executed.is_subset(opened.gtid_set):
            # The server's own word: the dump may still be on its way to where it has something new.
            opened.stands_at(end)
