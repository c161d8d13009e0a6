"""What the source server is and holds: whether it can be captured, and whether the stream goes on where a position stopped."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import timedelta

import structlog

from contracts.errors import Invalid, Refused
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Position
from streamer.core.continuity import check_continuity, check_place
from streamer.core.preflight import (
    Fault,
    Grants,
    applied_fault,
    filter_faults,
    grant_faults,
    hides_applied,
    keyless_faults,
    literal_databases,
    literal_tables,
    name_faults,
    server_faults,
    unproven_keys,
    unseen_databases,
)
from streamer.core.route import Choices
from streamer.ports import Ports, ServerStatus, SourceServer
from streamer.service.cascades import hidden_cascades

log = structlog.get_logger()


def source_faults(
    choices: Choices, server_id: int, status: ServerStatus, server: SourceServer, begun: Collection[str] = ()
) -> Iterator[Fault]:
    """What keeps this server from being captured, each with its fix. `begun`: topics that hold rows; a table of theirs without a key has
    lost it, and is the loader's to park. Raises Unavailable."""
    yield from server_faults(status.variables, server_id)
    yield from name_faults(status.variables, choices.names)
    visible = server.tables()
    captured = [table for table in visible if choices.captures(table)]
    grants = Grants.parse(server.grants())
    named = filter(choices.captures, literal_tables(choices.patterns))
    yield from grant_faults(grants, {*captured, *named}, literal_databases(choices.patterns))
    if grants.globally("REPLICATION CLIENT"):  # else the server does not say
        yield from filter_faults(server.binlog_filters())
        if hides_applied(status.variables) and server.is_replica():
            yield applied_fault()
    asking = [table for table in captured if choices.of(table).needs_key and choices.of(table).key is None]
    asking = [table for table in asking if choices.topic(table) not in begun]
    yield from keyless_faults([table for table in asking if not server.unique_keys(table)])
    yield from hidden_cascades(choices, status, server, lambda topic: topic in begun)


def source_warnings(choices: Choices, server: SourceServer) -> Iterator[Fault]:
    """What does not keep this server from being captured, and a person should know. Raises Unavailable."""
    yield from unseen_databases(Grants.parse(server.grants()), literal_databases(choices.patterns))
    keys = {table: choice.key for table, choice in choices.tables.items() if choice.key is not None and not choice.append}
    if keys:
        there = {table: keys[table] for table in server.tables() if table in keys and choices.captures(table)}
        yield from unproven_keys(there, {table: server.unique_keys(table) for table in there})


def ready(ports: Ports, choices: Choices, server_id: int, position: Position | None) -> ServerStatus:
    """The server's state. Raises Invalid when it can't be captured."""
    status = ports.server.status()
    begun = [topic for topic, next_seq in position.next_seqs.items() if next_seq] if position is not None else []
    if faults := list(source_faults(choices, server_id, status, ports.server, begun)):
        raise Invalid("the source server is not ready for capture:\n  " + "\n  ".join(str(fault) for fault in faults))
    for told in source_warnings(choices, ports.server):
        log.warning(told.warning, because=told.what, advice=told.fix)
    return status


def refuse_prepared(server: SourceServer) -> None:
    """Where a pipeline begins, all rows are to be there already, or to come with an event. Those of a prepared XA transaction are not
    there and have had theirs."""
    prepared = server.prepared_xa()
    if prepared is None:
        log.warning(
            "xa.unknown",
            because="this account may not see prepared XA transactions; rows that one commits from now on come with no event",
            advice="GRANT XA_RECOVER_ADMIN ON *.* TO it",
        )
    elif prepared:
        raise Refused(
            f"XA transactions {'; '.join(prepared)} are prepared on the server: their rows are not there yet, and come with no event. "
            "XA COMMIT or XA ROLLBACK them, then start again",
            xids=prepared,
        )


def same_history(ports: Ports, patience: timedelta, position: Position, status: ServerStatus) -> tuple[Position, ServerStatus]:
    """The position to go on from on this server, and its state, once it has committed what is on Kafka; `patience`: how long it may take
    for that. Raises Gone when it never had it, or has purged what comes next."""
    ours, begun = position.gtid_set, position.streamed
    # A server sends a transaction before it has committed it, and waits in between for replicas if it is told to; another one may still
    # be applying what it has received.
    deadline = ports.clock.now() + patience
    while not begun.is_subset(status.executed) and ports.clock.now() < deadline:
        ports.clock.sleep(timedelta(milliseconds=500))
        status = ports.server.status()
    check_continuity(begun, status.executed, GtidSet())
    check_continuity(ours, status.executed, status.purged)
    if position.server_uuid == status.uuid:
        _check_place(ports.server, position)
        return position, status
    log.warning("server.changed", before=position.server_uuid, now=status.uuid, gtid_set=str(ours))
    # A place in the other server's files says nothing of this one's.
    return replace(position, server_uuid=status.uuid, binlog=BinlogPosition.unknown()), status


def _check_place(server: SourceServer, position: Position) -> None:
    place = position.binlog
    if not place.file:
        return  # nothing was streamed yet
    files = server.binlogs()
    held = place.file in files
    check_place(
        place,
        position.gtid_set,
        files,
        server.previous_gtids(place.file) if held else None,
        server.event_at(place) if held else None,
    )
