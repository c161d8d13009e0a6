"""A MySQL server whose binlog the decoders are held against: its commits need not outlive a crash, only be quick."""

from collections.abc import Iterator

import pytest

from devstack.mysql import MysqlServer
from devstack.stack import running_stack

QUICK: dict[str, str | int] = {
    "max_allowed_packet": "64M",
    "sync_binlog": 0,
    "innodb_flush_log_at_trx_commit": 0,
    "innodb_doublewrite": "OFF",
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlServer]:
    with running_stack(tmp_path_factory.mktemp("kernel"), only={"mysql"}, mysql_settings=QUICK) as stack:
        yield stack.mysql
