"""A bucket in memory: conditional PUT and DELETE, paged lists, a clock of its own. Source: Amazon S3 API reference, "PutObject",
"DeleteObject", "ListObjectsV2"."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from contracts.errors import Corrupt
from tests.fakes.clock import Time
from tests.fakes.faults import Gate


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a list shows it. `key` includes the bucket's prefix."""

    key: str
    etag: str
    modified_at: datetime
    data: bytes


class PreconditionFailed(Exception):
    """412: the object is there already, or is not the one that was named."""


@dataclass
class Bucket:
    """Objects by key. Reads see every PUT and DELETE that happened before (strong consistency, since 2020)."""

    time: Time
    name: str = "bucket"
    objects: dict[str, StoredObject] = field(default_factory=dict)
    ever_put: set[str] = field(default_factory=set)
    deleted: list[str] = field(default_factory=list)

    def put(self, key: str, data: bytes, *, if_none_match: bool) -> StoredObject:
        if if_none_match and key in self.objects:
            raise PreconditionFailed(key)
        stored = StoredObject(key, hashlib.md5(data, usedforsecurity=False).hexdigest(), self.time.now(), data)
        self.objects[key] = stored
        self.ever_put.add(key)
        return stored

    def delete(self, key: str, if_match: str | None) -> None:
        """Deleting what is not there succeeds, as in S3, unless a certain object was asked for."""
        found = self.objects.get(key)
        if if_match is not None and (found is None or found.etag != if_match):
            raise PreconditionFailed(key)
        if found is not None:
            del self.objects[key]
            self.deleted.append(key)

    def page(self, prefix: str, after: str, size: int) -> list[StoredObject]:
        """The next objects in key order behind `after`; shorter than `size` at the end."""
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        return [self.objects[key] for key in keys[:size]]

    def read(self, url: str) -> bytes | None:
        """What `s3://bucket/key` holds; None when there is nothing."""
        start = f"s3://{self.name}/"
        found = self.objects.get(url.removeprefix(start)) if url.startswith(start) else None
        return found.data if found else None


class FakeBatchStore:
    """The loader's BatchStore over a bucket."""

    def __init__(self, bucket: Bucket, gate: Gate, prefix: str = "tidemark") -> None:
        self.bucket = bucket
        self.gate = gate
        self.prefix = prefix

    def put(self, key: str, data: bytes) -> None:
        full = f"{self.prefix}/{key}"

        def store() -> None:
            try:
                self.bucket.put(full, data, if_none_match=not self.overwrites)
            except PreconditionFailed as error:
                raise Corrupt(f"{full} exists already: a name was used twice", key=full) from error

        self.gate.cross("loader.put_manifest" if key.endswith(".manifest") else "loader.put_data", store)

    overwrites = False  # the simulation's mutants of reused names need a store that lets them

    def url(self, key: str) -> str:
        return f"s3://{self.bucket.name}/{self.prefix}/{key}"


def keys_below(bucket: Bucket, prefix: str) -> Iterator[str]:
    """Every key below a prefix, without it."""
    return (key.removeprefix(f"{prefix}/") for key in sorted(bucket.objects) if key.startswith(f"{prefix}/"))
