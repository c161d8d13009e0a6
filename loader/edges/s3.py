"""The bucket: objects put once under names never used before, each proven whole.

Source: Amazon S3 API, "PutObject": with `If-None-Match: *` an existing key answers 412, a concurrent write of it 409; the server compares
the body with the SHA-256 it is given and stores both or neither.
"""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

from contracts.batch import BatchKey
from contracts.errors import Corrupt, Invalid, PipelineError, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY_BYTES_MAX = 1_024

_FIXES: Mapping[str, str] = {
    "NoSuchBucket": "make the bucket, or set s3.bucket",
    "AccessDenied": "allow s3:PutObject and s3:GetObject on the bucket's prefix",
    "AllAccessDisabled": "allow s3:PutObject and s3:GetObject on the bucket's prefix",
    "InvalidAccessKeyId": "set s3.access_key_id, or mend the credentials of the environment",
    "SignatureDoesNotMatch": "set s3.secret_access_key, or mend the credentials of the environment",
    "PermanentRedirect": "set s3.region to the bucket's region",
    "AuthorizationHeaderMalformed": "set s3.region to the bucket's region",
    "EntityTooLarge": "lower batch.bytes",
}
"""Answers that stay the same until a person acts."""


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
        except ClientError as error:
            if _code(error) != "PreconditionFailed":
                raise self._translated(error, path) from error
            self._must_hold(path, data, checksum)
            return
        except BotoCoreError as error:
            raise self._translated(error, path) from error
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
        except (ClientError, BotoCoreError) as error:
            raise self._translated(error, path) from error
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

    def _translated(self, error: ClientError | BotoCoreError, path: str) -> PipelineError:
        where = f"s3://{self._bucket}/{path}"
        if isinstance(error, ClientError):
            code = _code(error)
            if code in _FIXES:
                return Invalid(f"{where}: S3 answers {code}: {_FIXES[code]}", key=path, code=code)
            # Throttling, a conflict with a write under way, a body damaged on the way: nothing was stored.
            return Unavailable(f"{where}: S3 answers {code}", key=path, code=code)
        if isinstance(error, NoCredentialsError | PartialCredentialsError | NoRegionError):
            return Invalid(f"{where}: {error}: set s3.access_key_id, s3.secret_access_key and s3.region, or the environment's", key=path)
        if isinstance(error, CredentialRetrievalError):
            return Unavailable(f"{where}: credentials could not be fetched: {error}", key=path)
        return Unavailable(f"{where}: {type(error).__name__}: {error}", key=path)


def _code(error: ClientError) -> str:
    answer: Mapping[str, Any] = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    # HEAD has no body, so its code is the bare status.
    return {"412": "PreconditionFailed", "403": "AccessDenied", "301": "PermanentRedirect"}.get(code, code)


def _passing(error: ClientError) -> bool:
    """Whether the server itself could not answer, or had too much to do."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status == 429


def look(client: "S3Client", bucket: str) -> str:
    """What is to be said of the bucket. Raises Invalid, and Unavailable for an answer that may soon be another."""
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _code(error) == "AccessDenied":
            # The loader needs s3:PutObject and s3:GetObject below the prefix and nothing else, so it may well not be allowed to look.
            return f"bucket {bucket} answers; whether it takes objects shows with the first batch"
        if _passing(error):
            raise Unavailable(f"bucket {bucket}: {error}") from error
        raise Invalid(f"bucket {bucket}: {error}; make it, or mend s3.bucket and s3.region") from error
    except BotoCoreError as error:
        raise Invalid(f"bucket {bucket}: {error}; mend s3.endpoint_url, s3.region or the credentials") from error
    return f"bucket {bucket} is there"


def highest_epoch(client: "S3Client", bucket: str, prefix: str) -> int:
    """Of the epochs that the keys below the prefix name; 0 when there is none. Raises Invalid, Unavailable."""
    highest = 0
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
            for item in page.get("Contents", []):
                key = BatchKey.parse(item["Key"].removeprefix(f"{prefix}/"))
                highest = max(highest, key.epoch if key else 0)
    except ClientError as error:
        if _passing(error):
            raise Unavailable(f"bucket {bucket} can't be listed: {error}") from error
        raise Invalid(f"bucket {bucket} can't be listed: {error}; allow s3:ListBucket, which the janitor's role has") from error
    except BotoCoreError as error:
        raise Unavailable(f"bucket {bucket} can't be listed: {error}") from error
    return highest
