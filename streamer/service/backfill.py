"""What happened since a moment: where it begins, found by commit times in a few binlog files, not by reading all; and what changed since.

A dump that is started from a file's PREVIOUS_GTIDS begins with that file's first transaction, so one event tells when a file begins.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from contracts.envelope import decode_key
from contracts.errors import Invalid, Refused, Unavailable
from contracts.position import GtidSet
from contracts.signals import KEYS_BYTES_MAX, KEYS_MAX, Ask, Signal
from contracts.table import TableId, TableSchema
from streamer.core.commits import CommitScan, CommitsMet, commits_met
from streamer.core.decoder import Decoder
from streamer.core.events import Type
from streamer.core.names import spelling
from streamer.core.route import Choices, route
from streamer.core.select import select_keys
from streamer.core.window import Changed, WindowScan
from streamer.ports import BinlogSource, Clock, KeyStore, ServerStatus, SourceServer

_PATIENCE = timedelta(seconds=30)  # for the next event of a dump that has some to give
_WAIT = timedelta(seconds=1)

log = structlog.get_logger()


class Source(Protocol):
    """Of `Ports` what is needed here. The dump connection is not the stream's, or the stream has not begun."""

    @property
    def clock(self) -> Clock: ...

    @property
    def server(self) -> SourceServer: ...

    @property
    def binlog(self) -> BinlogSource: ...


def set_before(ports: Source, status: ServerStatus, since_us: int, met: CommitsMet = commits_met) -> GtidSet:
    """What the server had executed before its first transaction committed at or after `since_us`; all it has when there is none yet.
    Binlog files are taken to follow each other in time: a server clock that stepped back by more than a file holds is not noticed.

    Raises Refused when that transaction may be purged, naming the oldest moment there is, Invalid for a moment to come, Unavailable.
    """
    if since_us > status.now_us:
        raise Invalid(f"--from-timestamp {told(since_us)} is in the future: the server's clock says {told(status.now_us)}")
    files = ports.server.binlogs()
    low, high = 0, len(files) - 1
    while low < high:  # the last file that begins before the moment holds it
        middle = (low + high + 1) // 2
        first_us = _scanned(ports, status, ports.server.previous_gtids(files[middle]), 0, met).first_us
        if first_us is not None and first_us < since_us:
            low = middle
        else:
            high = middle - 1
    previous = ports.server.previous_gtids(files[low])
    scan = _scanned(ports, status, previous, since_us, met)
    if low == 0 and previous and (scan.first_us is None or scan.first_us > since_us):
        oldest = "nothing" if scan.first_us is None else f"nothing before {told(scan.first_us)}"
        raise Refused(
            f"--from-timestamp {told(since_us)}: the server has purged its older binlogs and holds {oldest}, so rows changed since then "
            "would be missing. Choose that moment or a later one, or stream a replica that still has those binlogs, or have all rows read: "
            "`streamer snapshot -t TABLE --resync` beside a running streamer, a start without --from-timestamp for a new pipeline",
            purged=str(status.purged),
        )
    log.info("backfill.found", since=told(since_us), file=files[low], files=len(files), skipped=scan.count)
    return previous.union(scan.before)


def _scanned(ports: Source, status: ServerStatus, previous: GtidSet, since_us: int, met: CommitsMet) -> CommitScan:
    """The transactions behind `previous`, up to the first one not before the moment, or to the last the server had executed."""
    scan = CommitScan(since_us, met)
    if not (wanted := status.executed.minus(previous).count()):
        return scan
    # Sets are dear to compare, and there may be a million transactions; numbers are not.
    for block in dump(ports, previous):
        scan.take(block)
        if scan.reached or (scan.count >= wanted and status.executed.is_subset(previous.union(scan.before))):
            break
    return scan


def dump(ports: Source, previous: GtidSet) -> Iterator[bytes]:
    """Events behind `previous`, for as long as the caller knows that there are more to come."""
    ports.binlog.start(previous)
    heard = ports.clock.now()
    while True:
        if (block := ports.binlog.next(_WAIT)) is not None:
            yield block
            if block[4] not in (Type.HEARTBEAT, Type.HEARTBEAT_V2):
                heard = ports.clock.now()
        if ports.clock.now() - heard > _PATIENCE:
            raise Unavailable("the server has transactions we lack, and its dump does not send them")


