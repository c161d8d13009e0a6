"""S3 on one machine: moto's server, objects in memory. They are gone when it stops."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import boto3
from botocore.config import Config

from devstack.ports import HOST, free_port
from devstack.process import Process, Runner, Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Server(Server):
    """An S3 endpoint that takes any credentials; path-style addresses."""

    access_key = "devstack"
    secret_key = "devstack-secret"
    region = "us-east-1"

    def __init__(
        self, directory: Path, *, port: int | None = None, outlive: bool = False, name: str = "s3", runner: Runner | None = None
    ) -> None:
        self.directory = directory.absolute()
        self.host = HOST
        self.port = port or free_port()
        super().__init__(runner or Process(name, self.directory, self._command, outlive=outlive, grace_seconds=3))

    @property
    def endpoint_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """How a pipeline reaches it: keys of its section `s3`."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }

    def client(self) -> "S3Client":
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2, "mode": "standard"}),
        )

    def probe(self) -> None:
        with urlopen(f"{self.endpoint_url}/moto-api/", timeout=2) as answer:
            answer.read()

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", self.host, "-p", str(self.port)]
