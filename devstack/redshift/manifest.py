"""Which objects a COPY loads: the entries of a manifest, or all objects under a prefix.

Source: Redshift guide, "Using a manifest to specify data files"; for Parquet an entry needs meta.content_length."""

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from devstack.redshift.loaderror import LoadError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One object to load. `size_bytes` is what the manifest claims, None for a prefix. A missing file that is not `mandatory`
    is skipped without a word, as Redshift does."""

    url: str
    mandatory: bool
    size_bytes: int | None


class ObjectStore:
    """The S3 endpoint COPY reads from, signed in by the environment's AWS_*; the IAM role in the statement is not looked at."""

    def __init__(self, endpoint: str) -> None:
        config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}, max_pool_connections=32)
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
            aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "stand-in"),
            aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "stand-in"),
            config=config,
        )

    def read(self, url: str) -> bytes:
        """Raises LoadError, with `missing` set when there is no such object."""
        bucket, key = split(url)
        try:
            return self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as e:
            status = e.response["ResponseMetadata"]["HTTPStatusCode"]
            code, message = e.response["Error"]["Code"], e.response["Error"]["Message"]
            raise LoadError(f"S3ServiceException:{message},Status {status},Error {code}", 15001, file=url, missing=status == 404) from e
        except BotoCoreError as e:
            raise LoadError(f"S3 could not be read: {e}", 15001, file=url) from e

    def under(self, url: str) -> list[SourceFile]:
        """The objects whose key begins with the prefix, empty ones left out."""
        bucket, prefix = split(url)
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            keys = [o["Key"] for page in pages for o in page.get("Contents", []) if o["Size"]]
        except (ClientError, BotoCoreError) as e:
            raise LoadError(f"S3ServiceException:{e}", 8001, file=url) from e
        if not keys:
            raise LoadError(f"The specified S3 prefix '{prefix}' does not exist", 8001, file=url)
        return [SourceFile(f"s3://{bucket}/{key}", True, None) for key in keys]


def split(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def read_manifest(body: bytes, url: str) -> list[SourceFile]:
    """The manifest's entries in order. Raises LoadError 8001 for what is no manifest for Parquet."""
    try:
        document = json.loads(body)
        entries = document["entries"]
        files = [source_file(entry, url) for entry in entries]
    except (ValueError, KeyError, TypeError) as e:
        raise LoadError(f"Manifest file is not in correct json format: {e}", 8001, file=url) from e
    if not files:
        raise LoadError("Manifest file contains no entries", 8001, file=url)
    return files


def source_file(entry: dict[str, object], manifest: str) -> SourceFile:
    url, meta = entry["url"], entry.get("meta")
    if not isinstance(url, str) or not url.startswith("s3://"):
        raise LoadError(f"Manifest entry has no s3:// url: {url!r}", 8001, file=manifest)
    size = meta.get("content_length") if isinstance(meta, dict) else None
    if not isinstance(size, int):
        raise LoadError("File listed in manifest is missing meta content_length, which Parquet needs", 8001, file=url)
    mandatory = entry.get("mandatory", False)
    if not isinstance(mandatory, bool):
        raise LoadError(f"Manifest entry's mandatory is {mandatory!r}, expected true or false", 8001, file=url)
    return SourceFile(url, mandatory, size)
