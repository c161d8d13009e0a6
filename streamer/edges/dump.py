"""MySQL's binlog dump: raw events off a replica's connection.

The connection, its session settings and the registration as a replica are mysql-replication's; the dump command and everything after it are
ours, because the library cannot write a tagged GTID set, drops what it does not know, and reconnects on its own (docs/decisions/0001).
"""

import select
import socket
import ssl
import struct
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pymysql.connections import Connection
from pymysql.err import MySQLError
from pymysqlreplication import BinLogStreamReader

from contracts.errors import Corrupt, Gone, Invalid, PipelineError, Unavailable
from contracts.position import GtidSet
from runtime.connect import mysql
from runtime.sections import Mysql
from streamer.core.packets import PACKET_SIZE_MAX, Packets, PythonPackets

HEARTBEAT = timedelta(seconds=1)
_PARTIAL_RECORD = timedelta(seconds=1)  # of TLS: the rest is on its way
SILENCE_MAX = timedelta(seconds=30)  # without even a heartbeat: the connection is dead

_COM_BINLOG_DUMP, _COM_BINLOG_DUMP_GTID = 0x12, 0x1E
_BINLOG_THROUGH_GTID = 0x04
_RECEIVE_BYTES = 512 * 1024
_ER_FATAL_READING_BINLOG = 1236
_REPLACED = "with the same server_uuid/server_id as this"
_ER_NO_BINLOG_GRANT = {1045, 1227}
_TAGGED_FORM = 1


def encode_gtid_set(gtids: GtidSet) -> bytes:
    """As COM_BINLOG_DUMP_GTID carries it: untagged form unless a tag needs the other one, so that old servers understand it.
    Source: MySQL 9.7, sql/rpl_gtid_set.cc, Gtid_set::encode; the reverse of `streamer.core.gtids.parse_previous`."""
    sources = list(gtids)
    tagged = any(tag for (_, tag), _ in sources)
    count = len(sources)
    out = [struct.pack("<Q", count << 8 | _TAGGED_FORM | _TAGGED_FORM << 56 if tagged else count)]
    for (server, tag), runs in sources:
        out.append(uuid.UUID(server).bytes)
        if tagged:
            text = tag.encode()
            out.append(bytes([len(text) << 1]) + text)  # a variable-length integer of one byte
        out.append(struct.pack("<Q", len(runs)))
        out.extend(struct.pack("<QQ", start, stop) for start, stop in runs)
    return b"".join(out)


class _DumpReached(Exception):
    """The library has set the connection up and is about to send its dump command."""


class _DumpConnection(Connection):  # type: ignore[type-arg,unused-ignore]  # generic in its stubs only
    """A connection that is ready to send a dump command, and hands it over to us."""

    def _write_bytes(self, data: bytes) -> None:
        # A command's packet has sequence number 0; the handshake's packets have others.
        if len(data) > 4 and data[3] == 0 and data[4] in (_COM_BINLOG_DUMP, _COM_BINLOG_DUMP_GTID):
            raise _DumpReached
        super()._write_bytes(data)  # type: ignore[misc]  # left out of its stubs


