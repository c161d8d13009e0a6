"""From a fresh socket to a signed-in client: TLS, start-up parameters, password, and the greeting.

The driver's own start-up parameters (client_protocol_version, os_version, ...) stay here: PostgreSQL refuses them."""

import hashlib
import hmac
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from devstack.redshift.refusal import SqlError
from devstack.redshift.wire import (
    CANCEL_REQUEST,
    GSS_REQUEST,
    INT,
    PROTOCOL_3,
    SSL_REQUEST,
    Message,
    Stream,
    start_up_parameters,
)

SERVER_VERSION = "8.0.2"
AUTHENTICATION_OK = Message(b"R", INT.pack(0))


@dataclass(frozen=True, slots=True)
class Client:
    """A client that told who it is: user, database and the name of its program."""

    stream: Stream
    user: str
    database: str
    application: str


def greet(sock: socket.socket, tls: ssl.SSLContext, relay_cancel: Callable[[bytes], None]) -> Client | None:
    """Reads up to the start-up message, in TLS where the client asks for it. None for a cancel request, which is passed on."""
    stream = Stream(sock)
    while True:
        body = stream.packet()
        code = INT.unpack_from(body)[0]
        if code == SSL_REQUEST:
            stream.send(b"S")
            stream = Stream(tls.wrap_socket(sock, server_side=True))
        elif code == GSS_REQUEST:
            stream.send(b"N")
        elif code == CANCEL_REQUEST:
            relay_cancel(body)
            stream.close()
            return None
        elif code == PROTOCOL_3:
            given = start_up_parameters(body[4:])
            user = given.get("user", "")
            return Client(stream, user, given.get("database", user), given.get("application_name", ""))
        else:
            raise SqlError(f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}", "08P01", S="FATAL")


def check_password(client: Client, expected: str | None) -> None:
    """Asks for the password by md5 challenge. Raises SqlError 28000, the code the driver makes an InterfaceError of."""
    salt = os.urandom(4)
    client.stream.put(Message(b"R", INT.pack(5) + salt))
    answer = client.stream.get()
    inner = hashlib.md5((expected or "").encode() + client.user.encode()).hexdigest()
    wanted = b"md5" + hashlib.md5(inner.encode() + salt).hexdigest().encode() + b"\0"
    if answer.kind != b"p" or expected is None or not hmac.compare_digest(answer.body, wanted):
        raise SqlError(f'password authentication failed for user "{client.user}"', "28000", S="FATAL")


def greeting(messages: list[Message]) -> list[Message]:
    """PostgreSQL's greeting as Redshift's: its own server_version, and only the parameters Redshift reports."""
    kept = (
        b"client_encoding",
        b"DateStyle",
        b"integer_datetimes",
        b"is_superuser",
        b"session_authorization",
        b"TimeZone",
        b"application_name",
    )
    found = [AUTHENTICATION_OK, Message(b"S", b"server_version\0" + SERVER_VERSION.encode() + b"\0")]
    found += [m for m in messages if m.kind == b"K" or (m.kind == b"S" and m.body.split(b"\0")[0] in kept)]
    return found
