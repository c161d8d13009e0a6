"""Nothing a launcher starts outlives who asked for it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import Unavailable
from devstack.launcher import start_ticks
from devstack.process import Process, Server
from devstack.versions import HERE

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]
# A daemon of the old school: its child leaves the process group and the session.
PARENT_OF_A_DAEMON = [
    sys.executable,
    "-c",
    "import subprocess, time; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True); time.sleep(600)",
]


def eventually(holds: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 20
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    return start_ticks(pid) is None


def test_a_server_runs_until_it_is_stopped_and_can_start_again(tmp_path: Path) -> None:
    process = Process("sleeper", tmp_path, lambda: SLEEPER)
    assert not process.alive()
    process.start()
    first = process.pid
    assert first is not None
    process.stop()
    assert gone(first)
    process.start()
    assert process.pid not in (None, first)
    process.kill9()
    assert not process.alive()


def test_a_server_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    process = Process("deaf", tmp_path, lambda: STUBBORN, grace_seconds=0.2)
    process.start()
    assert eventually(lambda: "deaf" in process.log.read_text())
    pid = process.pid
    assert pid is not None
    process.stop()
    assert gone(pid)


def test_a_daemon_the_server_left_behind_dies_with_it(tmp_path: Path) -> None:
    process = Process("parent", tmp_path, lambda: PARENT_OF_A_DAEMON)
    process.start()
    assert eventually(lambda: process.log.read_text().strip())
    daemon = int(process.log.read_text())
    process.kill9()
    assert gone(daemon)


def started_elsewhere(folder: Path, outlive: bool) -> "subprocess.Popen[str]":
    """Another Python process that starts a sleeper from a thread which then ends, and waits."""
    code = f"""
        import threading, time
        from pathlib import Path
        from devstack.process import Process
        process = Process("sleeper", Path({str(folder)!r}), lambda: {SLEEPER!r}, outlive={outlive})
        thread = threading.Thread(target=process.start)
        thread.start(); thread.join()
        print(process.pid, flush=True)
        time.sleep(600)
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=HERE.parent, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("outlive", [False, True])
def test_a_server_dies_with_its_killed_asker_only_when_it_should(tmp_path: Path, outlive: bool) -> None:
    asker = started_elsewhere(tmp_path, outlive)
    assert asker.stdout is not None
    server = int(asker.stdout.readline())
    again = Process("sleeper", tmp_path, lambda: SLEEPER)
    assert again.pid == server, "another process finds it by its pid file"
    asker.kill()
    asker.communicate()
    if not outlive:
        assert eventually(lambda: gone(server))
        return
    time.sleep(0.3)
    assert again.pid == server
    again.stop()
    assert gone(server)


def test_a_killed_launcher_takes_its_server_with_it(tmp_path: Path) -> None:
    process = Process("sleeper", tmp_path, lambda: SLEEPER)
    process.start()
    server = process.pid
    assert server is not None
    launcher = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(launcher, signal.SIGKILL)
    assert eventually(lambda: gone(server))
    process.stop()


def test_a_stranger_with_the_recorded_pid_is_not_ours(tmp_path: Path) -> None:
    process = Process("sleeper", tmp_path, lambda: SLEEPER)
    me = os.getpid()
    started = start_ticks(me)
    assert started is not None
    (tmp_path / "pid.json").write_text(f'{{"server": [{me}, {started + 1}], "launcher": [{me}, {started + 1}]}}')
    assert not process.alive()
    process.kill9()  # and we are still here to say so


class Silent(Server):
    """A server that never answers."""

    ready_seconds_max = 0.3

    def probe(self) -> None:
        raise ConnectionRefusedError("nobody there")


def test_a_server_that_dies_while_starting_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = Silent(Process("broken", tmp_path, lambda: [sys.executable, "-c", "print('the disk is full')"]))
    with pytest.raises(Unavailable, match=r"broken ended while starting(.|\n)*the disk is full"):
        server.start()


def test_a_server_that_stays_silent_is_killed_and_reported_with_the_reason(tmp_path: Path) -> None:
    process = Process("silent", tmp_path, lambda: SLEEPER)
    with pytest.raises(Unavailable, match=r"silent did not answer(.|\n)*nobody there"):
        Silent(process).start()
    assert not process.alive()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot run /no/such/program"):
        Silent(Process("absent", tmp_path, lambda: ["/no/such/program"])).start()
