"""The Redshift stand-in as a server of the stack: `python -m devstack.redshift` in a process of its own."""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import redshift_connector

from contracts.errors import Refused
from devstack.compose import ComposeService
from devstack.ports import HOST, free_port
from devstack.process import Process, Runner, Server
from devstack.s3 import S3Server
from devstack.versions import HERE

COPY_ROLE = "arn:aws:iam::123456789012:role/tidemark-copy"  # the stand-in takes any


class RedshiftStandIn(Server):
    """A Redshift-like endpoint over TLS. Committed data stays in `directory/data` over kill9() and start(); COPY reads from `s3`."""

    user = "tidemark"
    password = "tidemark"
    database = "dev"

    def __init__(
        self,
        directory: Path,
        *,
        s3: S3Server,
        port: int | None = None,
        isolation: str = "snapshot",
        outlive: bool = False,
        name: str = "redshift",
        runner: Runner | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.host = HOST
        self.port = port or free_port()
        self.isolation = isolation
        self._s3 = s3
        credentials = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key, "AWS_DEFAULT_REGION": s3.region}
        # The server process must find this package wherever its starter's working directory is.
        paths = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        super().__init__(
            runner
            or Process(name, self.directory, self._command, outlive=outlive, env={**credentials, "PYTHONPATH": paths}, grace_seconds=15)
        )

    @property
    def data(self) -> Path:
        """Where PostgreSQL keeps its files: `directory/data`, but a folder of the system's temporary one when root runs this inside a
        closed folder (a home, pytest's), for PostgreSQL runs as another user and could not get there."""
        inside = self.directory / "data"
        if os.geteuid() != 0 or isinstance(self.runner, ComposeService) or open_to_others(self.directory):
            return inside
        return Path(tempfile.gettempdir()) / f"tidemark-redshift-{hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]}"

    @property
    def settings(self) -> dict[str, str | int]:
        """How a pipeline reaches it: keys of its section `redshift`."""
        return {
            "host": self.host,
            "port": self.port,
            "database": self.database,
            "user": self.user,
            "password": self.password,
            "ssl_ca": str(self.ca_file),
            "iam_role": COPY_ROLE,
        }

    @property
    def ca_file(self) -> Path:
        """The certificate authority clients must trust; written by the server before it answers."""
        return self._written("tls/ca.pem")

    @property
    def journal_path(self) -> Path:
        """One JSON line for each statement the server was sent; of a container, a copy made when asked for."""
        return self._written("journal.jsonl")

    @property
    def faults_path(self) -> Path:
        """Rules of what shall go wrong, read by the server whenever the file is replaced."""
        return self.directory / "faults.jsonl"

    def _written(self, name: str) -> Path:
        path = self.directory / name
        if isinstance(self.runner, ComposeService):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.runner.copy_out(f"/data/{name}", path)
        return path

    def prepare(self) -> None:
        if self.data.parent == self.directory:
            return
        self.data.mkdir(mode=0o711, exist_ok=True)
        if self.data.is_symlink() or self.data.stat().st_uid != os.geteuid():
            raise Refused(f"{self.data} belongs to somebody else; remove it, or give the stack a directory every user may pass through")

    def remove(self) -> None:
        if self.data.parent != self.directory:
            shutil.rmtree(self.data, ignore_errors=True)

    def connect(self, **options: Any) -> Any:
        """A redshift_connector connection over TLS that trusts the stand-in's own authority and checks the host name."""
        chosen: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
        }
        return redshift_connector.connect(**{**chosen, **options})

    def probe(self) -> None:
        with self.connect(ssl=False, timeout=5) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def _command(self) -> list[str]:
        options = {
            "listen": f"{self.host}:{self.port}",
            "s3": self._s3.endpoint_url,
            "data": self.data,
            "isolation": self.isolation,
            "tls-dir": self.ca_file.parent,
            "journal": self.journal_path,
            "faults": self.faults_path,
            "user": self.user,
            "password": self.password,
            "database": self.database,
        }
        return [sys.executable, "-m", "devstack.redshift", *(f"--{name}={value}" for name, value in options.items())]


def open_to_others(directory: Path) -> bool:
    """Whether every user may pass through `directory` and all above it; what doesn't exist yet will be made so."""
    return all(folder.stat().st_mode & 0o001 for folder in (directory, *directory.parents) if folder.exists())
