"""A MySQL server alone, for edges that talk to nothing else."""

from collections.abc import Iterator

import pytest

from devstack.mysql import MysqlServer
from devstack.stack import running_stack
from runtime.sections import Mysql


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlServer]:
    with running_stack(tmp_path_factory.mktemp("edges"), only={"mysql"}) as stack:
        yield stack.mysql


@pytest.fixture(scope="session")
def settings(server: MysqlServer) -> Mysql:
    account = {"user": server.user, "password": server.password, "allow_plaintext": True}
    return Mysql.model_validate({"host": server.host, "port": server.port, **account})
