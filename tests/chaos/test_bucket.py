"""What was deleted from a bucket is known from its server's log, and a manifest that is another is told from the one that was committed."""

import hashlib
from pathlib import Path

import orjson
import pytest

from devstack.pipeline import BUCKET
from devstack.s3 import S3Server
from tests.chaos.bucket import Bucket

pytestmark = pytest.mark.stack


def test_the_log_and_the_manifests_are_read(tmp_path: Path) -> None:
    server = S3Server(tmp_path / "s3")
    server.start()
    try:
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        entries = [{"url": f"s3://{BUCKET}/lake/t/1.parquet"}]
        body = orjson.dumps({"entries": entries})
        for key in ("lake/t/1.parquet", "lake/t/2=.parquet", "other/t/3"):
            client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        client.put_object(Bucket=BUCKET, Key="lake/t/1.manifest", Body=body)
        client.delete_object(Bucket=BUCKET, Key="lake/t/2=.parquet")
        bucket = Bucket(client, "lake/", tmp_path / "s3" / "log")
        assert bucket.keys() == {"t/1.parquet", "t/1.manifest"}
        assert bucket.deleted() == {"t/2=.parquet"}
        assert bucket.requests("PUT") == 5
        digest = hashlib.sha256(body).hexdigest()
        assert bucket.named([("t/1.manifest", digest)]) == ({"t/1.parquet", "t/1.manifest"}, [])
        assert bucket.named([("t/1.manifest", "0"), ("t/9.manifest", digest)])[0] == {"t/1.parquet", "t/1.manifest", "t/9.manifest"}
        assert bucket.named([("t/1.manifest", "0")])[1] == ["t/1.manifest"]
    finally:
        server.stop()
