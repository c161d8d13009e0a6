"""What the bucket holds, what the ledger says it holds, and what was ever deleted from it."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import orjson

from devstack.pipeline import BUCKET

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_REQUEST = re.compile(r'"(?P<verb>[A-Z]+) (?P<path>\S+) HTTP/1\.\d" (?P<status>\d{3})')


class Bucket:
    """Everything below a pipeline's prefix. Keys are given below it, too."""

    def __init__(self, client: "S3Client", prefix: str, requests: Path) -> None:
        """`requests`: the server's own log."""
        self._client, self._prefix, self._requests = client, prefix, requests

    def keys(self) -> set[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=self._prefix)
        return {item["Key"].removeprefix(self._prefix) for page in pages for item in page.get("Contents", [])}

    def deleted(self) -> set[str]:
        """By the log: whatever a DELETE named, and got an answer that isn't an error."""
        found = set()
        for line in self._requests.read_text(errors="replace").splitlines():
            if (request := _REQUEST.search(line)) and request["verb"] == "DELETE" and request["status"].startswith("2"):
                found.add(unquote(request["path"].partition("?")[0]).removeprefix(f"/{BUCKET}/{self._prefix}"))
        return found

    def requests(self, verb: str) -> int:
        """How many the log holds."""
        return sum(f'"{verb} ' in line for line in self._requests.read_text(errors="replace").splitlines())

    def named(self, manifests: Iterable[tuple[str, str]]) -> tuple[set[str], list[str]]:
        """The objects that committed manifests, each with its SHA-256, stand for: themselves and what they name; and the manifests that are
        gone or others."""
        keys: set[str] = set()
        wrong: list[str] = []
        for key, digest in manifests:
            keys.add(key)
            try:
                body = self._client.get_object(Bucket=BUCKET, Key=f"{self._prefix}{key}")["Body"].read()
            except self._client.exceptions.NoSuchKey:
                continue  # it is missed by its key
            if hashlib.sha256(body).hexdigest() != digest:
                wrong.append(key)
            keys |= {entry["url"].removeprefix(f"s3://{BUCKET}/{self._prefix}") for entry in orjson.loads(body)["entries"]}
        return keys, wrong
