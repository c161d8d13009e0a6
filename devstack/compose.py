"""The same stack on a Docker engine: when it is chosen, and a Compose service as the runner of a server.

Run as a program (`python -m devstack.compose PROJECT`) it is the guard of a stack that must not outlive a process: a launcher stops it when
that process dies, and being stopped it removes the project."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import Invalid, Unavailable
from devstack.process import TAIL_LINES
from devstack.versions import HERE

COMPOSE_FILE = HERE.parent / "docker-compose.yml"
ENGINE_VARIABLE = "TIDEMARK_STACK"


def choose_engine(wish: str | None, docker_answers: bool) -> str:
    """`docker` or `native`, from the variable TIDEMARK_STACK and whether an engine with Compose answers. Raises Invalid for a wish that
    can't be had."""
    if wish in (None, ""):
        return "docker" if docker_answers else "native"
    if wish == "docker" and not docker_answers:
        raise Invalid(f"{ENGINE_VARIABLE}=docker, but no Docker engine with Compose answers; start one, or set {ENGINE_VARIABLE}=native")
    if wish not in ("docker", "native"):
        raise Invalid(f"{ENGINE_VARIABLE} is {wish!r}; it is `docker`, `native` or unset")
    return str(wish)


def docker_answers() -> bool:
    """Whether `docker info` and `docker compose version` both succeed."""
    if shutil.which("docker") is None:
        return False
    try:
        return all(
            subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
            for command in (["docker", "info"], ["docker", "compose", "version"])
        )
    except subprocess.TimeoutExpired:
        return False


@dataclass(frozen=True, slots=True)
class Project:
    """One Compose project: its name keeps stacks of different directories apart, `ports` are those published on the loopback."""

    name: str
    ports: tuple[tuple[str, int], ...]

    def command(self, *arguments: str) -> list[str]:
        return ["docker", "compose", "--project-name", self.name, "--file", str(COMPOSE_FILE), *arguments]

    def environment(self) -> dict[str, str]:
        """The variables docker-compose.yml takes its published ports from."""
        return {f"TIDEMARK_{service.upper()}_PORT": str(port) for service, port in self.ports}

    def run(self, *arguments: str) -> str:
        """Output of a Compose command. Raises Unavailable with its end when it fails."""
        done = subprocess.run(
            self.command(*arguments), env={**os.environ, **self.environment()}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Unavailable(f"docker compose {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout

    def remove(self) -> None:
        """Stops and removes containers, networks and volumes of this project."""
        self.run("--profile", "*", "down", "--volumes", "--timeout", "5")


def project_for(directory: Path, ports: Mapping[str, int]) -> Project:
    """The project of the stack in `directory`. Source: Compose specification, "name": lower-case letters, digits, dashes and underscores;
    a directory's own name may hold more."""
    digest = hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:12]
    return Project(f"tidemark-{digest}", tuple(sorted(ports.items())))


class ComposeService:
    """One service of a project as a Runner."""

    def __init__(self, project: Project, name: str) -> None:
        self.name = name
        self.project = project

    def start(self) -> None:
        self.project.run("up", "--detach", "--no-deps", self.name)

    def stop(self) -> None:
        self.project.run("stop", "--timeout", "20", self.name)

    def kill9(self) -> None:
        self.project.run("kill", "--signal", "SIGKILL", self.name)

    def alive(self) -> bool:
        return bool(self.project.run("ps", "--status", "running", "--quiet", self.name).strip())

    def log_tail(self) -> str:
        return self.project.run("logs", "--no-color", "--tail", str(TAIL_LINES), self.name)

    def copy_out(self, inside: str, outside: Path) -> None:
        """Copies a file of the container to this machine."""
        self.project.run("cp", f"{self.name}:{inside}", str(outside))


def guard(name: str) -> None:
    """Waits for SIGTERM, then removes the project `name`."""
    # Blocked, not handled: a signal that comes before the wait is kept for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print(f"guarding {name}", flush=True)
    signal.sigwait({signal.SIGTERM})
    Project(name, ()).remove()


if __name__ == "__main__":
    guard(sys.argv[1])
