"""The bucket's port on the fake and on an S3 server: one suite, so that the fake is evidence."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from contracts.errors import Invalid, Unavailable
from janitor.core.snapshot import StoredObject
from janitor.edges.s3 import S3Bucket
from janitor.ports import Bucket
from runtime.connect import s3
from runtime.sections import S3
from tests.janitor.builders import NOW, OTHER, TOPIC, FakeBucket, attempt, stored

PREFIX = "lake/tidemark"


class World(Protocol):
    @property
    def bucket(self) -> Bucket: ...

    def put(self, key: str, data: bytes = b"x") -> None: ...


class FakeWorld:
    def __init__(self) -> None:
        self.bucket = FakeBucket()

    def put(self, key: str, data: bytes = b"x") -> None:
        self.bucket.put(replace(stored(key, size_bytes=len(data)), etag=repr(data)))


class RealWorld:
    def __init__(self, endpoint: str, name: str) -> None:
        self.settings = S3.model_validate(
            {
                "bucket": name,
                "prefix": PREFIX,
                "endpoint_url": endpoint,
                "region": "us-east-1",
                "access_key_id": "a",
                "secret_access_key": "b",
            }
        )
        self.client = s3.client(self.settings)
        self.client.create_bucket(Bucket=name)
        self.bucket = S3Bucket(self.client, name, PREFIX)

    def put(self, key: str, data: bytes = b"x") -> None:
        self.client.put_object(Bucket=self.settings.bucket, Key=f"{PREFIX}/{key}", Body=data)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def real(endpoint: str, request: pytest.FixtureRequest) -> RealWorld:
    return RealWorld(endpoint, f"bucket-{abs(hash(request.node.name)):x}"[:60])


@pytest.fixture(params=["fake", "server"])
def world(request: pytest.FixtureRequest) -> World:
    return FakeWorld() if request.param == "fake" else request.getfixturevalue("real")


def test_a_folders_objects_are_listed_in_order_and_no_others(world: World) -> None:
    first, second = attempt(1), attempt(2)
    for key in (second.data, first.manifest, first.data, attempt(1, topic=f"{TOPIC}2").data, attempt(1, topic=OTHER).data, "readme.txt"):
        world.put(key, b"four")
    listing = world.bucket.list(TOPIC)
    assert [found.key for found in listing.objects] == [first.manifest, first.data, second.data]
    assert {found.size_bytes for found in listing.objects} == {4}
    assert all(found.stored_at <= listing.at + timedelta(seconds=1) for found in listing.objects)


def test_the_top_holds_folders_and_strays(world: World) -> None:
    for key in (attempt(1).data, attempt(1, topic=OTHER).data, "readme.txt"):
        world.put(key)
    top = world.bucket.top()
    assert sorted(top.folders) == [OTHER, TOPIC]
    assert [found.key for found in top.objects] == ["readme.txt"]


def test_an_empty_folder_has_no_objects(world: World) -> None:
    assert list(world.bucket.list(TOPIC).objects) == []
    assert world.bucket.top().folders == []


def test_what_was_listed_is_deleted_and_deleting_it_again_is_fine(world: World) -> None:
    world.put(attempt(1).data)
    world.put(attempt(2).data)
    (first, _) = world.bucket.list(TOPIC).objects
    assert world.bucket.delete(first)
    assert [found.key for found in world.bucket.list(TOPIC).objects] == [attempt(2).data]
    assert world.bucket.delete(first)


def test_what_took_the_place_of_the_listed_stays(world: World) -> None:
    world.put(attempt(1).data, b"old")
    (old,) = world.bucket.list(TOPIC).objects
    world.put(attempt(1).data, b"new")
    assert not world.bucket.delete(old)
    assert [found.key for found in world.bucket.list(TOPIC).objects] == [attempt(1).data]


# -- what only the server shows


def test_a_list_of_many_pages_is_whole(real: RealWorld) -> None:
    keys = [attempt(n).data for n in range(1005)]
    for key in keys:  # past the HTTP server, for speed: it runs in this process
        s3_backends["123456789012"]["aws"].put_object(real.settings.bucket, f"{PREFIX}/{key}", b"x")
    assert [found.key for found in real.bucket.list(TOPIC).objects] == keys


def test_ages_are_measured_from_when_the_list_began(real: RealWorld) -> None:
    """A later page is answered later: from there everything would look older than it was."""
    for number in range(1001):
        s3_backends["123456789012"]["aws"].put_object(real.settings.bucket, f"{PREFIX}/{attempt(number).data}", b"x")
    dates = ["Thu, 14 Aug 2025 18:00:00 GMT", "Thu, 14 Aug 2025 19:00:00 GMT"]

    def answered(parsed: dict[str, Any], **_: object) -> None:
        parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = dates.pop(0)

    real.client.meta.events.register("after-call.s3.ListObjectsV2", answered)
    assert real.bucket.list(TOPIC).at == NOW
    assert dates == []


def test_ages_are_measured_by_the_servers_clock(real: RealWorld) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    real.put(attempt(1).data)
    listing = real.bucket.list(TOPIC)
    assert before.replace(microsecond=0) <= listing.objects[0].stored_at <= datetime.now(UTC)
    assert before.replace(microsecond=0) <= listing.at <= datetime.now(UTC)


def test_old_unfinished_uploads_of_batches_are_aborted_and_foreign_ones_left(real: RealWorld) -> None:
    # The server dates every upload 2010.
    for key in (attempt(1).data, f"{TOPIC}/notes.txt"):
        real.client.create_multipart_upload(Bucket=real.settings.bucket, Key=f"{PREFIX}/{key}")
    assert real.bucket.abort_uploads("shop.", timedelta(days=365_000)) == 0
    assert real.bucket.abort_uploads("crm.", timedelta(days=1)) == 0
    assert real.bucket.abort_uploads("shop.", timedelta(days=1)) == 1
    left = real.client.list_multipart_uploads(Bucket=real.settings.bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == [f"{PREFIX}/{TOPIC}/notes.txt"]


def test_an_upload_that_another_janitor_aborted_first_is_no_fault(real: RealWorld) -> None:
    for number in (1, 2):
        real.client.create_multipart_upload(Bucket=real.settings.bucket, Key=f"{PREFIX}/{attempt(number).data}")
    other = S3Bucket(s3.client(real.settings), real.settings.bucket, PREFIX)
    raced: list[int] = []

    def race(**_: object) -> None:
        raced.append(other.abort_uploads("shop.", timedelta(days=1)))

    real.client.meta.events.register("before-call.s3.AbortMultipartUpload", race)
    assert real.bucket.abort_uploads("shop.", timedelta(days=1)) == 0
    assert raced == [2, 0]


def test_keys_that_need_escaping_come_back_as_they_are(real: RealWorld) -> None:
    names = [f"{TOPIC}/a b+c%20.txt", f"{TOPIC}/\u00e9<&>"]
    for name in names:
        real.put(name)
    assert {found.key for found in real.bucket.list(TOPIC).objects} == set(names)


def test_a_missing_bucket_is_named_with_its_setting(real: RealWorld) -> None:
    with pytest.raises(Invalid, match=r"s3://no-such-bucket/.*s3\.bucket"):
        S3Bucket(real.client, "no-such-bucket", PREFIX).top()


@pytest.mark.parametrize(
    ("ask", "right"),
    [
        (lambda bucket: bucket.top(), "s3:ListBucket"),
        (lambda bucket: bucket.list(TOPIC), "s3:ListBucket"),
        (lambda bucket: bucket.delete(stored(attempt(1).data)), "s3:DeleteObject, or, .*s3:GetObject"),
        (lambda bucket: bucket.abort_uploads("shop.", timedelta.max), "s3:ListBucketMultipartUploads"),
    ],
)
def test_a_right_that_lacks_is_named(real: RealWorld, ask: Callable[[Bucket], object], right: str) -> None:
    def denied(**_: object) -> Any:
        return AWSResponse("", 403, HTTPHeaders(), b""), {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}

    real.client.meta.events.register("before-call.s3", denied)
    with pytest.raises(Invalid, match=rf"AccessDenied: allow {right}: .*janitor-policy\.json"):
        ask(real.bucket)


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "Throttling"}}, "AssumeRoleWithWebIdentity"),
        RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
    ],
)
def test_credentials_that_can_t_be_had_for_now_are_unavailable(real: RealWorld, error: Exception) -> None:
    def refused(**_: object) -> Any:
        raise error

    real.client.meta.events.register("before-call.s3", refused)
    with pytest.raises(Unavailable, match="no credentials"):
        real.bucket.top()


def test_nobody_at_the_endpoint_is_unavailable() -> None:
    settings = S3.model_validate(
        {"bucket": "b", "endpoint_url": "http://127.0.0.1:1", "region": "us-east-1", "access_key_id": "a", "secret_access_key": "b"}
    )
    with pytest.raises(Unavailable, match=r"s3\.endpoint_url"):
        S3Bucket(s3.client(settings), "b", PREFIX).delete(StoredObject("x", '"e"', 1, datetime.now(UTC)))
