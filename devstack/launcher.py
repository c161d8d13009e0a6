"""Runs one server and outlives nothing: a small parent process between whoever asked for the server and the server itself.

Run as a script (standard library only, so it starts in milliseconds): `python -I launcher.py PIDFILE WATCHED_PID COMMAND…`.
The server dies when the watched process dies (0 watches nobody), when the launcher gets SIGTERM (passed on, then SIGKILL after the grace),
and when the launcher itself is killed (PR_SET_PDEATHSIG). Whatever the server leaves behind is re-parented here and killed. A thread that
starts servers may end long before them, which is why the launcher watches the whole process and PR_SET_PDEATHSIG is used only between
launcher and server. Linux only: pidfd_open and prctl.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# The server's own shutdown may flush for a while; who waits for less kills the process group himself.
GRACE_SECONDS = 30
# The asker is dead: nobody will read this data again, so the server gets only long enough to stop its own children.
ORPHAN_GRACE_SECONDS = 20


def start_ticks(pid: int) -> int | None:
    """When process `pid` started, in clock ticks since boot, or None when it is gone or a zombie. With the pid it names a process for ever.
    Source: proc(5), /proc/[pid]/stat fields 3 and 22; the command name in field 2 may hold spaces and brackets."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _children() -> list[int]:
    me = str(os.getpid())
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[1] == me:
            found.append(int(entry.name))
    return found


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _reap_the_rest() -> None:
    """Kills and reaps every descendant the server left, however deep: each comes to us when its parent dies."""
    while children := _children():
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def main(arguments: list[str]) -> int:
    pid_file, watched, command = Path(arguments[0]), int(arguments[1]), arguments[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)

    poller = select.poll()
    watched_fd = -1
    if watched:
        try:
            watched_fd = os.pidfd_open(watched)
        except ProcessLookupError:
            return 1
        poller.register(watched_fd, select.POLLIN)

    server = os.fork()
    if server == 0:
        os.setpgid(0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"cannot run {command[0]}: {error}", file=sys.stderr, flush=True)
            os._exit(127)

    with contextlib.suppress(PermissionError):  # set on both sides of the fork: whoever comes second may find it done
        os.setpgid(server, server)
    launcher = os.getpid()
    record = {"server": [server, start_ticks(server)], "launcher": [launcher, start_ticks(launcher)]}
    aside = pid_file.with_name(pid_file.name + ".new")
    aside.write_text(json.dumps(record))
    aside.rename(pid_file)

    server_fd = os.pidfd_open(server)
    poller.register(server_fd, select.POLLIN)
    poller.register(wake_read, select.POLLIN)
    wait_ms: int | None = None
    while True:
        ready = {fd for fd, _ in poller.poll(wait_ms)}
        if server_fd in ready:
            break
        if not ready:
            _kill_group(server)
            continue
        if wake_read in ready:
            os.read(wake_read, 64)
            os.kill(server, signal.SIGTERM)
            wait_ms = GRACE_SECONDS * 1000
        if watched_fd in ready:
            poller.unregister(watched_fd)
            os.kill(server, signal.SIGTERM)
            wait_ms = ORPHAN_GRACE_SECONDS * 1000
    _, status = os.waitpid(server, 0)
    _kill_group(server)
    _reap_the_rest()
    return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
