"""One stack of real servers for the whole test run; tests part by database, pipeline and ledger schema of their own names."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from redshift_connector.core import Connection

from devstack.redshift.grammar import problems
from devstack.redshift.journal import read_journal
from devstack.stack import Stack, running_stack
from tests.stack.lake import BUCKET, Lake, lake_of

settings.register_profile("tidemark", deadline=None)
"""How long an example takes says more of the machine than of the code."""
settings.load_profile("tidemark")


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """A command run in-process sets up the logs for its process; the next test must not write to that one's closed stream."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """MySQL, Kafka, S3 and the warehouse stand-in. A test that kills a server starts it again before it ends.

    At the end, every distinct statement the warehouse took from any test or service must be Redshift's SQL by a grammar not ours."""
    directory: Path = tmp_path_factory.mktemp("stack")
    with running_stack(directory) as running:
        yield running
        assert problems(read_journal(running.redshift.journal_path)) == []


@pytest.fixture
def warehouse(stack: Stack) -> Iterator[Connection]:
    """A session of a person's beside the loader's."""
    with stack.redshift.connect(ssl=False) as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture(scope="session")
def lake_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The two servers the janitor talks to."""
    with running_stack(tmp_path_factory.mktemp("janitor"), only=("s3", "redshift")) as running:
        running.s3.client().create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture
def lake(lake_servers: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lake]:
    """A pipeline's bucket and ledger, written by hand."""
    with lake_of(lake_servers, tmp_path, request.node.name) as made:
        yield made
