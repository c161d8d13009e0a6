"""Each missing prerequisite is named with the command that installs it."""

from dataclasses import replace

import pytest

from devstack.prerequisites import Host, missing
from devstack.stack import SERVERS

COMPLETE = Host(
    linux=True, root=False, apt=True, keyring=True, mirror_fault=None, maven=True, java="/usr/bin/java", postgresql="/usr/bin",
    moto=True, venv=True, mysql_cached=False, kafka_cached=False,
)  # fmt: skip


def test_a_complete_host_lacks_nothing() -> None:
    assert missing(COMPLETE, SERVERS) == []


@pytest.mark.parametrize(
    ("lack", "name", "fix"),
    [
        ({"maven": False}, "mvn", "sudo apt-get install -y --no-install-recommends maven"),
        ({"keyring": False}, "Debian's archive keys", "sudo apt-get install -y debian-archive-keyring"),
        ({"mirror_fault": "set the variable"}, "a Debian mirror", "set the variable"),
        ({"venv": False}, "the venv module", "sudo apt-get install -y python3-venv"),
        ({"java": None}, "Java 17 or newer", "sudo apt-get install -y default-jre-headless"),
        ({"postgresql": None}, "PostgreSQL 15 or newer", "sudo apt-get install -y postgresql"),
        ({"moto": False}, "moto's server", "make setup"),
        ({"linux": False}, "Linux", "start a Docker engine"),
        ({"apt": False}, "apt-get and dpkg", "start a Docker engine"),
    ],
)
def test_a_missing_thing_is_named_with_its_command(lack: dict[str, object], name: str, fix: str) -> None:
    (found,) = missing(replace(COMPLETE, **lack), SERVERS)  # type: ignore[arg-type]  # each case changes another field
    assert found.name == name
    assert fix in str(found)


def test_root_needs_no_sudo_and_gets_maven_by_itself() -> None:
    (found,) = missing(replace(COMPLETE, root=True, maven=False), SERVERS)
    assert found.fix == "apt-get install -y --no-install-recommends maven"
    assert found.automatic


def test_another_user_installs_maven_by_hand_but_gets_the_wheels_by_itself() -> None:
    found = missing(replace(COMPLETE, maven=False, java=None, postgresql=None), SERVERS)
    assert [item.automatic for item in found] == [False, True, True]


def test_what_is_cached_needs_no_tool_to_fetch_it() -> None:
    bare = replace(COMPLETE, maven=False, keyring=False, mirror_fault="none known", mysql_cached=True, kafka_cached=True)
    assert missing(bare, SERVERS) == []


def test_only_the_servers_asked_for_need_anything() -> None:
    bare = replace(COMPLETE, apt=False, maven=False, java=None, postgresql=None)
    assert missing(bare, {"s3"}) == []
    assert [item.wanted_for for item in missing(bare, {"kafka"})] == ["Kafka", "Kafka"]
