"""Whether a server's history is the one the stream came from: asked before it goes on, and while it does."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from contracts.errors import Gone, Unavailable
from contracts.position import BinlogPosition, Gtid, GtidSet

_GTID_NEXT = re.compile(r"GTID_NEXT= '([0-9a-f-]{36}:[0-9a-z_:]*\d)'")
_ADOPT = "streamer adopt-server, which empties every table and reads it again from the server as it is"


def check_continuity(ours: GtidSet, executed: GtidSet, purged: GtidSet) -> None:
    """Raises Gone unless the server holds everything that is on Kafka and still has everything that isn't, whoever it is: after a failover
    to a server that lags it would stream on without a word."""
    if phantom := ours.minus(executed):
        raise Gone(
            f"the server never executed transactions that are on Kafka already: {phantom}. It is behind or has lost them (a failover?), or "
            f"its history was reset. Point the streamer at a server that has them; if there is none: {_ADOPT}",
            fault="transactions_lost",
            missing=str(phantom),
        )
    if lost := purged.minus(ours):
        raise Gone(
            f"the server has purged binlogs that are not on Kafka yet: {lost}. Point the streamer at a server that still has them; if "
            f"there is none: {_ADOPT}; and raise binlog_expire_logs_seconds",
            fault="binlog_purged",
            missing=str(lost),
        )


def check_place(place: BinlogPosition, ours: GtidSet, files: Sequence[str], previous: GtidSet | None, follows: str | None) -> None:
    """Raises Gone when the server's binlog is not the one that the stream left at `place`, having taken `ours` of it. After a RESET a
    server numbers its transactions from 1 again: once it has as many as before, its GTIDs alone look as if nothing had happened.

    `files`: those it has. `previous`, `follows`, of a server that has the file: what was executed before the file began, and what the event
    at the place says of itself, empty at the file's end, None when no event begins there."""
    if place.file in files:
        same = follows is not None and previous is not None and previous.is_subset(ours) and not _names_one_of(ours, follows)
    else:
        # Purged, having been read to its end.
        same = bool(files) and place.is_before(BinlogPosition(files[0], 4))
    if not same:
        raise Gone(
            f"the server's binlog is not the one that was streamed up to {place}: its history was reset, or it was restored from a backup, "
            f"and it counts other transactions under the GTIDs that are on Kafka, {ours}. Point the streamer at the server it came from; "
            f"if there is none: {_ADOPT}",
            fault="history_reset",
            missing=str(ours),
        )


def _names_one_of(ours: GtidSet, follows: str) -> bool:
    """Whether the event begins a transaction that we have."""
    found = _GTID_NEXT.search(follows)
    return found is not None and Gtid.parse(found[1]) in ours


def purged_at_us(expire_seconds: str | None, auto_purge: str | None, newest_commit_us: int) -> int | None:
    """When the server may purge what the stream must read next, which was committed at `newest_commit_us` or later; None when it purges
    nothing by itself. Binlogs go by the age of their last event, so this is the earliest. The first two as SHOW VARIABLES has them."""
    seconds = int(expire_seconds or 0)
    if not seconds or (auto_purge or "ON").upper() == "OFF":
        return None
    return newest_commit_us + seconds * 1_000_000


class Watch:
    """Looks at the server beside the stream. A dump survives a RESET, and a control connection made anew may lead elsewhere: neither says
    so."""

    def __init__(self, server_uuid: str, stall_patience: timedelta) -> None:
        """`stall_patience`: for the dump to send what the server has executed, once it had sent everything before."""
        self._server_uuid = server_uuid
        self._stall_patience = stall_patience
        self._executed = GtidSet()
        self._ours = GtidSet()
        self._ours_since: datetime | None = None  # None until the stream was level with the server

    def look(self, server_uuid: str, executed: GtidSet, streamed: GtidSet, ours: GtidSet, now: datetime, *, under_way: bool) -> None:
        """`streamed`: every transaction of which a row was taken; `ours`: those taken whole; `under_way`: one is being taken. Raises Gone
        when the server has lost what it sent, Unavailable when the stream must begin anew to know where it stands."""
        if server_uuid != self._server_uuid:
            raise Unavailable(f"the control connection leads to server {server_uuid}, and the stream comes from {self._server_uuid}")
        before, self._executed = self._executed, executed
        if not before.is_subset(executed):
            # That it lacks what it has sent would prove nothing: it may wait for its replicas before it commits.
            check_continuity(streamed, executed, GtidSet())
            raise Unavailable(f"the server had executed {before.minus(executed)} and has not any more: its history was reset")
        if executed.is_subset(ours) or under_way or ours != self._ours:
            self._ours_since = now if self._ours_since is not None or executed.is_subset(ours) else None
            self._ours = ours
        elif self._ours_since is not None and now - self._ours_since >= self._stall_patience:
            raise Unavailable(f"the server has executed {executed.minus(ours)}, and its dump does not send them")
