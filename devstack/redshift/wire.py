"""PostgreSQL's protocol version 3 as bytes: messages, fields of an error, and the types Redshift names by other numbers.

Source: PostgreSQL manual, "Message Formats"; type numbers: redshift_connector's oids."""

import contextlib
import re
import select
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass

PROTOCOL_3 = 196_608
SSL_REQUEST = 80_877_103
GSS_REQUEST = 80_877_104
CANCEL_REQUEST = 80_877_102

INT = struct.Struct("!i")
SHORT = struct.Struct("!h")
FIELD = struct.Struct("!ihihih")

BYTEA, TEXT, JSONB, NAME = 17, 25, 3802, 19
VARCHAR, SUPER, VARBYTE = 1043, 4000, 6551
REDSHIFT_TYPES = {TEXT: VARCHAR, JSONB: SUPER, BYTEA: VARBYTE}


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its type byte and its body without the length."""

    kind: bytes
    body: bytes = b""

    @property
    def raw(self) -> bytes:
        return self.kind + INT.pack(len(self.body) + 4) + self.body


class Closed(Exception):
    """The other side is gone."""


class Stream:
    """Messages over a socket, with a buffer of our own so that waiting for two sockets at once sees what was read already."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()

    def _fill(self) -> None:
        try:
            chunk = self.sock.recv(1 << 17)
        except (OSError, ssl.SSLError) as e:
            raise Closed from e
        if not chunk:
            raise Closed
        self._buffer += chunk

    def take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def packet(self) -> bytes:
        """A start-up packet: length and body, no type byte."""
        return self.take(INT.unpack(self.take(4))[0] - 4)

    def get(self) -> Message:
        head = self.take(5)
        return Message(head[:1], self.take(INT.unpack(head[1:])[0] - 4))

    def send(self, data: bytes | bytearray) -> None:
        try:
            self.sock.sendall(data)
        except (OSError, ssl.SSLError) as e:
            raise Closed from e

    def put(self, *messages: Message) -> None:
        self.send(b"".join(m.raw for m in messages))

    @property
    def waiting(self) -> bool:
        """Whether bytes are here already, in our buffer or in TLS's."""
        return bool(self._buffer) or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0)

    def close(self) -> None:
        """Both directions at once, so that a thread blocked in recv wakes up."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def first_ready(client: Stream, upstream: Stream) -> Stream:
    """The one of the two that has something to say; the client when both have."""
    if client.waiting:
        return client
    if upstream.waiting:
        return upstream
    try:
        ready, _, _ = select.select([client.sock, upstream.sock], [], [])
    except (OSError, ValueError) as e:
        raise Closed from e
    return client if client.sock in ready else upstream


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def split_text(body: bytes, count: int) -> tuple[list[bytes], bytes]:
    """`count` strings off the front of a body, and the rest."""
    found: list[bytes] = []
    for _ in range(count):
        head, _, body = body.partition(b"\0")
        found.append(head)
    return found, body


def start_up(parameters: Mapping[str, str]) -> bytes:
    body = INT.pack(PROTOCOL_3) + b"".join(text(k) + text(v) for k, v in parameters.items()) + b"\0"
    return INT.pack(len(body) + 4) + body


def start_up_parameters(body: bytes) -> dict[str, str]:
    values = [v.decode(errors="replace") for v in body.split(b"\0")]
    return {k: v for k, v in zip(values[0::2], values[1::2], strict=False) if k}


def error(fields: Mapping[str, str]) -> Message:
    return Message(b"E", notice_body(fields))


def notice_body(fields: Mapping[str, str]) -> bytes:
    return b"".join(k.encode() + text(v) for k, v in fields.items()) + b"\0"


def error_fields(body: bytes) -> dict[str, str]:
    return {f[:1].decode(): f[1:].decode(errors="replace") for f in body.split(b"\0") if f}


def tag(value: str) -> Message:
    return Message(b"C", text(value))


def ready(status: bytes) -> Message:
    return Message(b"Z", status)


# rows ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Columns:
    """A RowDescription as Redshift sends it, and which columns' values have another text form there."""

    body: bytes
    varbytes: frozenset[int]
    supers: frozenset[int]

    @property
    def recoded(self) -> bool:
        return bool(self.varbytes or self.supers)


def redshift_columns(body: bytes, real_name: Mapping[str, str]) -> Columns:
    """PostgreSQL's RowDescription with Redshift's type numbers and the names PostgreSQL had to shorten."""
    count = SHORT.unpack_from(body)[0]
    out = bytearray(body[:2])
    at = 2
    varbytes: set[int] = set()
    supers: set[int] = set()
    for i in range(count):
        end = body.index(b"\0", at)
        label = body[at:end].decode()
        table, column, oid, size, modifier, form = FIELD.unpack_from(body, end + 1)
        if oid == BYTEA:
            varbytes.add(i)
        elif oid == JSONB:
            supers.add(i)
        out += text(real_name.get(label, label)) + FIELD.pack(table, column, REDSHIFT_TYPES.get(oid, oid), size, modifier, form)
        at = end + 1 + FIELD.size
    return Columns(bytes(out), frozenset(varbytes), frozenset(supers))


SPACED = re.compile(rb'("(?:[^"\\]|\\.)*")|([,:]) ')


def redshift_row(body: bytes, columns: Columns) -> bytes:
    """A DataRow with VARBYTE as bare hexadecimal digits and SUPER without white space, Redshift's text forms."""
    values = row_values(body)
    out = bytearray(body[:2])
    for i, value in enumerate(values):
        if value is not None and i in columns.varbytes:
            value = value.removeprefix(b"\\x")
        elif value is not None and i in columns.supers:
            value = SPACED.sub(rb"\1\2", value)
        out += INT.pack(-1) if value is None else INT.pack(len(value)) + value
    return bytes(out)


def row_values(body: bytes) -> list[bytes | None]:
    values: list[bytes | None] = []
    at = 2
    for _ in range(SHORT.unpack_from(body)[0]):
        size = INT.unpack_from(body, at)[0]
        at += 4
        values.append(None if size < 0 else body[at : at + size])
        at += max(size, 0)
    return values
