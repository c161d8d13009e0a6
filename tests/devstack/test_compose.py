"""When Docker is chosen, what it is told, and that docker-compose.yml fits."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.errors import Invalid
from devstack.compose import COMPOSE_FILE, choose_engine, project_for
from devstack.kafka import properties
from devstack.mysql import configuration
from devstack.stack import SERVERS
from devstack.versions import Versions


@pytest.fixture(name="compose", scope="module")
def compose_file() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
    return loaded


@pytest.mark.parametrize(
    ("wish", "answers", "engine"),
    [(None, True, "docker"), (None, False, "native"), ("", True, "docker"), ("native", True, "native"), ("docker", True, "docker")],
)
def test_an_engine_that_answers_is_used_unless_native_is_wished(wish: str | None, answers: bool, engine: str) -> None:
    assert choose_engine(wish, answers) == engine


@pytest.mark.parametrize(("wish", "answers"), [("docker", False), ("podman", True), ("Native", False)])
def test_a_wish_that_cannot_be_had_is_refused_by_name(wish: str, answers: bool) -> None:
    with pytest.raises(Invalid, match=f"TIDEMARK_STACK.*{wish}"):
        choose_engine(wish, answers)


def test_a_directory_has_one_project_name_that_compose_accepts() -> None:
    name = project_for(Path("/home/Jo Müller/" + "deep/" * 30 + ".devstack"), {}).name
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name)
    assert name == project_for(Path("/home/Jo Müller/" + "deep/" * 30 + ".devstack"), {}).name
    assert project_for(Path("/a"), {}).name != project_for(Path("/b"), {}).name


def test_two_long_directories_with_the_same_end_are_two_projects() -> None:
    end = "x" * 80
    assert project_for(Path("/one") / end, {}).name != project_for(Path("/two") / end, {}).name


def test_compose_is_called_with_project_file_and_ports() -> None:
    project = project_for(Path("/srv/stack"), {"mysql": 21000, "kafka": 21001})
    command = project.command("up", "--detach", "--no-deps", "mysql")
    assert command == [
        "docker",
        "compose",
        "--project-name",
        project.name,
        "--file",
        str(COMPOSE_FILE),
        "up",
        "--detach",
        "--no-deps",
        "mysql",
    ]
    assert project.environment() == {"TIDEMARK_MYSQL_PORT": "21000", "TIDEMARK_KAFKA_PORT": "21001"}


def test_every_server_is_a_compose_service_whose_port_is_ours_to_choose_and_closed_to_the_network(compose: dict[str, Any]) -> None:
    for server in SERVERS:
        (port,) = compose["services"][server]["ports"]
        assert port.startswith(f"127.0.0.1:${{TIDEMARK_{server.upper()}_PORT:-"), server


def test_the_images_are_the_pinned_ones(compose: dict[str, Any]) -> None:
    assert {name: compose["services"][name]["image"] for name in ("mysql", "kafka", "s3")} == Versions.load().docker


def test_mysql_in_docker_has_the_binlog_of_the_native_one(compose: dict[str, Any]) -> None:
    native = configuration(Path("/d"), Path("/r"), 1, Path("/s"), 1, {})
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in compose["services"]["mysql"]["command"])
    assert {"log-bin", "binlog-row-image", "binlog-row-metadata", "gtid-mode", "enforce-gtid-consistency"} <= flags.keys()
    assert {name: str(native[name]) for name in flags} == flags


def test_kafka_in_docker_has_the_settings_of_the_native_one(compose: dict[str, Any]) -> None:
    native = {f"KAFKA_{key.replace('.', '_').upper()}": str(value) for key, value in properties(1, 2, Path("/d"), {}).items()}
    told = compose["services"]["kafka"]["environment"]
    # Names and addresses differ inside Docker's network; behaviour may not.
    by_address = re.compile("LISTENER|VOTERS|LOG_DIRS|CLUSTER")
    assert {k: v for k, v in told.items() if not by_address.search(k)} == {k: v for k, v in native.items() if not by_address.search(k)}


def test_the_pipeline_waits_for_every_server_and_starts_only_on_request(compose: dict[str, Any]) -> None:
    for name in ("streamer", "loader", "janitor"):
        service = compose["services"][name]
        assert service["profiles"] == ["services"]
        assert {server: needed["condition"] for server, needed in service["depends_on"].items()} == dict.fromkeys(
            SERVERS, "service_healthy"
        )
        assert service["read_only"] is True
