"""Where the cases run: the stand-in, or a real cluster named by TIDEMARK_CONFORMANCE_HOST, _PORT, _DATABASE, _USER, _PASSWORD, with its
database's _ISOLATION (snapshot, unless told; serializable), and for COPY _BUCKET (in the cluster's region, written with the AWS credentials
of the environment) and _IAM_ROLE."""

import io
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redshift_connector
from moto.server import ThreadedMotoServer

from tests.conformance.case import Case, Isolation
from tests.devstack.redshift.standin import BUCKET, ROLE, Lake, StandIn

SETTING = "TIDEMARK_CONFORMANCE_"


class Cluster:
    """A warehouse under test: connects, and puts Parquet files where its COPY finds them."""

    def __init__(self, options: dict[str, Any], s3: Any, bucket: str, role: str) -> None:
        self._options = options
        self._s3 = s3
        self._bucket = bucket
        self._role = role

    @property
    def can_copy(self) -> bool:
        return bool(self._bucket)

    def connect(self) -> Any:
        return redshift_connector.connect(**self._options)

    def copy_clauses(self, case: Case) -> str:
        assert case.parquet is not None
        buffer = io.BytesIO()
        pq.write_table(pa.table(case.parquet()), buffer)
        key = f"tidemark-conformance/{uuid.uuid4().hex}"
        self._s3.put_object(Bucket=self._bucket, Key=f"{key}.parquet", Body=buffer.getvalue())
        entry = {"url": f"s3://{self._bucket}/{key}.parquet", "mandatory": True, "meta": {"content_length": buffer.tell()}}
        self._s3.put_object(Bucket=self._bucket, Key=f"{key}.manifest", Body=json.dumps({"entries": case.manifest(entry)}).encode())
        return f"FROM 's3://{self._bucket}/{key}.manifest' {self._role} FORMAT AS PARQUET MANIFEST"


class Clusters:
    """One real cluster, or a stand-in of either isolation, each started when it is first asked for."""

    def __init__(self, real: Cluster | None, isolation: Isolation, start: Callable[[Isolation], Cluster]) -> None:
        self._real, self._isolation, self._start = real, isolation, start
        self._started: dict[Isolation, Cluster] = {}

    def of(self, isolation: Isolation | None) -> Cluster | None:
        """One under this isolation, whichever it is with None; None where there is none."""
        if self._real is not None:
            return self._real if isolation in (None, self._isolation) else None
        wanted = isolation or self._isolation
        if wanted not in self._started:
            self._started[wanted] = self._start(wanted)
        return self._started[wanted]


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    given = {name.removeprefix(SETTING).lower(): value for name, value in os.environ.items() if name.startswith(SETTING)}
    isolation = Isolation(given.get("isolation", Isolation.SNAPSHOT))
    with ExitStack() as opened:
        if given:
            options = {"host": given["host"], "port": int(given.get("port", "5439")), "database": given["database"],
                       "user": given["user"], "password": given["password"]}  # fmt: skip
            role = given.get("iam_role", "default")
            clause = "IAM_ROLE default" if role == "default" else f"IAM_ROLE '{role}'"
            bucket = given.get("bucket", "")
            real = Cluster(options, boto3.client("s3") if bucket else None, bucket, clause)
        else:
            real = None

        def start(isolation: Isolation) -> Cluster:
            s3 = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
            s3.start()
            opened.callback(s3.stop)
            host, port = s3.get_host_and_port()
            standin = StandIn(f"http://{host}:{port}", isolation.value)
            opened.callback(standin.remove)
            lake = Lake(f"http://{host}:{port}")
            standin.start()
            return Cluster(standin.options(), lake.client, BUCKET, ROLE)

        yield Clusters(real, isolation, start)
