"""The servers these tests share: one stand-in for each isolation mode, one S3."""

import uuid
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from devstack.redshift.grammar import problems
from tests.devstack.redshift.standin import Client, Lake, StandIn


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def lake(s3_endpoint: str) -> Lake:
    return Lake(s3_endpoint)


def served(s3_endpoint: str, isolation: str) -> Iterator[StandIn]:
    standin = StandIn(s3_endpoint, isolation)
    standin.start()
    yield standin
    standin.stop()
    found = problems(standin.journal())
    standin.remove()
    assert found == [], "statements that passed here and would not on Redshift"


@pytest.fixture(scope="session")
def serializable(s3_endpoint: str) -> Iterator[StandIn]:
    yield from served(s3_endpoint, "serializable")


@pytest.fixture(scope="session")
def snapshot(s3_endpoint: str) -> Iterator[StandIn]:
    yield from served(s3_endpoint, "snapshot")


@pytest.fixture
def client(snapshot: StandIn) -> Iterator[Client]:
    client = Client(snapshot)
    yield client
    client.close()


@pytest.fixture
def table() -> str:
    """A table name nobody else has."""
    return f"t_{uuid.uuid4().hex[:10]}"
