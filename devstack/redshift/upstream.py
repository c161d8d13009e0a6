"""One connection to the PostgreSQL behind the stand-in."""

import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from devstack.redshift.refusal import SqlError
from devstack.redshift.wire import Closed, Message, Stream, error_fields, row_values, start_up, text

SOCKET_NAME = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class Result:
    """A simple query's rows (as text, None for NULL) and its last command tag."""

    rows: list[list[str | None]]
    tag: str

    @property
    def count(self) -> int:
        """The number a tag ends in, 0 when it has none."""
        last = self.tag.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0


class FromPostgres(SqlError):
    """An error PostgreSQL reported itself, with its own fields: its transaction has failed already."""


class Upstream:
    """A session of PostgreSQL over its unix socket, trusted as `user`. `status` is the last ReadyForQuery: I, T or E.
    `last_words` are the fields of the error that ended the session, if PostgreSQL ended it."""

    def __init__(self, directory: Path, user: str, database: str, settings: dict[str, str]) -> None:
        self._directory = directory
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(directory / SOCKET_NAME))
        except OSError as e:
            sock.close()
            raise Closed from e
        self.stream = Stream(sock)
        self.status = b"I"
        self.last_words: dict[str, str] = {}
        self.greeting: list[Message] = []
        self.stream.send(start_up({"user": user, "database": database, "client_encoding": "UTF8", **settings}))
        while True:
            message = self.stream.get()
            if message.kind == b"E":
                self.stream.close()
                raise FromPostgres.of(error_fields(message.body))
            if message.kind == b"Z":
                return
            self.greeting.append(message)

    def query(self, sql: str, feed: Iterable[bytes] = ()) -> Result:
        """Runs SQL by the simple protocol in this session's transaction; `feed` answers a COPY FROM STDIN.
        Raises FromPostgres, Closed when the session has ended."""
        self.stream.put(Message(b"Q", text(sql)))
        rows: list[list[str | None]] = []
        tag = ""
        failure: FromPostgres | None = None
        broken: Exception | None = None
        while True:
            message = self.stream.get()
            if message.kind == b"D":
                rows.append([None if v is None else v.decode() for v in row_values(message.body)])
            elif message.kind == b"C":
                tag = message.body[:-1].decode()
            elif message.kind == b"E":
                fields = error_fields(message.body)
                if fields.get("S") == "FATAL":
                    self.last_words = fields
                    raise Closed
                failure = FromPostgres.of(fields)
            elif message.kind == b"G":
                broken = self._feed(feed)
            elif message.kind == b"Z":
                self.status = message.body
                if broken is not None:
                    raise broken
                if failure is not None:
                    raise failure
                return Result(rows, tag)

    def _feed(self, chunks: Iterable[bytes]) -> Exception | None:
        """Sends the data of a COPY; what went wrong while it was made ends the COPY and is given back."""
        try:
            for chunk in chunks:
                self.stream.put(Message(b"d", chunk))
        except Closed:
            raise
        except Exception as e:  # whatever made the data fail, PostgreSQL has to be told before it is raised again
            self.stream.put(Message(b"f", text("the load was given up")))
            return e
        self.stream.put(Message(b"c"))
        return None

    def answer(self) -> Message:
        """The next message. Raises FromPostgres for an error, Closed for one that ends the session."""
        message = self.stream.get()
        if message.kind == b"E":
            fields = error_fields(message.body)
            if fields.get("S") == "FATAL":
                self.last_words = fields
                raise Closed
            raise FromPostgres.of(fields)
        return message

    def abort(self) -> None:
        """Makes PostgreSQL's transaction fail as ours did; nothing outside of one."""
        if self.status == b"T":
            with contextlib.suppress(FromPostgres):
                self.query("SELECT standin.fail()")

    def close(self) -> None:
        """Ends the session; an open transaction rolls back."""
        self.stream.close()


def cancel(directory: Path, packet: bytes) -> None:
    """Hands a client's CancelRequest on: process id and secret are PostgreSQL's own."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(str(directory / SOCKET_NAME))
        sock.sendall((len(packet) + 4).to_bytes(4, "big") + packet)
        sock.recv(1)
