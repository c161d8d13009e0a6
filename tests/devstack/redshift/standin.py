"""The stand-in as a process of the tests', and the S3 objects its COPY reads."""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import redshift_connector

from devstack.redshift.faults import FaultRules
from devstack.redshift.journal import Entry, read_journal

ROLE = "IAM_ROLE 'arn:aws:iam::123456789012:role/loader'"
PASSWORD = "Right-1"
BUCKET = "lake"


class StandIn:
    """One server process. `kill9` leaves the data, `start` begins again on it."""

    def __init__(self, s3_endpoint: str, isolation: str) -> None:
        # PostgreSQL runs as another user when we are root, so the folder has to be open to it; pytest's own is not.
        self.data = Path(tempfile.mkdtemp(prefix="tidemark-standin-"))
        self.data.chmod(0o711)
        self.isolation = isolation
        self.journal_path = self.data / "journal.jsonl"
        self.faults = FaultRules(self.data / "faults.jsonl")
        self.port = 0
        self._s3 = s3_endpoint
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        options = {
            "listen": f"127.0.0.1:{self.port}", "s3": self._s3, "data": self.data, "isolation": self.isolation,
            "journal": self.journal_path, "password": PASSWORD,
        }  # fmt: skip
        command = [sys.executable, "-m", "devstack.redshift", *(f"--{name}={value}" for name, value in options.items())]
        log = (self.data / "standin.log").open("ab")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        ready = re.fullmatch(r"ready host=127\.0\.0\.1 port=(\d+)\n", line)
        assert ready, f"{line!r} {(self.data / 'standin.log').read_text()}"
        self.port = int(ready.group(1))

    def kill9(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(30) == 0

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def options(self) -> dict[str, Any]:
        """How the driver connects."""
        return {"host": "localhost", "port": self.port, "user": "awsuser", "password": PASSWORD, "database": "dev", "ssl": False}

    def connect(self, **options: Any) -> Any:
        return redshift_connector.connect(**{**self.options(), **options})

    def journal(self) -> list[Entry]:
        return list(read_journal(self.journal_path))


class Client:
    """A connection and its cursor, with the words tests use."""

    def __init__(self, standin: StandIn, *, autocommit: bool = False, **options: Any) -> None:
        self.connection = standin.connect(**options)
        self.connection.autocommit = autocommit
        self.cursor = self.connection.cursor()

    def run(self, sql: str, values: tuple[object, ...] | None = None) -> int:
        """The row count."""
        self.cursor.execute(sql, values)
        return int(self.cursor.rowcount)

    def rows(self, sql: str, values: tuple[object, ...] | None = None) -> list[list[Any]]:
        self.cursor.execute(sql, values)
        return [list(row) for row in self.cursor.fetchall()]

    def value(self, sql: str, values: tuple[object, ...] | None = None) -> Any:
        return self.rows(sql, values)[0][0]

    def refused(self, sql: str, values: tuple[object, ...] | None = None) -> dict[str, str]:
        """The fields of the error this statement gets, rolled back. Fails when it passes."""
        try:
            self.cursor.execute(sql, values)
        except redshift_connector.error.ProgrammingError as e:
            fields: dict[str, str] = e.args[0]
            self.rollback()
            return fields
        raise AssertionError(f"accepted: {sql}")

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        if not self.connection.autocommit:
            self.connection.rollback()

    def close(self) -> None:
        self.connection.close()


class Lake:
    """Objects for COPY."""

    def __init__(self, endpoint: str) -> None:
        self.client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        self.client.create_bucket(Bucket=BUCKET)

    def put(self, data: bytes) -> str:
        key = f"{uuid.uuid4().hex}.parquet"
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)
        return key

    def parquet(self, columns: dict[str, Any], **options: Any) -> str:
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer, **options)
        return self.put(buffer.getvalue())

    def size(self, key: str) -> int:
        return int(self.client.head_object(Bucket=BUCKET, Key=key)["ContentLength"])

    def entry(self, key: str, **changes: Any) -> dict[str, Any]:
        return {"url": f"s3://{BUCKET}/{key}", "mandatory": True, "meta": {"content_length": self.size(key)}, **changes}

    def manifest(self, *entries: dict[str, Any]) -> str:
        """The COPY clauses that load these entries."""
        key = f"{uuid.uuid4().hex}.manifest"
        self.client.put_object(Bucket=BUCKET, Key=key, Body=json.dumps({"entries": list(entries)}).encode())
        return f"FROM 's3://{BUCKET}/{key}' {ROLE} FORMAT AS PARQUET MANIFEST"

    def copy(self, columns: dict[str, Any], **options: Any) -> str:
        """The COPY clauses that load one file of these columns."""
        return self.manifest(self.entry(self.parquet(columns, **options)))
