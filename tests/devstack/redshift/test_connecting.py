import os
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redshift_connector

from tests.devstack.redshift.standin import PASSWORD, Client, StandIn

pytestmark = pytest.mark.stack


@pytest.fixture
def trusted(snapshot: StandIn) -> Iterator[None]:
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(snapshot.data / "tls" / "ca.pem")
    yield
    if before is None:
        del os.environ["SSL_CERT_FILE"]
    else:
        os.environ["SSL_CERT_FILE"] = before


@pytest.mark.parametrize(
    "options", [{}, {"sslmode": "verify-full"}, {"sslmode": "verify-full", "host": "127.0.0.1"}, {"sslmode": "verify-ca"}]
)
def test_the_driver_connects_over_tls_and_checks_the_name(snapshot: StandIn, trusted: None, options: dict[str, Any]) -> None:
    client = Client(snapshot, ssl=True, **options)
    assert isinstance(client.connection._usock, ssl.SSLSocket)
    assert client.value("SELECT 7") == 7
    client.close()


def test_a_client_that_does_not_trust_the_authority_is_not_served(snapshot: StandIn) -> None:
    with pytest.raises((redshift_connector.error.OperationalError, redshift_connector.error.InterfaceError, ssl.SSLError)):
        Client(snapshot, ssl=True)


@pytest.mark.parametrize("options", [{"password": "Wrong-1"}, {"user": "nobody"}])
def test_a_wrong_password_or_user_is_refused_with_28000(snapshot: StandIn, options: dict[str, Any]) -> None:
    with pytest.raises(redshift_connector.error.InterfaceError) as refusal:
        Client(snapshot, **options)
    assert refusal.value.args[0]["C"] == "28000"


def test_another_database_does_not_exist(snapshot: StandIn) -> None:
    with pytest.raises(redshift_connector.error.ProgrammingError) as refusal:
        Client(snapshot, database="other")
    assert refusal.value.args[0]["C"] == "3D000"


def test_the_server_says_it_is_redshift(client: Client) -> None:
    assert (b"server_version", b"8.0.2") in client.connection.parameter_statuses
    assert "Redshift" in client.value("SELECT version()")


def test_an_error_fails_the_transaction_until_rollback(client: Client) -> None:
    for failing in ("SELECT * FROM missing", "SELECT jsonb_build_object()"):
        with pytest.raises(redshift_connector.error.ProgrammingError):
            client.run(failing)
        with pytest.raises(redshift_connector.error.ProgrammingError) as refusal:
            client.run("SELECT 1")
        assert refusal.value.args[0]["C"] == "25P02"
        client.rollback()
    assert client.value("SELECT 1") == 1


def test_a_session_ended_by_pg_terminate_backend_is_closed_and_its_work_undone(snapshot: StandIn, client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (a INT)")
    client.commit()
    victim = Client(snapshot)
    victim.run(f"INSERT INTO {table} VALUES (1)")
    pid = victim.value("SELECT pg_backend_pid()")
    assert client.rows("SELECT process FROM stv_sessions WHERE process = %s", (pid,)) == [[pid]]
    holders = client.rows(
        "SELECT DISTINCT pid, txn_owner, granted FROM svv_transactions t JOIN pg_class c ON c.oid = t.relation WHERE c.relname = %s",
        (table,),
    )
    assert [pid, "awsuser", True] in holders
    assert client.value("SELECT pg_terminate_backend(%s)", (pid,)) is True
    with pytest.raises((redshift_connector.error.InterfaceError, redshift_connector.error.ProgrammingError, OSError)):
        victim.run("SELECT 1")
    client.commit()
    assert client.value(f"SELECT COUNT(*) FROM {table}") == 0


def test_a_cancel_request_ends_the_running_statement(snapshot: StandIn, client: Client, table: str) -> None:
    client.run(f"CREATE TABLE {table} (a INT)")
    client.commit()
    client.run(f"LOCK {table}")
    waiting = psycopg.connect(host="127.0.0.1", port=snapshot.port, user="awsuser", password=PASSWORD, dbname="dev", sslmode="disable")
    waiting.execute("SET statement_timeout TO 10000")
    threading.Timer(0.5, waiting.cancel).start()
    with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
        waiting.execute(f"SELECT * FROM {table}")
    waiting.close()


def test_a_created_user_signs_in_and_may_do_what_was_granted(snapshot: StandIn, client: Client, table: str) -> None:
    name = f"u_{table}"
    client.run(f"CREATE USER {name} PASSWORD 'Reader-1'")
    client.run(f"CREATE GROUP {name}")
    client.run(f"ALTER GROUP {name} ADD USER {name}")
    client.run(f"CREATE TABLE {table} (a INT)")
    client.run(f"GRANT SELECT ON {table} TO GROUP {name}")
    client.commit()
    reader = Client(snapshot, user=name, password="Reader-1")
    assert reader.value(f"SELECT COUNT(*) FROM {table}") == 0
    assert reader.refused(f"INSERT INTO {table} VALUES (1)")["C"] == "42501"
    assert reader.value("SELECT current_user") == name
    reader.close()
    client.run(f"REVOKE SELECT ON {table} FROM GROUP {name}")
    client.commit()
    again = Client(snapshot, user=name, password="Reader-1")
    assert again.refused(f"SELECT * FROM {table}")["C"] == "42501"
    again.close()


def test_the_simple_protocol_serves_psql(snapshot: StandIn) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=snapshot.port, user="awsuser", password=PASSWORD, dbname="dev", sslmode="disable", autocommit=True
    ) as plain:
        assert plain.pgconn.exec_(b"SELECT 1 AS a, 'x' AS b").get_value(0, 1) == b"x"
        assert b"not implemented" in plain.pgconn.exec_(b"EXPLAIN SELECT 1").error_message
