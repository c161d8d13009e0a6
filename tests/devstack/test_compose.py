"""When Docker is chosen, what it is told, and that docker-compose.yml fits."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.errors import Invalid, Unavailable
from devstack.compose import COMPOSE_FILE, ComposeService, choose_engine, docker_answers, project_for
from devstack.kafka import properties
from devstack.mysql import configuration
from devstack.process import Process
from devstack.stack import SERVERS, Stack
from devstack.versions import HERE, Versions


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


@pytest.fixture(name="docker")
def docker_that_writes_down_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` on PATH that does nothing but note its arguments, a line a call; a service counts as running while a file is there."""
    notes = tmp_path / "notes"
    notes.touch()
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$TIDEMARK_MYSQL_PORT $*" >> {notes}\ncase "$*" in *fail*) echo "no such service" >&2; exit 14;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return notes


def told(notes: Path) -> list[str]:
    return [re.sub(r"compose --project-name \S+ --file \S+ ", "", line) for line in notes.read_text().splitlines()]


def test_an_engine_counts_only_when_info_and_compose_both_succeed(docker: Path) -> None:
    assert docker_answers()
    assert told(docker) == [" info", " compose version"]
    program = docker.parent / "bin" / "docker"
    program.write_text('#!/bin/sh\n[ "$1" = info ]\n')
    assert not docker_answers()
    program.unlink()
    assert not docker_answers()


def test_a_service_is_started_stopped_and_killed_alone(docker: Path) -> None:
    service = ComposeService(project_for(Path("/s"), {"mysql": 21000}), "mysql")
    service.start()
    service.kill9()
    service.stop()
    assert not service.alive(), "`ps` printed no container"
    assert told(docker) == [
        "21000 up --detach --no-deps mysql",
        "21000 kill --signal SIGKILL mysql",
        "21000 stop --timeout 20 mysql",
        "21000 ps --status running --quiet mysql",
    ]


def test_what_compose_says_when_it_fails_is_passed_on(docker: Path) -> None:
    with pytest.raises(Unavailable, match=r"stop --timeout 20 fail ended with 14(.|\n)*no such service"):
        ComposeService(project_for(Path("/s"), {}), "fail").stop()
    assert told(docker) == [" stop --timeout 20 fail"]


def test_the_guard_removes_the_project_when_it_is_stopped(docker: Path, tmp_path: Path) -> None:
    guard = Process("guard", tmp_path, lambda: [sys.executable, "-m", "devstack.compose", "tidemark-abc"], cwd=HERE.parent)
    guard.start()
    deadline = time.monotonic() + 20
    while "guarding tidemark-abc" not in guard.log_tail() and time.monotonic() < deadline:
        time.sleep(0.02)
    guard.stop()
    assert told(docker) == [" --profile * down --volumes --timeout 5"]


def test_a_stack_on_docker_takes_its_servers_from_compose_services(tmp_path: Path) -> None:
    state = {"version": 1, "engine": "docker", "ports": {"mysql": 21000, "s3": 21001}, "mysql_settings": {}}
    (tmp_path / "stack.json").write_text(json.dumps(state))
    stack = Stack.attach(tmp_path)
    assert all(isinstance(server.runner, ComposeService) for server in stack.servers.values())
    assert (stack.mysql.port, stack.s3.endpoint_url) == (21000, "http://127.0.0.1:21001")
