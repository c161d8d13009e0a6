"""One attempt at a micro-batch in S3: its name, and the manifest COPY reads."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern

import orjson

from contracts.offsets import OffsetRange

_KEY = re.compile(
    r"(?P<topic>[a-zA-Z0-9._-]+)/(?P<partition>\d{5})/(?P<readable>[a-z0-9_]{1,80})_(?P<stamp>\d{8}_\d{6})_batch_(?P<number>\d{4,})"
    r"_(?P<start>\d{20})-(?P<stop>\d{20})_e(?P<epoch>\d{8,})_(?P<nonce>[0-9a-f]{8})\.(?P<suffix>parquet|manifest)"
)
_STAMP = "%Y%m%d_%H%M%S"

SUFFIXES = ("parquet", "manifest")
"""Of an attempt's two objects: its data and what COPY reads first."""


def readable(topic: str) -> str:
    """The table part of a key, for people only: `[a-z0-9_]`, at most 80 characters."""
    return re.sub(r"[^a-z0-9_]", "_", topic.split(".")[-1].lower())[:80]


@dataclass(frozen=True, slots=True, order=True)
class BatchKey:
    """Where one attempt at a micro-batch lives in S3, below the bucket's prefix. People read table, session stamp and batch number;
    machines read topic, partition, offsets and epoch, which decide whether the batch can still be committed. `nonce` (8 hex digits)
    makes every attempt a new name: a key is never written twice. `session`: when the writer's epoch was granted, whole seconds UTC."""

    topic: str
    partition: int
    session: datetime
    number: int
    offsets: OffsetRange
    epoch: int
    nonce: str

    def __post_init__(self) -> None:
        if self.session.tzinfo is not UTC or self.session.microsecond:
            raise ValueError(f"session is whole seconds UTC, got {self.session!r}")
        if not _KEY.fullmatch(self.data):
            raise ValueError(f"not a batch key: {self.data!r}")

    @property
    def stem(self) -> str:
        stamp = f"{readable(self.topic)}_{self.session.strftime(_STAMP)}_batch_{self.number:04d}"
        run = f"{self.offsets.start:020d}-{self.offsets.stop:020d}_e{self.epoch:08d}_{self.nonce}"
        return f"{self.topic}/{self.partition:05d}/{stamp}_{run}"

    @property
    def data(self) -> str:
        return f"{self.stem}.parquet"

    @property
    def manifest(self) -> str:
        return f"{self.stem}.manifest"

    @classmethod
    def parse(cls, key: str) -> "BatchKey | None":
        """The attempt this S3 key (its data object's or its manifest's) names; None when it is not ours, and then the janitor
        leaves it alone. Exact: `parse` of anything but `data` or `manifest` of some BatchKey is None."""
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        try:
            found = cls(
                topic=intern(match["topic"]),
                partition=int(match["partition"]),
                session=_moment(match["stamp"]),
                number=int(match["number"]),
                offsets=OffsetRange(int(match["start"]), int(match["stop"])),
                epoch=int(match["epoch"]),
                nonce=match["nonce"],
            )
        except ValueError:
            return None
        return found if key in (found.data, found.manifest) else None


@lru_cache(maxsize=256)
def _moment(stamp: str) -> datetime:
    """Of a session, which many keys share. Raises ValueError."""
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """An object COPY must read: its URL and true length in bytes. Always mandatory: a missing file fails the COPY, never skips rows."""

    url: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The object list of one COPY. Source: Redshift guide, "Using a manifest to specify data files"; for Parquet `meta.content_length`
    is required and is the object's true size."""

    entries: tuple[ManifestEntry, ...]

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError("a manifest names at least one object")

    def encode(self) -> bytes:
        return orjson.dumps(
            {"entries": [{"url": e.url, "mandatory": True, "meta": {"content_length": e.size_bytes}} for e in self.entries]}
        )

    @classmethod
    def decode(cls, data: bytes) -> "Manifest":
        """Raises ValueError, also when an entry is not mandatory."""
        try:
            entries = orjson.loads(data)["entries"]
            if not all(e["mandatory"] is True for e in entries):
                raise ValueError("a manifest entry is not mandatory")
            return cls(tuple(ManifestEntry(e["url"], e["meta"]["content_length"]) for e in entries))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a manifest: {type(error).__name__} {error}") from error


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
