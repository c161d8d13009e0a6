"""Redshift, verified: certificate chain and host name."""

import math
import os
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

import redshift_connector
from redshift_connector.core import Connection
from redshift_connector.error import Error

from contracts.errors import Invalid, Unavailable
from runtime.sections import Redshift

CUT_OFF = (OSError, EOFError, struct.error)
"""What redshift_connector raises, beside its own errors, of a connection that broke: the socket's, and what half an answer leads to."""
BROKEN = (Error, *CUT_OFF)

_trust = Lock()


def connect(settings: Redshift, *, autocommit: bool = False) -> Connection:
    """A connection whose statements end after `statement_timeout_seconds`. Raises Unavailable, Invalid for refused credentials or
    certificates."""
    where = f"Redshift at {settings.host}:{settings.port}"
    tls = bool(settings.ssl_ca) or not settings.allow_plaintext
    try:
        with _trusting(settings.ssl_ca):
            connection = redshift_connector.connect(
                host=settings.host,
                port=settings.port,
                database=settings.database,
                user=settings.user,
                password=settings.password.get_secret_value(),
                ssl=tls,
                sslmode="verify-full" if tls else None,
                timeout=math.ceil(settings.connect_timeout_seconds),
                tcp_keepalive=True,
                tcp_keepalive_idle=30,
                tcp_keepalive_interval=10,
                tcp_keepalive_count=3,
                application_name="tidemark",
            )
    except Error as error:
        causes = [error, *error.args, error.__cause__, error.__context__]
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise Invalid(
                    f"{where}: its certificate is not trusted ({cause.verify_message}); set redshift.ssl_ca and use the host name it is for"
                ) from error
        text = _text(error)
        if "refuses SSL" in text:
            raise Invalid(f"{where} offers no TLS; turn it on there, or say redshift.allow_plaintext: true") from error
        if any(isinstance(arg, dict) and arg.get("C") in {"28000", "28P01", "3D000"} for arg in error.args):
            raise Invalid(f"{where} refuses user {settings.user} or database {settings.database}: {text}") from error
        raise Unavailable(f"{where}: {text}") from error
    except CUT_OFF as error:
        raise Unavailable(f"{where}: {error}") from error
    try:
        _limit(connection, settings)
    except BROKEN as error:
        # A warehouse that comes up or goes down lets a session in and ends it.
        with suppress(*BROKEN):
            connection.close()
        raise Unavailable(f"{where}: the session ended as it began: {_text(error)}") from error
    connection.autocommit = autocommit
    return connection


def _limit(connection: Connection, settings: Redshift) -> None:
    # The driver has one timeout for all; a COPY takes longer than a connection may. The server's own limit comes first, then the socket's,
    # for a server that went away without a word.
    connection._usock.settimeout(settings.statement_timeout_seconds + 60)
    connection.autocommit = True
    connection.cursor().execute(f"SET statement_timeout TO {math.ceil(settings.statement_timeout_seconds * 1000)}")


@contextmanager
def _trusting(ca: str | None) -> Iterator[None]:
    # The driver takes no CA file; it trusts OpenSSL's defaults, which this variable names, and Amazon's bundle.
    if ca is None:
        yield
        return
    try:
        ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"redshift.ssl_ca {ca}: no PEM certificate can be read there ({error})") from error
    with _trust:
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = ca
        try:
            yield
        finally:
            if before is None:
                del os.environ["SSL_CERT_FILE"]
            else:
                os.environ["SSL_CERT_FILE"] = before


def _text(error: Exception) -> str:
    """The server's message of a driver error; its first argument is the dict of the wire's fields."""
    for arg in error.args:
        if isinstance(arg, dict) and "M" in arg:
            return str(arg["M"])
    return ": ".join(str(arg) for arg in error.args) or type(error).__name__