class MysqlBinlog:
    """A BinlogSource on one server. `server_id`: unique among the server's replicas; `name`: shown by SHOW REPLICAS."""

    def __init__(self, settings: Mysql, server_id: int, name: str, packets: Callable[[], Packets] = PythonPackets) -> None:
        self._settings = settings
        self._server_id = server_id
        self._name = name[:60]
        self._connection: Any = None
        self._new_packets = packets
        self._packets = packets()
        self._received = memoryview(bytearray(_RECEIVE_BYTES))
        self._heard = 0.0

    def start(self, executed: GtidSet) -> str:
        self.close()
        self._connection = connection = self._connect()
        try:
            with connection.cursor() as cursor:
                # Files written before a change of binlog_checksum carry what was set then; each says itself which.
                cursor.execute("SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32'")
                cursor.execute("SELECT @@GLOBAL.server_uuid")
                uuid = str(cursor.fetchone()[0]).lower()
            connection._sock.settimeout(_PARTIAL_RECORD.total_seconds())
            gtids = encode_gtid_set(executed)
            command = struct.pack("<BHIIQI", _COM_BINLOG_DUMP_GTID, _BINLOG_THROUGH_GTID, self._server_id, 0, 4, len(gtids)) + gtids
            Connection._write_bytes(connection, _packets(command))  # type: ignore[attr-defined]
        except (MySQLError, OSError) as error:
            self.close()
            raise _refusal(error, "the dump could not be started") from error
        self._packets = self._new_packets()
        self._heard = time.monotonic()
        return uuid

    def next(self, timeout: timedelta) -> bytes | None:
        deadline = time.monotonic() + timeout.total_seconds()
        while True:
            if (answer := self._packets.answer) is not None:
                self.close()
                raise _refused(answer)
            if (received := self._receive(deadline - time.monotonic())) is None:
                return None
            if events := self._packets.take(received):
                return events

    def _receive(self, seconds: float) -> memoryview | None:
        """Waits for bytes; None when none came in time."""
        if self._connection is None:
            raise Unavailable("the binlog dump is not started")
        try:
            count = self._fill(self._connection._sock, seconds)
        except (OSError, ssl.SSLError) as error:
            self.close()
            raise Unavailable(f"the connection of the binlog dump was lost: {error}") from error
        if count is None:
            if time.monotonic() - self._heard > SILENCE_MAX.total_seconds():
                self.close()
                raise Unavailable(f"the server sent nothing for {SILENCE_MAX.total_seconds():.0f} s, not even a heartbeat")
            return None
        if not count:
            self.close()
            raise Unavailable("the server closed the connection of the binlog dump")
        self._heard = time.monotonic()
        return self._received[:count]

    def _fill(self, sock: socket.socket, seconds: float) -> int | None:
        """Waits for bytes and takes as many as are there; 0 at the end of the connection, None when none came in time."""
        count = 0
        while count < len(self._received) and _readable(sock, 0.0 if count else seconds):
            # TLS gives one record of at most 16 KiB at a time.
            try:
                got = sock.recv_into(self._received[count:])
            except TimeoutError:
                break  # it had something to read, but not for us
            if not got:
                return count  # the end is met again
            count += got
        return count or None

    def close(self) -> None:
        if self._connection is not None:
            self._connection._force_close()
            self._connection = None

    def _connect(self) -> Any:
        """A connection that has said everything a replica says before its dump command."""
        made: list[Any] = []

        def connect(**arguments: Any) -> Any:
            made.append(_DumpConnection(**arguments))
            return made[-1]

        arguments = mysql.options(self._settings, read_timeout=30, write_timeout=30)
        library = BinLogStreamReader(
            connection_settings=arguments,
            server_id=self._server_id,
            log_file="none",  # any name: spares the library from asking for one
            log_pos=4,
            resume_stream=True,
            blocking=True,
            slave_uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._name}/{self._server_id}")),
            slave_heartbeat=HEARTBEAT.total_seconds(),
            report_slave=self._name,
            pymysql_wrapper=connect,
            enable_logging=False,
        )
        try:
            library.fetchone()
        except _DumpReached:
            return made[0]
        except (MySQLError, OSError) as error:
            for connection in made:
                connection._force_close()
            raise _refusal(error, "MySQL could not be reached for the binlog dump") from error
        raise AssertionError("the library read an event without a dump command")


def _packets(command: bytes) -> bytes:
    """A command as packets of at most 16 MiB."""
    out = []
    for number, at in enumerate(range(0, len(command) + 1, PACKET_SIZE_MAX)):
        part = command[at : at + PACKET_SIZE_MAX]
        out.append(struct.pack("<I", len(part))[:3] + bytes([number & 255]) + part)
    return b"".join(out)


def _readable(sock: socket.socket, seconds: float) -> bool:
    """Whether there are bytes within `seconds`. A look without waiting must not cost a wait: it is made after every transaction."""
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(max(seconds, 0.0) * 1000))


def _refused(answer: bytes) -> PipelineError:
    """The error for a packet that is no event."""
    if answer[0] == 0xFF:
        return _dump_error(answer)
    if answer[0] == 0xFE and len(answer) < 9:
        return Unavailable("the server ended the binlog dump")
    return Corrupt(f"a packet of the binlog dump begins with {answer[0]:#04x}; expected an event")


def _dump_error(packet: bytes) -> PipelineError:
    code = int.from_bytes(packet[1:3], "little")
    message = packet[3:].decode("utf-8", "replace")
    if message.startswith("#"):
        message = message[6:]
    if code == _ER_FATAL_READING_BINLOG and _REPLACED in message:
        return Unavailable(
            f"another streamer of this pipeline, or a replica with its server_uuid or server_id, took the binlog dump over: {message} "
            f"(error {code}). Stop it, or choose another mysql.server_id",
            code=code,
        )
    if code == _ER_FATAL_READING_BINLOG:
        return Gone(
            f"the server cannot send the binlog we need: {message} (error {code}). Point the streamer at a server that still has it; if "
            "there is none: streamer adopt-server, which empties every table and reads it again from the server as it is",
            fault="binlog_refused",
            code=code,
        )
    if code in _ER_NO_BINLOG_GRANT:
        return Invalid(f"the server refuses the binlog dump: {message} (error {code}); GRANT REPLICATION SLAVE ON *.* to this account")
    return Unavailable(f"the binlog dump ended with error {code}: {message}", code=code)


def _refusal(error: Exception, what: str) -> PipelineError:
    code = error.args[0] if error.args else None
    if code in mysql.ACCESS_DENIED or code in _ER_NO_BINLOG_GRANT:
        return Invalid(
            f"{what}: {error.args[-1]}; GRANT REPLICATION SLAVE ON *.* to this account, or correct mysql.user and mysql.password"
        )
    return Unavailable(f"{what}: {error.args[-1] if error.args else error}")
