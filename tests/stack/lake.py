"""A bucket and a ledger written by hand, and the janitor as a person runs it."""

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from redshift_connector.core import Connection

from contracts.batch import BatchKey
from contracts.ledger import cluster_id, ledger_ddl
from contracts.offsets import OffsetRange
from contracts.sql import quote
from devstack.stack import Stack

BUCKET = "janitor-lake"
SESSION = datetime(2025, 8, 14, 15, 3, 12, tzinfo=UTC)
HELD = ("held", 0, 50, 1)  # nonce word, start, stop, epoch
NEWER = ("newer", 50, 100, 2)
DEAD_BY_EPOCH = ("epoch", 100, 110, 1)
DEAD_BY_OFFSET = ("offset", 50, 60, 2)
LIVE = ("live", 100, 120, 2)
NONCES = {"held": "00000001", "newer": "00000002", "epoch": "00000003", "offset": "00000004", "live": "00000005"}


@dataclass
class Lake:
    """One pipeline: shard 0 at epoch 2, `orders` loaded up to 100; two batches of it committed, three attempts not."""

    servers: Stack
    name: str
    config: Path
    warehouse: Connection

    @property
    def schema(self) -> str:
        return f"tidemark_{self.name}"

    def key(self, what: tuple[str, int, int, int], table: str = "orders") -> BatchKey:
        word, start, stop, epoch = what
        return BatchKey(f"{self.name}.shop.{table}", 0, SESSION, 1, OffsetRange(start, stop), epoch, NONCES[word])

    def put(self, what: tuple[str, int, int, int], table: str = "orders", suffixes: tuple[str, ...] = ("data", "manifest")) -> None:
        for suffix in suffixes:
            self.put_key(getattr(self.key(what, table), suffix))

    def put_key(self, key: str) -> None:
        self.servers.s3.client().put_object(Bucket=BUCKET, Key=f"lake-{self.name}/{key}", Body=b"PAR1")

    def record(self, what: tuple[str, int, int, int]) -> None:
        key = self.key(what)
        self.sql(
            f"INSERT INTO {self.schema}.ledger_0 VALUES (%s, %s, 0, 'A', %s, %s, %s, %s, 0, %s, 0, 0, %s, '', %s, NULL)",
            key.nonce,
            key.topic,
            key.epoch,
            key.offsets.start,
            key.offsets.stop,
            key.offsets.stop - key.offsets.start,
            key.offsets.stop - key.offsets.start,
            f"lake-{self.name}/{key.manifest}",
            datetime.now(UTC).replace(tzinfo=None),
        )

    def sql(self, sql: str, *values: Any) -> list[Any]:
        cursor = self.warehouse.cursor()
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.description else []

    def words(self) -> set[str]:
        """What is left in the bucket, by the words above; other names as they are."""
        by_nonce = {nonce: word for word, nonce in NONCES.items()}
        return {by_nonce.get(name.rpartition("_")[2].partition(".")[0], f"lake-{self.name}/{name}") for name in self.keys()}

    def keys(self) -> set[str]:
        """What is left in the bucket, below the prefix."""
        prefix = f"lake-{self.name}/"
        pages = self.servers.s3.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", [])}

    def marked(self) -> set[str]:
        rows = self.sql(f"SELECT batch_id FROM {self.schema}.ledger_0 WHERE object_deleted_at IS NOT NULL")
        return {word for word, nonce in NONCES.items() if [nonce] in [list(row) for row in rows]}

    def epoch(self) -> int:
        return int(self.sql(f"SELECT epoch FROM {self.schema}.fence_0")[0][0])

    def run(self, *arguments: str, code: int, **environ: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "janitor", *arguments],
            env={**os.environ, "TIDEMARK_CONFIG": str(self.config), **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def pipe(self, arguments: str, into: str) -> "subprocess.CompletedProcess[str]":
        """`janitor <arguments> | <into>` in a shell; the exit code is the janitor's."""
        return subprocess.run(
            ["bash", "-c", f"{sys.executable} -m janitor {arguments} | {into}; exit ${{PIPESTATUS[0]}}"],
            env={**os.environ, "TIDEMARK_CONFIG": str(self.config), "PYTHONUNBUFFERED": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def change(self, section: str | None, **values: Any) -> None:
        """Of the settings; None for those outside any section."""
        settings = yaml.safe_load(self.config.read_text())
        (settings if section is None else settings[section]).update(values)
        self.config.write_text(yaml.safe_dump(settings))

    def keep_for_a_moment(self) -> None:
        """What is committed is past its time when this returns."""
        self.change("s3", keep_committed_seconds=1)
        self.wait_for_age()

    @staticmethod
    def wait_for_age() -> None:
        """Until everything stored is older than a second by S3's clock, which has whole ones."""
        time.sleep(3)


@contextmanager
def lake_of(servers: Stack, directory: Path, test: str) -> Iterator[Lake]:
    name = f"lake{zlib.crc32(test.encode())}"
    to = servers.redshift
    settings = {
        "pipeline": name,
        # Nobody gives the janitor what it has no use for.
        "mysql": {"host": "mysql", "user": "u", "password": "${MYSQL_PASSWORD_OF_OTHERS}"},
        "kafka": {"bootstrap_servers": "kafka:1", "allow_plaintext": True},
        "s3": {"bucket": BUCKET, "prefix": f"lake-{name}", **servers.s3.settings},
        "redshift": {**to.settings, "schema": f"tidemark_{name}"},
        "tables": {"include": ["shop.*"]},
    }
    config = directory / "tidemark.yaml"
    config.write_text(yaml.safe_dump(settings))
    with to.connect(ssl=False) as warehouse:
        warehouse.autocommit = True
        made = Lake(servers, name, config, warehouse)
        for statement in ledger_ddl(quote(made.schema), 1):
            made.sql(statement)
        made.sql(f"INSERT INTO {made.schema}.fence_0 VALUES (0, 2, 9, 'loader', 0, 0, '', FALSE, 0)")
        made.sql(
            f"INSERT INTO {made.schema}.offsets_0 VALUES (%s, 0, 'A', 100, 100, 'ok', 0, 'shop.orders', 'shop.orders', '', FALSE)",
            f"{name}.shop.orders",
        )
        made.sql(
            f"INSERT INTO {made.schema}.pipeline VALUES (%s, %s, %s, %s, 1, %s)",
            name,
            BUCKET,
            f"lake-{name}",
            cluster_id(to.host, to.port, to.database),
            datetime(2025, 8, 1),  # noqa: DTZ001  # TIMESTAMP without zone
        )
        for what in (HELD, NEWER):
            made.record(what)
        for what in (HELD, NEWER, DEAD_BY_OFFSET, LIVE):
            made.put(what)
        made.put(DEAD_BY_EPOCH, suffixes=("data",))  # its writer died before the manifest
        made.put_key("readme.txt")
        yield made


EVERYTHING = {"held", "newer", "epoch", "offset", "live"}


def readme(lake: Lake) -> str:
    return f"lake-{lake.name}/readme.txt"
