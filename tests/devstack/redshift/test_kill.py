from collections.abc import Iterator
from pathlib import Path

import pytest
import redshift_connector

from tests.devstack.redshift.standin import Client, StandIn

pytestmark = pytest.mark.stack


@pytest.fixture
def own(s3_endpoint: str) -> Iterator[StandIn]:
    standin = StandIn(s3_endpoint, "snapshot")
    standin.start()
    yield standin
    standin.remove()


def postmaster(standin: StandIn) -> int:
    return int((standin.data / "postgres" / "postmaster.pid").read_text().split("\n")[0])


def test_a_killed_stand_in_keeps_what_was_committed_and_nothing_else(own: StandIn) -> None:
    client = Client(own)
    client.run("CREATE TABLE t (a INT) DISTSTYLE ALL")
    client.run("INSERT INTO t VALUES (1)")
    client.commit()
    client.run("INSERT INTO t VALUES (2)")
    own.kill9()
    with pytest.raises((redshift_connector.error.InterfaceError, OSError)):
        client.commit()
    own.start()
    again = Client(own)
    assert again.rows("SELECT a FROM t") == [[1]]
    assert again.value("SELECT diststyle FROM svv_table_info") == "ALL"
    again.close()


def test_postgresql_is_never_left_behind(own: StandIn) -> None:
    pid = postmaster(own)
    own.stop()
    assert not Path(f"/proc/{pid}").exists()
    own.start()
    first = postmaster(own)
    own.kill9()
    own.start()
    assert postmaster(own) != first
    assert not Path(f"/proc/{first}").exists() or b"postgres" not in Path(f"/proc/{first}/cmdline").read_bytes()


def test_two_stand_ins_live_side_by_side(own: StandIn, s3_endpoint: str) -> None:
    other = StandIn(s3_endpoint, "serializable")
    other.start()
    assert Client(own).value("SHOW transaction_isolation") == "SNAPSHOT"
    assert Client(other).value("SHOW transaction_isolation") == "SERIALIZABLE"
    other.remove()