@dataclass(frozen=True, slots=True)
class Mending:
    """What is to be done about a table that changed. `keys`: rows to be read again. `snapshot`: why the whole table is, empty for not.
    `events`: row events to be sent again; `unsent`: what happened to the table that is no row event, empty for nothing. `left`: why nothing
    is done, empty for something is; `refused`: why nothing must be done, of any table, empty for it may."""

    table: TableId
    topic: str
    keys: int = 0
    key_form: str = ""
    snapshot: str = ""
    left: str = ""
    events: int = 0
    unsent: str = ""
    refused: str = ""


def collect(
    ports: Source,
    choices: Choices,
    captures: Callable[[TableId], bool],
    window: tuple[GtidSet, GtidSet],
    decoder: Decoder,
    keys: KeyStore,
    told: Callable[[int, int], None],
    *,
    again: bool = False,
) -> WindowScan:
    """The keys that changed between two states of the server, and what else did. `captures`: of which tables. `told`: how many transactions
    of how many were read. `again`: the row events of append tables are counted.

    Raises Unavailable, Gone, and whatever stops a stream: Corrupt, Refused."""
    first, last = window
    spell = spelling(ports.server.status().variables)
    scan = WindowScan(choices, captures, last.minus(first), decoder, keys.add, again=again, spell=spell)
    total = scan.left
    if not total:
        return scan
    for block in dump(ports, first):
        decoder.feed(block, ports.clock.now())
        for step in scan.steps():
            scan.take(step)
        told(total - scan.left, total)
        if not scan.left:
            break
    ports.binlog.close()
    return scan


def mendings(server: SourceServer, choices: Choices, scan: WindowScan, keys: KeyStore, *, again: bool = False) -> Sequence[Mending]:
    """What to do about each table, by name. Rows are read again by their keys, unless those cannot tell all that changed; `again`: events
    of append tables are sent again, unless the schema they were written by is another one by now."""
    return sorted(
        (_mending(server, choices, topic, changed, keys, again=again) for topic, changed in scan.tables.items()),
        key=lambda mending: mending.table,
    )


def _mending(server: SourceServer, choices: Choices, topic: str, changed: Changed, keys: KeyStore, *, again: bool) -> Mending:
    table = changed.table
    definition = server.definition(table)
    if definition is None:
        return Mending(table, topic, left="it is not there any more")
    schema = route(definition.schema, choices).schema
    if choices.appends(schema):
        if again:
            return _emitting(topic, changed, schema)
        return Mending(
            table, topic, left="its target holds every event, and rows cannot be told from it; --again emits its events a second time"
        )
    if changed.keyless or not schema.key:
        return Mending(table, topic, left="it has, or had, no key, so its rows are appended and cannot be read again")
    count = keys.count(topic)
    if changed.emptied:
        return Mending(table, topic, count, schema.key_form, f"{changed.emptied} took rows that the binlog does not name")
    if changed.key_forms - {schema.key_form}:
        return Mending(table, topic, count, schema.key_form, "its key became another one, or of another type")
    try:
        for batch in keys.batches(topic, KEYS_MAX, KEYS_BYTES_MAX):
            select_keys(definition, [decode_key(key) for key in batch])
    except Invalid as error:
        return Mending(table, topic, count, schema.key_form, error.message)
    return Mending(table, topic, count, schema.key_form, left="" if count else "no row of it changed")


def _emitting(topic: str, changed: Changed, schema: TableSchema) -> Mending:
    made = Mending(changed.table, topic, events=changed.events, unsent=changed.emptied)
    others = [last_us for fingerprint, last_us in changed.last_us.items() if fingerprint != schema.fingerprint]
    if others:
        since = told(max(others) + 1)
        return replace(made, refused=f"up to {since} it had another schema than now, so only what came since can be emitted again")
    return made if changed.events else replace(made, left="no row event of it")


def signals(mending: Mending, keys: KeyStore, name: Callable[[], str]) -> Iterator[Signal]:
    """What asks the running streamer for it, but for row events. `name`: a new id for each."""
    if mending.left or mending.events:
        return
    if mending.snapshot:
        yield Signal(name(), Ask.SNAPSHOT, mending.table, resync=True)
        return
    for batch in keys.batches(mending.topic, KEYS_MAX, KEYS_BYTES_MAX):
        yield Signal(name(), Ask.REREAD, mending.table, keys=batch, key_form=mending.key_form)


def told(moment_us: int) -> str:
    """As --from-timestamp takes it."""
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).isoformat()
