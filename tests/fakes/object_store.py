"""A bucket in memory: conditional PUT and DELETE, paged lists, a clock of its own. Source: Amazon S3 API reference, "PutObject",
"DeleteObject", "ListObjectsV2"."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from contracts.errors import Corrupt
from janitor.core.snapshot import StoredObject
from janitor.ports import Listing, Top
from tests.fakes.clock import Time
from tests.fakes.faults import Gate

PAGE = 3
"""Keys of one page of a list: few, so that much can happen between two."""


@dataclass(frozen=True, slots=True)
class HeldObject:
    """One object. `key` includes the bucket's prefix."""

    key: str
    etag: str
    stored_at: datetime
    data: bytes


class PreconditionFailed(Exception):
    """412: the object is there already, or is not the one that was named."""


@dataclass
class Bucket:
    """Objects by key. Reads see every PUT and DELETE that happened before (strong consistency, since 2020)."""

    time: Time
    name: str = "bucket"
    objects: dict[str, HeldObject] = field(default_factory=dict)
    ever_put: set[str] = field(default_factory=set)
    deleted: list[str] = field(default_factory=list)

    def put(self, key: str, data: bytes, *, if_none_match: bool) -> HeldObject:
        if if_none_match and key in self.objects:
            raise PreconditionFailed(key)
        stored = HeldObject(key, f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"', self.time.now(), data)
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

    def page(self, prefix: str, after: str, size: int) -> list[HeldObject]:
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
                self.bucket.put(full, data, if_none_match=True)
            except PreconditionFailed as error:
                if self.bucket.objects[full].data == data:
                    return  # our own earlier request, whose answer was lost
                raise Corrupt(f"{full} exists already: a name was used twice", key=full) from error

        self.gate.cross("loader.put_manifest" if key.endswith(".manifest") else "loader.put_data", store)

    def url(self, key: str) -> str:
        return f"s3://{self.bucket.name}/{self.prefix}/{key}"


class FakeJanitorBucket:
    """The janitor's Bucket over a bucket. A list is read page by page: objects come and go between two."""

    def __init__(self, bucket: Bucket, gate: Gate, prefix: str = "tidemark") -> None:
        self.bucket = bucket
        self.gate = gate
        self.prefix = prefix

    def top(self) -> Top:
        def look() -> Top:
            below = list(keys_below(self.bucket, self.prefix))
            folders = {key.partition("/")[0] for key in below if "/" in key}
            strays = [self._stored(self.bucket.objects[f"{self.prefix}/{key}"]) for key in below if "/" not in key]
            return Top(sorted(folders), strays)

        return self.gate.cross("janitor.top", look)

    def list(self, folder: str) -> Listing:
        at: datetime | None = None
        found: list[StoredObject] = []
        after = ""
        while True:
            begun, page = self.gate.cross("janitor.list", partial(self._page, folder, after))
            at = at or begun
            found += map(self._stored, page)
            if len(page) < PAGE:
                return Listing(at, found)
            after = page[-1].key

    def delete(self, stored: StoredObject) -> bool:
        def delete() -> bool:
            key = f"{self.prefix}/{stored.key}"
            try:
                self.bucket.delete(key, stored.etag)
            except PreconditionFailed:
                return key not in self.bucket.objects
            return True

        return self.gate.cross("janitor.delete", delete)

    def abort_uploads(self, beginning: str, older_than: timedelta) -> int:
        return 0  # every PUT here is one request

    def _page(self, folder: str, after: str) -> tuple[datetime, Sequence[HeldObject]]:
        return self.bucket.time.now(), self.bucket.page(f"{self.prefix}/{folder}/", after, PAGE)

    def _stored(self, held: HeldObject) -> StoredObject:
        return StoredObject(held.key.removeprefix(f"{self.prefix}/"), held.etag, len(held.data), held.stored_at)


def keys_below(bucket: Bucket, prefix: str) -> Iterator[str]:
    """Every key below a prefix, without it."""
    return (key.removeprefix(f"{prefix}/") for key in sorted(bucket.objects) if key.startswith(f"{prefix}/"))
