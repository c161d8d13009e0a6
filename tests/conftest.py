"""One stack of real servers for the whole test run; tests part by database, pipeline and ledger schema of their own names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """MySQL, Kafka, S3 and the warehouse stand-in. A test that kills a server starts it again before it ends."""
    directory: Path = tmp_path_factory.mktemp("stack")
    with running_stack(directory) as running:
        yield running
