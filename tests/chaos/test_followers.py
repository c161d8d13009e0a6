"""MySQL at one GTID set, while it trades on; and a server that takes its place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.mysql import MysqlServer
from devstack.pipeline import CAPTURE_PASSWORD, CAPTURE_USER
from tests.chaos.followers import Oracle, Standby, ask, executed

pytestmark = [pytest.mark.stack, pytest.mark.long]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[MysqlServer, Standby, Oracle]]:
    source, standby = (MysqlServer(tmp_path / name, server_id=number, name=name) for number, name in ((81, "source"), (82, "standby")))
    oracle = Oracle(tmp_path / "oracle")
    started: list[MysqlServer] = []
    try:
        for server in (source, standby, oracle.server):
            server.start()
            started.append(server)
        source.create_capture_user(CAPTURE_USER, CAPTURE_PASSWORD)
        ask(source, "CREATE DATABASE s", "CREATE TABLE s.t (id INT)")
        yield source, Standby(standby), oracle
    finally:
        for server in started:
            server.stop()


def test_the_oracle_stands_at_a_moment_and_goes_on_to_the_next_even_through_a_failover(
    servers: tuple[MysqlServer, Standby, Oracle],
) -> None:
    source, standby, oracle = servers
    oracle.follow(source)
    standby.follow(source)
    moments = []
    for tag in ("AUTOMATIC", "AUTOMATIC:nightly", "AUTOMATIC"):
        ask(source, f"SET gtid_next = '{tag}'", "INSERT INTO s.t VALUES (1)")
        moments.append(executed(source))
    oracle.wait_until_received(moments[-1])
    for rows, moment in enumerate(moments[:2], 1):
        for _ in range(2):
            oracle.advance(moment)
            assert ask(oracle.server, "SELECT COUNT(*) FROM s.t") == [(rows,)]
    with pytest.raises(AssertionError, match="the oracle stands at"):
        oracle.advance(moments[0])

    oracle.advance(moments[2])
    standby.wait_for(moments[2])
    source.kill9()
    promoted = standby.promote()
    ask(promoted, "INSERT INTO s.t VALUES (1)")
    moment = executed(promoted)
    ask(promoted, "INSERT INTO s.t VALUES (1)")
    oracle.follow(promoted)
    oracle.advance(moment)
    assert ask(oracle.server, "SELECT COUNT(*) FROM s.t") == [(4,)]
    source.start()
    standby = Standby(source)
    standby.follow(promoted)
    standby.wait_for(executed(promoted))
    with standby.lagging():
        ask(promoted, "INSERT INTO s.t VALUES (1)")
        assert not executed(promoted).is_subset(executed(source))
    standby.wait_for(executed(promoted))
