"""One server as a process: start, wait until ready, stop, kill -9."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from contracts.errors import Unavailable
from devstack import launcher
from devstack.launcher import start_ticks

TAIL_LINES = 25


class Runner(Protocol):
    """How a server is run: a process of this machine, or a service of Docker Compose."""

    @property
    def name(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill9(self) -> None: ...
    def alive(self) -> bool: ...
    def log_tail(self) -> str: ...


class Process:
    """A server process under its launcher, found again by any later process through its pid file.

    The directory holds `pid.json` and `log`. `outlive=False` ties the server to this process: it dies with it, even with a kill -9.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        command: Callable[[], Sequence[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        outlive: bool = False,
        grace_seconds: float = 20.0,
    ) -> None:
        self.name = name
        self.log = directory / "log"
        self._command = command
        self._env = dict(env or {})
        self._cwd = cwd
        self._outlive = outlive
        self._grace_seconds = grace_seconds
        self._pid_file = directory / "pid.json"
        self._launcher: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's own pid while it runs, else None."""
        return self._recorded("server")

    def start(self) -> None:
        if self.alive():
            raise ValueError(f"{self.name} runs already as pid {self.pid}")
        self._pid_file.unlink(missing_ok=True)
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        watched = "0" if self._outlive else str(os.getpid())
        arguments = [sys.executable, "-I", launcher.__file__, str(self._pid_file), watched, *self._command()]
        with self.log.open("ab") as log:
            self._launcher = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._env},
                cwd=self._cwd,
                start_new_session=True,
            )
        deadline = time.monotonic() + 10
        while not self._pid_file.exists():
            if self._launcher.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"{self.name} could not be launched; its log ends:\n{self.log_tail()}")
            time.sleep(0.01)

    def alive(self) -> bool:
        return self.pid is not None

    def stop(self) -> None:
        """Asks the server to end, kills it after the grace, and returns when both it and its launcher are gone."""
        self._signal("server", signal.SIGTERM)
        if not self._wait_gone(self._grace_seconds):
            self.kill9()

    def kill9(self) -> None:
        """SIGKILL to the server and its children at once, as a power cut would; returns when all are gone."""
        self._signal("server", signal.SIGKILL, group=True)
        if not self._wait_gone(10):
            raise Unavailable(f"{self.name} (pid {self.pid}) does not die of SIGKILL")

    def log_tail(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(lines[-TAIL_LINES:])

    def _recorded(self, who: str) -> int | None:
        try:
            pid, started = json.loads(self._pid_file.read_text())[who]
        except FileNotFoundError:
            return None
        return pid if started is not None and start_ticks(pid) == started else None

    def _signal(self, who: str, number: signal.Signals, group: bool = False) -> None:
        pid = self._recorded(who)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number) if group else os.kill(pid, number)

    def _wait_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._recorded("server") is not None or self._recorded("launcher") is not None:
            if self._launcher is not None:
                self._launcher.poll()  # a zombie of ours is no process any more, but only once it is reaped
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        if self._launcher is not None:
            self._launcher.wait()
            self._launcher = None
        self._pid_file.unlink(missing_ok=True)
        return True


class Server(ABC):
    """A server of the stack: how to prepare it, how to know that it answers, and the runner that holds it."""

    ready_seconds_max = 90.0

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    @property
    def name(self) -> str:
        return self.runner.name

    def prepare(self) -> None:  # noqa: B027 - most servers have nothing to prepare
        """Writes configuration and data directory where they are missing. Called before every start."""

    def remove(self) -> None:  # noqa: B027 - most servers write nowhere else
        """Removes what the server wrote outside its directory. Called when it is down for good."""

    @abstractmethod
    def probe(self) -> None:
        """Returns when the server answers as its clients need it; raises anything while it does not."""

    def start(self) -> None:
        """Starts and waits until ready. Raises Unavailable with the end of the log when the server dies or stays silent."""
        self.prepare()
        self.runner.start()
        self.wait_until_ready()

    def stop(self) -> None:
        self.runner.stop()

    def kill9(self) -> None:
        self.runner.kill9()

    def restart(self) -> None:
        self.stop()
        self.start()

    def alive(self) -> bool:
        return self.runner.alive()

    def answers(self) -> bool:
        """Whether one probe succeeds now."""
        try:
            self.probe()
        except Exception:
            return False
        return True

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.ready_seconds_max
        while True:
            try:
                self.probe()
                return
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
            if not self.alive():
                raise Unavailable(f"{self.name} ended while starting; its log ends:\n{self.runner.log_tail()}")
            if time.monotonic() > deadline:
                self.kill9()
                raise Unavailable(
                    f"{self.name} did not answer within {self.ready_seconds_max:.0f} s ({reason}); its log ends:\n{self.runner.log_tail()}"
                )
            time.sleep(0.1)
