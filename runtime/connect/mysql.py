"""MySQL. PyMySQL's own default is TLS if the server happens to offer it, its certificate unchecked; here TLS is required and verified."""

import ssl
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from contracts.errors import Invalid, Unavailable
from runtime.sections import Mysql

ACCESS_DENIED = {1044, 1045, 1698}


def options(settings: Mysql, **more: Any) -> dict[str, Any]:
    """Arguments of `pymysql.connect`, also for what connects by itself from such arguments. Raises Invalid for a bad CA file."""
    out: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "user": settings.user,
        "password": settings.password.get_secret_value(),
        "charset": "utf8mb4",
        "connect_timeout": max(1, round(settings.connect_timeout_seconds)),
    }
    if settings.ssl_ca or not settings.allow_plaintext:
        # A context makes PyMySQL refuse a server without TLS.
        out["ssl"] = _context(settings)
    return {**out, **more}


def connect(settings: Mysql, **more: Any) -> "Connection[Cursor]":
    """A connection; `more` are arguments of `pymysql.connect`. Raises Unavailable, Invalid for refused credentials or certificates."""
    arguments = options(settings, **more)
    where = f"MySQL at {settings.host}:{settings.port}"
    try:
        return pymysql.connect(**arguments)
    except pymysql.err.OperationalError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise Invalid(
                f"{where}: its certificate is not trusted ({cause.verify_message}); set mysql.ssl_ca and use the host name it is for"
            ) from error
        if "SSL" in str(error.args[-1]) and "support" in str(error.args[-1]):
            raise Invalid(f"{where} offers no TLS; turn it on there, or say mysql.allow_plaintext: true") from error
        if error.args[0] in ACCESS_DENIED:
            raise Invalid(f"{where} refuses user {settings.user}: {error.args[-1]}") from error
        raise Unavailable(f"{where}: {error.args[-1]}") from error
    except (pymysql.err.MySQLError, OSError) as error:
        raise Unavailable(f"{where}: {error}") from error


def _context(settings: Mysql) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"mysql.ssl_ca {settings.ssl_ca}: no PEM certificate can be read there ({error})") from error
    # The certificates MySQL makes for itself lack what RFC 5280 asks for; the chain is checked all the same.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = settings.ssl_verify_identity
    context.verify_mode = ssl.CERT_REQUIRED
    return context
