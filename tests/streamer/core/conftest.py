"""A MySQL server of their own for the decoder's tests: they change global variables and read the whole binlog."""

from collections.abc import Iterator

import pytest

from devstack.mysql import MysqlServer
from devstack.stack import running_stack


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlServer]:
    directory = tmp_path_factory.mktemp("decoder")
    with running_stack(directory, only={"mysql"}, mysql_settings={"max_allowed_packet": "64M"}) as stack:
        yield stack.mysql
