"""The bucket: objects put once under names never used before, each proven whole.

Source: Amazon S3 API, "PutObject": with `If-None-Match: *` an existing key answers 412, a concurrent write of it 409; the server compares
the body with the SHA-256 it is given and stores both or neither.
"""

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from contracts.batch import BatchKey
from contracts.errors import Corrupt, Invalid
from runtime.connect.s3 import FAILED, answered, understood

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY_BYTES_MAX = 1_024

_RIGHTS = "s3:PutObject and s3:GetObject on the bucket's prefix"


class S3BatchStore:
    """The loader's `BatchStore` over boto3. Whatever the client retries by itself is safe: a PUT that meets its own earlier success is
    recognised by its content."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        """`prefix` without slashes around it; may be empty."""
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/")

    def url(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._path(key)}"

    def put(self, key: str, data: bytes) -> None:
        """Stores a new object, verified by its SHA-256. The same bytes under the same key are the same object: a PUT whose answer was lost
        may be sent again. Raises Corrupt when the key holds anything else, Invalid when a setting or grant is wrong, Unavailable
        otherwise; the object may appear later all the same."""
        path = self._path(key)
        checksum = b64encode(sha256(data).digest()).decode()
        try:
            answer = self._client.put_object(
                Bucket=self._bucket, Key=path, Body=data, IfNoneMatch="*", ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum
            )
        except FAILED as error:
            if answered(error) != "PreconditionFailed":
                raise understood(error, f"s3://{self._bucket}/{path}", _RIGHTS) from error
            self._must_hold(path, data, checksum)
            return
        if answer.get("ChecksumSHA256") != checksum:
            # A server that doesn't know checksums hasn't verified one.
            self._must_hold(path, data, checksum)

    def _must_hold(self, path: str, data: bytes, checksum: str) -> None:
        """Raises Corrupt unless the object there is this one."""
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=path, ChecksumMode="ENABLED")
            same = head["ContentLength"] == len(data)
            if same and (stored := head.get("ChecksumSHA256", "")):
                same = stored == checksum
            elif same:
                same = self._client.get_object(Bucket=self._bucket, Key=path)["Body"].read() == data
        except FAILED as error:
            raise understood(error, f"s3://{self._bucket}/{path}", _RIGHTS) from error
        if not same:
            raise Corrupt(
                f"s3://{self._bucket}/{path} holds another object already; it was not overwritten. A batch key is never used twice:"
                f" find out who wrote it",
                key=path,
                size_bytes=len(data),
            )

    def _path(self, key: str) -> str:
        path = f"{self._prefix}/{key}" if self._prefix else key
        if not key or len(path.encode()) > KEY_BYTES_MAX:
            raise Invalid(f"S3 key {path[:200]!r} is empty or over {KEY_BYTES_MAX} bytes; shorten s3.prefix")
        return path


def look(client: "S3Client", bucket: str) -> str:
    """What is to be said of the bucket. Raises Invalid, and Unavailable for an answer that may soon be another."""
    try:
        client.head_bucket(Bucket=bucket)
    except FAILED as error:
        code = answered(error)
        if code == "AccessDenied":
            # The loader needs s3:PutObject and s3:GetObject below the prefix and nothing else, so it may well not be allowed to look.
            return f"bucket {bucket} answers; whether it takes objects shows with the first batch"
        if code == "404":
            raise Invalid(f"there is no bucket {bucket}: make it, or mend s3.bucket and s3.region") from error
        raise understood(error, f"bucket {bucket}", "s3:ListBucket") from error
    return f"bucket {bucket} is there"


def highest_epoch(client: "S3Client", bucket: str, prefix: str) -> int:
    """Of the epochs that the keys below the prefix name; 0 when there is none. Raises Invalid, Unavailable."""
    highest = 0
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
            for item in page.get("Contents", []):
                key = BatchKey.parse(item["Key"].removeprefix(f"{prefix}/"))
                highest = max(highest, key.epoch if key else 0)
    except FAILED as error:
        raise understood(error, f"bucket {bucket} can't be listed", "s3:ListBucket, which the janitor's role has") from error
    return highest
