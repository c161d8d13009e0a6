"""Who is at the other end is proven before a password is sent. The servers here say just enough to be asked for TLS."""

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from unittest.mock import Mock

import pytest
import redshift_connector
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redshift_connector.error import InterfaceError

from contracts.errors import Invalid, Unavailable
from runtime.connect import kafka, mysql, redshift, s3
from runtime.sections import S3, Kafka, Mysql, Redshift

# A greeting of the protocol's version 10; capabilities with and without CLIENT_SSL (0x0800). Source: MySQL internals, "Handshake packets".
CAPABILITIES = 0x00FFF7DF


def greeting(tls: bool) -> bytes:
    capabilities = CAPABILITIES | 0x0800 if tls else CAPABILITIES & ~0x0800
    body = (
        b"\x0a9.7.4\x00"
        + (1).to_bytes(4, "little")
        + b"a" * 8
        + b"\x00"
        + (capabilities & 0xFFFF).to_bytes(2, "little")
        + b"\xff\x02\x00"
        + (capabilities >> 16).to_bytes(2, "little")
        + b"\x15"
        + b"\x00" * 10
        + b"b" * 12
        + b"\x00caching_sha2_password\x00"
    )
    return len(body).to_bytes(3, "little") + b"\x00" + body


def certificate(directory: Path, host: str) -> Path:
    """A self-signed certificate for `host`, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{host}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serves one connection; what the client sends after TLS began is kept nowhere."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                with listener.accept()[0] as connection:
                    talk(connection)
            except OSError:
                pass  # the client hung up, as it should

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def wrapped(connection: socket.socket, pem: Path) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context.wrap_socket(connection, server_side=True)


def mysql_with_tls(pem: Path) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(greeting(tls=True))
        connection.recv(36)
        wrapped(connection, pem)

    return talk


def redshift_with_tls(pem: Path) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.recv(8)
        connection.sendall(b"S")
        wrapped(connection, pem)

    return talk


def mysql_settings(port: int, **more: object) -> Mysql:
    return Mysql.model_validate({"host": "127.0.0.1", "port": port, "user": "u", "password": "hunter2", **more})


def redshift_settings(port: int, **more: object) -> Redshift:
    return Redshift.model_validate({"host": "127.0.0.1", "port": port, "database": "d", "user": "u", "password": "hunter2", **more})


def test_mysql_without_tls_is_refused() -> None:
    with server(lambda connection: connection.sendall(greeting(tls=False))) as port, pytest.raises(Invalid, match="offers no TLS"):
        mysql.connect(mysql_settings(port))


def test_mysql_with_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with server(mysql_with_tls(certificate(tmp_path, "127.0.0.1"))) as port, pytest.raises(Invalid, match=r"not trusted.*mysql\.ssl_ca"):
        mysql.connect(mysql_settings(port))


def test_mysql_with_another_hosts_certificate_is_refused(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "other.example.com")
    with server(mysql_with_tls(pem)) as port, pytest.raises(Invalid, match="not trusted"):
        mysql.connect(mysql_settings(port, ssl_ca=str(pem)))


def test_mysql_with_the_right_certificate_gets_past_tls(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "127.0.0.1")
    with server(mysql_with_tls(pem)) as port, pytest.raises(Unavailable):  # the server here hangs up once TLS stands
        mysql.connect(mysql_settings(port, ssl_ca=str(pem)))


def test_redshift_without_tls_is_refused() -> None:
    with server(lambda connection: connection.sendall(b"N")) as port, pytest.raises(Invalid, match="offers no TLS"):
        redshift.connect(redshift_settings(port))


def test_redshift_with_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with (
        server(redshift_with_tls(certificate(tmp_path, "127.0.0.1"))) as port,
        pytest.raises(Invalid, match=r"not trusted.*redshift\.ssl_ca"),
    ):
        redshift.connect(redshift_settings(port))


def test_redshift_with_another_hosts_certificate_is_refused(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "other.example.com")
    with server(redshift_with_tls(pem)) as port, pytest.raises(Invalid, match="not trusted"):
        redshift.connect(redshift_settings(port, ssl_ca=str(pem)))


def test_redshift_with_the_right_certificate_gets_past_tls_and_leaves_the_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    pem = certificate(tmp_path, "127.0.0.1")
    with server(redshift_with_tls(pem)) as port, pytest.raises(Unavailable):
        redshift.connect(redshift_settings(port, ssl_ca=str(pem)))
    assert "SSL_CERT_FILE" not in os.environ


@pytest.mark.parametrize(
    "connect", [lambda port: mysql.connect(mysql_settings(port)), lambda port: redshift.connect(redshift_settings(port))]
)
def test_nobody_there_is_unavailable_and_the_address_named(connect: Callable[[int], object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}") as caught:
        connect(port)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("error", [struct.error("unpack requires a buffer of 4 bytes"), EOFError()])
def test_an_answer_that_breaks_off_while_signing_in_is_unavailable(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(redshift_connector, "connect", Mock(side_effect=error))
    with pytest.raises(Unavailable, match="Redshift at"):
        redshift.connect(redshift_settings(1))


@pytest.mark.parametrize("error", [InterfaceError("BrokenPipe: server socket closed"), OSError("reset"), struct.error("half an answer")])
def test_a_session_let_in_and_ended_at_once_is_unavailable(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    connection = Mock()
    connection.cursor.return_value.execute.side_effect = error
    monkeypatch.setattr(redshift_connector, "connect", Mock(return_value=connection))
    with pytest.raises(Unavailable, match="ended as it began"):
        redshift.connect(redshift_settings(1))
    connection.close.assert_called_once()


def test_a_ca_file_that_is_none_is_refused_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(Invalid, match=r"mysql\.ssl_ca"):
        mysql.connect(mysql_settings(1, ssl_ca=str(tmp_path / "ca.pem")))
    with pytest.raises(Invalid, match=r"redshift\.ssl_ca"):
        redshift.connect(redshift_settings(1, ssl_ca=str(tmp_path / "nowhere.pem")))


def test_kafka_clients_check_certificate_and_host_name() -> None:
    config = kafka.client_config(
        Kafka.model_validate(
            {
                "bootstrap_servers": "k:9093",
                "security_protocol": "SASL_SSL",
                "ssl_ca": "/ca.pem",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_username": "u",
                "sasl_password": "hunter2",
            }
        )
    )
    assert config["ssl.endpoint.identification.algorithm"] == "https"
    assert config["enable.ssl.certificate.verification"] is True
    assert (config["ssl.ca.location"], config["sasl.password"]) == ("/ca.pem", "hunter2")


def test_kafka_in_plaintext_is_told_of_no_tls() -> None:
    config = kafka.client_config(Kafka.model_validate({"bootstrap_servers": "k:9092", "allow_plaintext": True}))
    assert config["security.protocol"] == "PLAINTEXT"
    assert not [name for name in config if name.startswith(("ssl", "sasl"))]


def test_an_own_s3_server_is_addressed_by_path_with_the_keys_given() -> None:
    client = s3.client(
        S3.model_validate(
            {"bucket": "b", "endpoint_url": "http://127.0.0.1:9", "region": "us-east-1", "access_key_id": "k", "secret_access_key": "s"}
        )
    )
    assert client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "x"}).startswith(
        "http://127.0.0.1:9/b/x?AWSAccessKeyId=k"
    )
