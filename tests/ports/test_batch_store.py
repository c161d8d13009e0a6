"""BatchStore: the fake bucket and S3."""

from dataclasses import dataclass
from typing import Protocol

import pytest

from contracts.errors import Corrupt
from devstack.stack import Stack
from loader.edges.s3 import S3BatchStore
from loader.ports import BatchStore
from tests.fakes.clock import Time
from tests.fakes.faults import Gate
from tests.fakes.object_store import Bucket, FakeBatchStore
from tests.ports.conftest import BOTH


class Scene(Protocol):
    bucket: str

    def store(self, prefix: str) -> BatchStore: ...

    def read(self, url: str) -> bytes | None:
        """What is there, asked past the port."""


@dataclass
class FakeScene:
    bucket: str

    def __post_init__(self) -> None:
        self.held = Bucket(Time(), self.bucket)

    def store(self, prefix: str) -> BatchStore:
        return FakeBatchStore(self.held, Gate(), prefix)

    def read(self, url: str) -> bytes | None:
        return self.held.read(url)


@dataclass
class RealScene:
    stack: Stack
    bucket: str

    def __post_init__(self) -> None:
        self.client = self.stack.s3.client()
        self.client.create_bucket(Bucket=self.bucket)

    def store(self, prefix: str) -> BatchStore:
        return S3BatchStore(self.client, self.bucket, prefix)

    def read(self, url: str) -> bytes | None:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        try:
            return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None


@pytest.fixture(params=BOTH)
def scene(request: pytest.FixtureRequest, unused_name: str) -> Scene:
    return FakeScene(unused_name) if request.param == "fake" else RealScene(request.getfixturevalue("stack"), unused_name)


def test_what_was_put_is_there_whole(scene: Scene) -> None:
    store = scene.store("lake")
    store.put("a/1.parquet", b"one")
    assert store.url("a/1.parquet") == f"s3://{scene.bucket}/lake/a/1.parquet"
    assert scene.read(store.url("a/1.parquet")) == b"one"


def test_nothing_is_there_before(scene: Scene) -> None:
    assert scene.read(scene.store("lake").url("a/1.parquet")) is None


def test_a_name_is_never_used_for_something_else(scene: Scene) -> None:
    store = scene.store("lake")
    store.put("a/1.parquet", b"one")
    with pytest.raises(Corrupt):
        store.put("a/1.parquet", b"two")
    assert scene.read(store.url("a/1.parquet")) == b"one"


def test_a_put_whose_answer_was_lost_may_be_sent_again(scene: Scene) -> None:
    store = scene.store("lake")
    store.put("a/1.parquet", b"one")
    store.put("a/1.parquet", b"one")
    assert scene.read(store.url("a/1.parquet")) == b"one"


def test_prefixes_part_pipelines(scene: Scene) -> None:
    scene.store("lake").put("a/1.parquet", b"one")
    other = scene.store("pond")
    other.put("a/1.parquet", b"two")
    assert scene.read(other.url("a/1.parquet")) == b"two"
