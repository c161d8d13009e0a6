"""`streamer --from-timestamp` beside a running streamer: finds which rows changed since a moment, and has them read again; or, of append
tables, sent again what happened."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import uuid4

import orjson
import structlog

from contracts.errors import Invalid, Refused, Unavailable
from contracts.position import GtidSet
from contracts.table import TableId
from runtime.command import ExitCode
from runtime.lifecycle import Stop
from runtime.progress import gauge
from runtime.settings import Settings
from streamer.core.window import WindowScan
from streamer.edges.signals import KafkaOutbox
from streamer.edges.topics import KafkaPositionFollower, KafkaPositions
from streamer.service import lock_name
from streamer.service.backfill import Mending, collect, mendings, set_before, signals
from streamer.service.emitting import Emitting, emissions
from streamer.service.requests import Requests
from streamer.wiring import Beside, beside, choices, require_captured

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Window:
    """What to read again: what was committed at `since` or later, and before `until` or the position. `tables`: of these only. `again`: the
    events of append tables, too, a second time."""

    since: datetime
    until: datetime | None = None
    tables: Sequence[TableId] = ()
    again: bool = False


def backfill(settings: Settings, stop: Stop, window: Window, *, dry_run: bool, as_json: bool) -> int:
    """Its exit code. Raises Refused when the moment is purged, or no streamer runs; Invalid, Unavailable and what stops a stream."""
    captures = _captures(settings, window)
    with beside(settings, stop) as ports:
        first, last = _bounds(settings, ports, window)
        if not dry_run and not ports.server.turn_taken(lock_name(settings.topics.prefix)):
            raise Refused(
                f"pipeline {settings.pipeline} has a position, and no streamer of it runs: a stream is never set back. Start one without "
                "--from-timestamp, which goes on from the position, then run this beside it"
            )
        with gauge("reading the binlog, transactions", "backfill.collecting") as shown:

            def told(done: int, total: int) -> None:
                if stop.requested():
                    raise Unavailable("asked to stop while the binlog was read; nothing was asked of the streamer")
                shown.at(done, total)

            scan = collect(ports, choices(settings), captures, (first, last), ports.decoder(), ports.keys, told, again=window.again)
        found = mendings(ports.server, choices(settings), scan, ports.keys, again=window.again)
        if dry_run:
            print(_json(window, scan, found, last.minus(first)) if as_json else "\n".join(_lines(scan, found, last.minus(first))))
            return ExitCode.FOUND if any(not mending.left for mending in found) else ExitCode.DONE
        if refused := [f"{mending.table}: {mending.refused}" for mending in found if mending.refused]:
            raise Refused(f"nothing was asked of the streamer. {'; '.join(refused)}; or choose other tables by -t")
        return _mend(settings, stop, ports, found, _us(window.since), (first, last))


def _bounds(settings: Settings, ports: Beside, window: Window) -> tuple[GtidSet, GtidSet]:
    """What the server had executed when the window began, and at its end what of the binlog to look at."""
    position = KafkaPositions(settings.kafka, settings.topics).peek()
    status = ports.server.status()
    last = status.executed if position is None else position.gtid_set
    first = set_before(ports, status, _us(window.since), ports.commits_met)
    if window.until is not None and _us(window.until) < status.now_us:
        last = last.minus(last.minus(set_before(ports, status, _us(window.until), ports.commits_met)))
    return first, last


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _captures(settings: Settings, window: Window) -> Callable[[TableId], bool]:
    """Which tables to look at: those asked for, else all; none that is appended, unless `again`. Raises Invalid."""
    captured, tables = settings.tables.selection.captures, window.tables
    appended = (
        set() if window.again else {TableId.parse(name) for name, override in settings.tables.override.items() if override.mode == "append"}
    )
    require_captured(settings, tables)
    if named := [str(table) for table in tables if table in appended]:
        raise Invalid(
            f"{', '.join(named)}: an append table holds every event, and a backfill reads rows, so it would add events that never were. "
            "Leave it out, or have its events emitted a second time: --again"
        )
    for table in sorted(appended if not tables else (), key=str):
        log.warning("backfill.left_out", table=str(table), because="an append table holds every event already; --again emits them twice")
    wanted = frozenset(tables)
    return lambda table: captured(table) and table not in appended and (not wanted or table in wanted)


def _mend(settings: Settings, stop: Stop, ports: Beside, found: Sequence[Mending], since_us: int, part: tuple[GtidSet, GtidSet]) -> int:
    """`since_us`, `part`: where the row events are, by time and between two states of the server."""
    _log(found)
    asked = sorted((mending for mending in found if not mending.left), key=lambda mending: bool(mending.snapshot))
    emitted = frozenset(mending.table for mending in asked if mending.events)
    total, done = sum(map(_weight, asked)), 0
    emitting = Emitting(KafkaOutbox(settings.kafka, settings.topics), since_us)
    again = emissions(ports, choices(settings), emitted, part, ports.decoder(), stop.requested) if emitted else ()
    # Row events last: whoever stops it among them goes on at the moment it tells, and all else has been asked for.
    wanted = chain(chain.from_iterable(signals(mending, ports.keys, _name) for mending in asked), emitting.signals(again, _name))
    with closing(KafkaPositionFollower(settings.kafka, settings.topics)) as follower:
        requests = Requests(emitting, follower, ports.clock, settings.topics)
        try:
            with gauge("reading rows again, keys and events", "backfill.advanced") as shown:
                for count in requests.follow(wanted, stop.requested):
                    done += count
                    shown.at(done, total)
        except BaseException:
            if emitted:
                log.error("backfill.broken", events=str(emitting))
            raise
    if done < total:
        print(f"stopped after {done:,} of {total:,}; the streamer finishes what it was asked for, run this again for the rest")
        if emitted:
            print(f"with this moment: {emitting}")
        return ExitCode.FAILED
    if len(asked) > len(emitted) or not emitted:
        keys, tables = sum(_weight(mending) for mending in asked if mending.keys and not mending.snapshot), [m for m in asked if m.snapshot]
        count = len(asked) - len(tables) - len(emitted)
        print(f"read again: {keys:,} keys of {count} tables, and {len(tables)} tables whole; they are on Kafka")
    if emitted:
        print(f"emitted again: {emitting.sent:,} events of {len(emitted)} tables; they are on Kafka")
    return ExitCode.DONE


def _log(found: Sequence[Mending]) -> None:
    for mending in found:
        if mending.snapshot:
            log.warning("backfill.whole_table", table=str(mending.table), because=mending.snapshot)
        elif mending.left:
            log.info("backfill.left_out", table=str(mending.table), because=mending.left)
        if mending.unsent:
            log.warning("backfill.not_emitted", table=str(mending.table), what=mending.unsent, because="only row events are emitted again")


def _name() -> str:
    return uuid4().hex[:8]


def _weight(mending: Mending) -> int:
    """Of the work to be done: as Requests.follow counts it."""
    return 1 if mending.snapshot else mending.events or mending.keys


def _lines(scan: WindowScan, found: Sequence[Mending], wanted: GtidSet) -> Iterator[str]:
    files = f"{scan.files[0]} to {scan.files[-1]}" if len(scan.files) > 1 else "".join(scan.files) or "-"
    yield f"{'binlog files':<40} {files} ({len(scan.files)})"
    yield f"{'transactions':<40} {wanted.count():,}"
    for mending in found:
        yield f"{mending.table!s:<40} {_told(mending)}"
    keys = sum(mending.keys for mending in found if not mending.snapshot and not mending.left)
    events = sum(mending.events for mending in found if not mending.refused)
    and_events = f", {events:,} events" if events else ""
    yield f"{keys:,} keys{and_events}, {sum(bool(m.snapshot) for m in found)} whole tables; nothing was asked of the streamer"


def _told(mending: Mending) -> str:
    unsent = f"; not emitted: {mending.unsent}" if mending.unsent else ""
    if mending.refused:
        return f"refused: {mending.refused}"
    if mending.left:
        return f"nothing: {mending.left}{unsent}"
    if mending.events:
        return f"{mending.events:,} events{unsent}"
    if mending.snapshot:
        return f"the whole table, its target emptied first: {mending.snapshot}"
    return f"{mending.keys:,} keys"


def _json(window: Window, scan: WindowScan, found: Sequence[Mending], wanted: GtidSet) -> str:
    tables: list[Mapping[str, Any]] = [
        {
            "table": str(mending.table),
            "keys": mending.keys,
            "events": mending.events,
            "whole_table": bool(mending.snapshot),
            "because": mending.refused or mending.snapshot or mending.left or None,
            "not_emitted": mending.unsent or None,
            "asked": not (mending.left or mending.refused),
        }
        for mending in found
    ]
    body = {
        "since": window.since.isoformat(),
        "until": window.until and window.until.isoformat(),
        "files": scan.files,
        "transactions": wanted.count(),
        "gtid_set": str(wanted),
        "tables": tables,
    }
    return orjson.dumps(body).decode()
