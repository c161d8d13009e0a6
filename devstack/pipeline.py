"""A whole pipeline on a running stack: its settings file, and its services as the processes a person would start."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from devstack.launcher import PR_SET_PDEATHSIG, start_ticks
from devstack.stack import Stack

BUCKET = "tidemark-lake"
CAPTURE_USER = "tidemark"
CAPTURE_PASSWORD = "capture-only"


@dataclass
class Service:
    """A service's process and the file its log goes to."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def running(self) -> bool:
        return self.process.poll() is None

    def kill9(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 12) -> int:
        """SIGTERM, and the exit code. Raises TimeoutExpired (after SIGKILL) when the service does not stop in time."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise

    def wait(self, timeout_s: float) -> int:
        return self.process.wait(timeout_s)

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class Pipeline:
    """Services of the pipeline `name` on `stack`, their files under `directory`. `tables`: patterns of what is captured.
    Unless `keep`, a service dies with the process that started it."""

    stack: Stack
    directory: Path
    name: str = "shop"
    tables: Sequence[str] = ("shop.*",)
    settings: Mapping[str, Any] = field(default_factory=dict)
    keep: bool = False
    services: list[Service] = field(default_factory=list)

    @property
    def config_path(self) -> Path:
        return self.directory / "tidemark.yaml"

    def prepare(self) -> None:
        """The capture user, the bucket and the settings file."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.stack.mysql.create_capture_user(CAPTURE_USER, CAPTURE_PASSWORD)
        client = self.stack.s3.client()
        if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=BUCKET)
        self.config_path.write_text(yaml.safe_dump(self.config(), sort_keys=False))

    def config(self) -> dict[str, Any]:
        mysql, kafka = self.stack.mysql, self.stack.kafka
        base: dict[str, Any] = {
            "pipeline": self.name,
            "mysql": {
                "host": mysql.host,
                "port": mysql.port,
                "user": CAPTURE_USER,
                "password": CAPTURE_PASSWORD,
                "allow_plaintext": True,
            },
            "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "allow_plaintext": True, "replication_factor": 1},
            "s3": {"bucket": BUCKET, **self.stack.s3.settings},
            "redshift": self.stack.redshift.settings,
            "tables": {"include": list(self.tables)},
            "batch": {"seconds": 1},
        }
        for section, values in self.settings.items():
            base[section] = {**base[section], **values} if isinstance(base.get(section), dict) else values
        return base

    def start(self, name: str, *arguments: str, crash: str | None = None) -> Service:
        """Starts a service. `crash`: the point at which it kills itself (`loader.commit.before:3`)."""
        number = sum(service.name == name for service in self.services) + 1
        log = self.directory / f"{name}-{number}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self._command(name, arguments),
                env=self._environment(crash),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=self.keep,
                preexec_fn=None if self.keep else _die_with_parent,
            )
        log.with_suffix(".pid").write_text(f"{process.pid} {start_ticks(process.pid)}")
        service = Service(name, process, log)
        self.services.append(service)
        return service

    def run(self, name: str, *arguments: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
        """Runs a command to its end, its output kept."""
        return subprocess.run(
            self._command(name, arguments), env=self._environment(None), capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def stop(self) -> None:
        """Stops what runs, newest first."""
        for service in reversed(self.services):
            if service.running():
                service.stop()

    def _command(self, name: str, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", name, *arguments]

    def _environment(self, crash: str | None) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK")}
        faults = {"TIDEMARK_TEST": "1", "TIDEMARK_CRASH": crash} if crash else {}
        return {**clean, "TIDEMARK_CONFIG": str(self.config_path), **faults}


@contextmanager
def running_pipeline(stack: Stack, directory: Path, **options: Any) -> Iterator[Pipeline]:
    """A prepared pipeline whose services are stopped at the end, by SIGKILL when the block failed."""
    pipeline = Pipeline(stack, directory, **options)
    pipeline.prepare()
    try:
        yield pipeline
    except BaseException:
        for service in pipeline.services:
            if service.running():
                service.kill9()
        raise
    if not pipeline.keep:
        pipeline.stop()


def stop_kept(directory: Path) -> None:
    """Stops the services that a pipeline with `keep` left running in `directory`."""
    records = [record.read_text().split() for record in directory.glob("*.pid")]

    def running() -> list[int]:
        return [int(pid) for pid, ticks in records if str(start_ticks(int(pid))) == ticks]

    for pid in running():
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not running(), 15, "a service that was left running does not stop")


_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def wait_until(done: Callable[[], object], timeout_s: float, complaint: str) -> None:
    """Asks ten times a second. Raises TimeoutError with the complaint."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:.0f} s: {complaint}")
        time.sleep(0.1)
