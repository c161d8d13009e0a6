"""The loop: take the turn, fence the predecessor, read where it stopped, check the server, stream.

    STANDBY → INIT → POSITION → PREFLIGHT → DUMP → (BEGIN → PRODUCE* → POS → END)*

Plain synchronous code over ports; `step` does one piece of it, so a simulator can drive it. Whatever is lost or unclear on the way
(a connection, an unanswered commit) leads back to the start with nothing kept in memory: Kafka's position topic says where to go on.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from contracts.errors import Fenced, Gone, OutcomeUnknown, PipelineError, Refused, Unavailable
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Position
from contracts.table import TableId
from streamer.core.commits import CommitsMet, commits_met
from streamer.core.decoder import DecoderFactory
from streamer.core.names import spelling
from streamer.core.route import Choices
from streamer.core.selected import PythonSelectedRows, SelectedRowsFactory
from streamer.core.twin import PythonDecoder
from streamer.ports import Ports, ServerStatus, Tally
from streamer.service.beginning import Snapshot, first_position
from streamer.service.session import Session, Tuning
from streamer.service.source import ready, refuse_prepared, same_history

__all__ = ["Adopted", "Ports", "Streamer", "Tuning", "lock_name"]

LOCK_NAME_MAX = 64  # characters; MySQL manual, "Locking Functions"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Adopted:
    """A server that a pipeline begins anew on, from `gtid_set`. `given_up`: on Kafka, and not on the server. `unstreamed`: on the server,
    and never streamed. `tables`: those that are read again."""

    server_uuid: str
    gtid_set: GtidSet
    given_up: GtidSet
    unstreamed: GtidSet
    tables: Sequence[TableId]


class Streamer:
    """One pipeline's streamer. Call `step` for ever; it raises only what must end the process: Fenced, Gone, Corrupt, Refused, Invalid."""

    def __init__(
        self,
        ports: Ports,
        choices: Choices,
        server_id: int,
        tuning: Tuning | None = None,
        observe: Callable[[Tally], None] | None = None,
        decoder: DecoderFactory = PythonDecoder,
        selected: SelectedRowsFactory = PythonSelectedRows,
        met: CommitsMet = commits_met,
        since_us: int | None = None,
        snapshot: Snapshot = Snapshot.INITIAL,
        stand_by: Callable[[], None] | None = None,
    ) -> None:
        """`server_id`: ours, towards the source server. `observe`: told after each Kafka transaction what it and those not told yet
        hold. `since_us`: a new pipeline begins with the first transaction committed then or later; one that has a position is refused.
        `stand_by`: told each time another streamer is found to lead."""
        self._ports = ports
        self._choices = choices
        self._server_id = server_id
        self._tuning = tuning or Tuning()
        self._observe = observe or (lambda _: None)
        self._stand_by = stand_by or (lambda: None)
        self._decoder = decoder
        self._selected = selected
        self._commits_met = met
        self._snapshot = snapshot
        self._since_us = since_us
        self._begun = False  # this process has established the pipeline's first position, or tried to
        self._lock = lock_name(choices.topics.prefix)
        self._leads = False
        self._waits = False
        self._session: Session | None = None
        self._failures = 0

    @property
    def streaming(self) -> bool:
        return self._session is not None

    @property
    def finished(self) -> bool:
        """In mode ONLY: every row is on Kafka."""
        return self._snapshot is Snapshot.ONLY and self._session is not None and self._session.committed and not self._session.rereads

    def step(self) -> None:
        """Raises what cannot be mended by beginning again; an open Kafka transaction is then aborted."""
        try:
            if self._session is not None:
                self._session.step()
                if self._session.committed:
                    self._failures = 0
            elif self._leads or self._take_turn():
                self._session = self._begin()
        except (Unavailable, OutcomeUnknown) as error:
            self._fall_back(error)
        except Fenced:
            raise
        except PipelineError:
            if self._session is not None and self._session.begun:
                self._ports.sink.abort()
            raise

    def adopt(self, *, anyway: bool = False) -> Adopted:
        """Makes the server as it is the pipeline's new beginning, when the stream can't go on from the position: every table is emptied and
        read again by the streamer that is started next. Raises Refused when a streamer is at work here, when there is no pipeline yet, or
        when nothing keeps the stream from going on and it isn't asked for `anyway`."""
        ports = self._ports
        if not ports.server.take_turn(self._lock):
            raise Refused("a streamer of this pipeline is at work on this server: stop it first, if it is really to start over")
        ports.sink.init()
        position = ports.positions.read()
        status = ready(ports, self._choices, self._server_id, position)
        if position is None:
            raise Refused(
                f"topic {self._choices.topics.position} holds no position of this pipeline: start the streamer, there is nothing to adopt"
            )
        because = ""
        try:
            same_history(ports, self._tuning.commit_patience, position, status)
        except Gone as error:
            because = error.message
        if not because and not anyway:
            raise Refused(
                "the server has all that follows the pipeline's position, so the streamer can go on by itself; with --yes the tables are "
                "read anew all the same"
            )
        status = ports.server.status()
        begun = replace(position, server_uuid=status.uuid, gtid_set=status.executed, binlog=BinlogPosition.unknown(), in_progress=None)
        tables = self._captured()
        self._choices.refuse_moved(tables, position.shards)
        refuse_prepared(ports.server)
        self._topics(begun)
        self._session_at(begun, status).adopt(tables)
        log.warning("server.adopted", before=position.server_uuid, now=status.uuid, gtid_set=str(status.executed), because=because)
        return Adopted(
            status.uuid, status.executed, position.gtid_set.minus(status.executed), status.executed.minus(position.gtid_set), tables
        )

    def close(self) -> None:
        """Leaves nothing open: what is not committed is aborted."""
        if self._session is not None:
            self._session.end()
            if self._session.begun:
                self._ports.sink.abort()
        self._session = None
        for reader in self._ports.readers:
            reader.close()
        self._ports.signals.close()
        self._ports.binlog.close()
        self._ports.sink.close()
        self._ports.server.close()

    def _take_turn(self) -> bool:
        self._leads = self._ports.server.take_turn(self._lock)
        if self._leads:
            log.info("turn.taken", lock=self._lock)
        else:
            if not self._waits:
                log.info("turn.awaited", lock=self._lock)
            self._stand_by()
            self._ports.clock.sleep(self._tuning.standby_pause)
        self._waits = not self._leads
        return self._leads

    def _begin(self) -> Session:
        ports, topics = self._ports, self._choices.topics
        ports.sink.init()
        position = ports.positions.read()  # after init: what the predecessor had open is decided now
        status = ready(ports, self._choices, self._server_id, position)
        if position is None:
            position = first_position(ports, topics, status, self._snapshot, self._since_us, self._commits_met)
            refuse_prepared(ports.server)
        elif self._since_us is not None and not self._begun:
            raise Refused(
                f"topic {topics.position} holds a position of this pipeline by now, and a stream is never set back. Start without "
                "--from-timestamp to go on from it; a second run with it, beside a running streamer, reads again what changed since"
            )
        else:
            position, status = same_history(ports, self._tuning.commit_patience, position, status)
        self._topics(position)
        if (sent_by := ports.binlog.start(position.gtid_set)) != status.uuid:
            # Behind one name servers change, between two connections too: this one's history was not looked at. The next connection to
            # be asked has to lead there, too.
            ports.server.close()
            raise Unavailable(f"the dump comes from server {sent_by}, and the one that was looked at is {status.uuid}")
        log.info("stream.started", gtid_set=str(position.gtid_set), n=position.n, server_uuid=status.uuid)
        session = self._session_at(position, status)
        session.give_up_excluded()
        captured = self._captured()
        self._choices.refuse_moved(captured, position.shards)
        reads = self._snapshot is not Snapshot.NEVER and self._since_us is None
        if position.n == 0:
            self._begun = True
            session.establish(known=() if reads else captured, wanted=captured if reads else ())
        elif reads:
            if any(self._choices.topic(table) not in position.next_seqs for table in captured):
                refuse_prepared(ports.server)  # what it changed of a table that nobody captured then has had its event
            session.snapshot(captured)
        return session

    def _topics(self, position: Position) -> None:
        topics, admin = self._choices.topics, self._ports.topics
        admin.ensure(topics.progress, partitions=self._choices.shards, compacted=False)
        admin.ensure(topics.position, partitions=1, compacted=True)
        admin.ensure(topics.schemas, partitions=1, compacted=True)
        admin.ensure(topics.signals, partitions=1, compacted=False)
        # Of all tables, also those that nobody changes now: their rows may wait for the loader.
        admin.keep([topics.progress, topics.signals, *position.next_seqs])

    def _captured(self) -> list[TableId]:
        return [table for table in self._ports.server.tables() if self._choices.captures(table)]

    def _session_at(self, position: Position, status: ServerStatus) -> Session:
        spell = spelling(status.variables)
        return Session(self._ports, self._choices, self._tuning, position, self._observe, self._decoder, self._selected, spell)

    def _fall_back(self, error: PipelineError) -> None:
        if self._session is not None:
            self._session.end()
        # An unanswered commit must not be followed by an abort from the same producer.
        if self._session is not None and self._session.begun and not isinstance(error, OutcomeUnknown):
            self._ports.sink.abort()
        self._session = None
        self._leads = False  # the lock lives and dies with the control connection, which may be the one that was lost
        self._ports.binlog.close()
        self._ports.sink.recycle()
        pause = min(self._tuning.backoff_min * 2**self._failures, self._tuning.backoff_max)
        self._failures = min(self._failures + 1, 16)
        log.warning("stream.interrupted", error=type(error).__name__, message=error.message, pause_seconds=pause.total_seconds())
        self._ports.clock.sleep(pause)


def lock_name(prefix: str) -> str:
    """The name of the lock that the leading streamer of a pipeline holds on the source server."""
    name = f"tidemark:{prefix}"
    return name if len(name) <= LOCK_NAME_MAX else f"tidemark:{hashlib.sha256(prefix.encode()).hexdigest()[:40]}"
