"""The bucket as S3 lists it, and conditional deletes.

Source: Amazon S3 API, "ListObjectsV2" (strongly consistent, in key order), "DeleteObject" with If-Match, "ListMultipartUploads".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts.batch import BatchKey
from contracts.errors import Refused
from janitor.core.snapshot import StoredObject
from janitor.ports import Listing, Top
from runtime.connect.s3 import FAILED, answered, understood

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RIGHTS = {
    "ListObjectsV2": "s3:ListBucket",
    "DeleteObject": "s3:DeleteObject, or, where a delete names its ETag, s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
}
"""What S3 asks for, by the operation."""


class S3Bucket:
    """Fits `ports.Bucket`. Keys outside are below `prefix`, which has no slashes around it."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/"

    def top(self) -> Top:
        folders: list[str] = []
        objects: list[StoredObject] = []
        for page in self._pages("list_objects_v2", Prefix=self._prefix, Delimiter="/"):
            folders += [item["Prefix"].removeprefix(self._prefix).rstrip("/") for item in page.get("CommonPrefixes", [])]
            objects += map(self._stored, page.get("Contents", []))
        return Top(folders, objects)

    def list(self, folder: str) -> Listing:
        at: datetime | None = None
        objects: list[StoredObject] = []
        for page in self._pages("list_objects_v2", Prefix=f"{self._prefix}{folder}/"):
            at = at or _date(page)  # the first page's: later ones would make everything look older
            objects += map(self._stored, page.get("Contents", []))
        assert at is not None
        return Listing(at, objects)

    def delete(self, stored: StoredObject) -> bool:
        key = self._prefix + stored.key
        try:
            with self._translated(key):
                self._client.delete_object(Bucket=self._bucket, Key=key, IfMatch=stored.etag)
        except _Changed:
            return False
        except _Absent:
            pass  # another janitor, or this one's own retry
        return True

    def abort_uploads(self, beginning: str, older_than: timedelta) -> int:
        aborted = 0
        for page in self._pages("list_multipart_uploads", Prefix=self._prefix + beginning):
            for upload in page.get("Uploads", []):
                old = _date(page) - upload["Initiated"] > older_than
                if old and BatchKey.parse(upload["Key"].removeprefix(self._prefix)):
                    aborted += self._abort(upload["Key"], upload["UploadId"])
        return aborted

    def _abort(self, key: str, upload_id: str) -> bool:
        try:
            with self._translated(key):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except _Absent:  # another janitor, its writer, or the lifecycle rule
            return False
        return True

    def _stored(self, item: Any) -> StoredObject:
        return StoredObject(item["Key"].removeprefix(self._prefix), item["ETag"], item["Size"], item["LastModified"].astimezone(UTC))

    def _pages(self, operation: Any, **arguments: Any) -> Iterator[Any]:
        with self._translated(self._prefix):
            yield from self._client.get_paginator(operation).paginate(Bucket=self._bucket, **arguments)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        where = f"s3://{self._bucket}/{key}"
        try:
            yield
        except ClientError as error:
            code = answered(error)
            if code == "PreconditionFailed":
                raise _Changed from error
            if code in ("NoSuchKey", "NoSuchUpload", "404"):
                raise _Absent from error
            if code == "NotImplemented":
                raise Refused(
                    f"{where}: this server can't delete on condition (If-Match), and without it nothing is deleted", code=code
                ) from error
            raise understood(error, where, f"{_RIGHTS.get(error.operation_name, '')}: deploy/aws/janitor-policy.json has it all") from error
        except FAILED as error:
            raise understood(error, where, "") from error


class _Changed(Exception):
    """412: another object has the name now."""


class _Absent(Exception):
    """404: there is none."""


def _date(page: Any) -> datetime:
    return parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)
