"""Where a stream begins that is to hold everything since a moment: found by commit times, in a few binlog files, not by reading all.

A dump that is started from a file's PREVIOUS_GTIDS begins with that file's first transaction, so one event tells when a file begins.
"""

from datetime import UTC, datetime, timedelta

import structlog

from contracts.errors import Invalid, Refused, Unavailable
from contracts.position import GtidSet
from streamer.core.commits import CommitScan
from streamer.core.events import Type
from streamer.ports import Ports, ServerStatus

_PATIENCE = timedelta(seconds=30)  # for the next event of a dump that has some to give
_WAIT = timedelta(seconds=1)

log = structlog.get_logger()


def set_before(ports: Ports, status: ServerStatus, since_us: int) -> GtidSet:
    """What the server had executed before its first transaction committed at or after `since_us`; all it has when there is none yet.
    Binlog files are taken to follow each other in time: a server clock that stepped back by more than a file holds is not noticed.

    Raises Refused when that transaction may be purged, naming the oldest moment there is, Invalid for a moment to come, Unavailable.
    """
    if since_us > status.now_us:
        raise Invalid(f"--from-timestamp {_told(since_us)} is in the future: the server's clock says {_told(status.now_us)}")
    files = ports.server.binlogs()
    low, high = 0, len(files) - 1
    while low < high:  # the last file that begins before the moment holds it
        middle = (low + high + 1) // 2
        first_us = _first_commit_us(ports, status, ports.server.previous_gtids(files[middle]))
        if first_us is not None and first_us < since_us:
            low = middle
        else:
            high = middle - 1
    previous = ports.server.previous_gtids(files[low])
    scan = _scanned(ports, status, previous, since_us)
    if low == 0 and previous and (scan.first_us is None or scan.first_us > since_us):
        oldest = "nothing" if scan.first_us is None else f"nothing before {_told(scan.first_us)}"
        raise Refused(
            f"--from-timestamp {_told(since_us)}: the server has purged its older binlogs and holds {oldest}, so rows changed since then "
            "would be missing. Choose that moment or a later one, or stream a replica that still has those binlogs",
            purged=str(status.purged),
        )
    log.info("backfill.found", since=_told(since_us), file=files[low], files=len(files), skipped=scan.count)
    return previous.union(scan.before)


def _first_commit_us(ports: Ports, status: ServerStatus, previous: GtidSet) -> int | None:
    """When the first transaction not in `previous` was committed; None when there is none."""
    return _scanned(ports, status, previous, 0).first_us


def _scanned(ports: Ports, status: ServerStatus, previous: GtidSet, since_us: int) -> CommitScan:
    """The transactions behind `previous`, up to the first one not before the moment, or to the last the server had executed."""
    scan = CommitScan(since_us)
    if not (wanted := status.executed.minus(previous).count()):
        return scan
    ports.binlog.start(previous)
    heard = ports.clock.now()
    # Sets are dear to compare, and there may be a million transactions; numbers are not.
    while not scan.reached and (scan.count < wanted or not status.executed.is_subset(previous.union(scan.before))):
        if (block := ports.binlog.next(_WAIT)) is not None:
            scan.take(block)
            if block[4] not in (Type.HEARTBEAT, Type.HEARTBEAT_V2):
                heard = ports.clock.now()
        if ports.clock.now() - heard > _PATIENCE:
            raise Unavailable("the server has transactions we lack, and its dump does not send them")
    return scan


def _told(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).isoformat()
