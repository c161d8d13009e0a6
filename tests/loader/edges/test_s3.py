"""The bucket's edge over HTTP: moto as the server, and between both a proxy that loses answers, refuses, or answers for somebody else."""

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NoReturn

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from contracts.errors import Corrupt, Invalid, PipelineError, Unavailable
from loader.edges.s3 import S3BatchStore, highest_epoch, look

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "batches"
Answer = tuple[int, dict[str, str], bytes]
Fault = Callable[[Answer], Answer | None]
"""What becomes of the server's answer; None: the connection is dropped."""


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on; the first fault queued for a method decides what becomes of its answer. `before` faults answer in the server's
    stead."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = port
        self.faults: dict[str, list[Fault]] = {}
        self.before: dict[str, list[Answer]] = {}
        self.seen: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: FaultyProxy
    protocol_version = "HTTP/1.1"  # or boto3 waits a second for the "100 Continue" it asks for

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(self.command)
        if self.server.before.get(self.command):
            self._answer(self.server.before[self.command].pop(0))
            return
        upstream = HTTPConnection("127.0.0.1", self.server.upstream)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("expect", "connection")}
        upstream.request(self.command, self.path, body, headers)
        response = upstream.getresponse()
        answer: Answer | None = (response.status, dict(response.getheaders()), response.read())
        if answer is not None and self.server.faults.get(self.command):
            answer = self.server.faults[self.command].pop(0)(answer)
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        status, headers, body = answer
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...

    do_PUT = do_GET = do_HEAD = do_POST = do_DELETE = _pass_on  # noqa: N815  # the names http.server calls


def refusal(status: int, code: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    return status, {"Content-Type": "application/xml", "Content-Length": str(len(body))}, body


def without_checksum(answer: Answer) -> Answer:
    status, headers, body = answer
    return status, {name: value for name, value in headers.items() if "checksum" not in name.lower()}, body


def lost(_: Answer) -> None:
    return None


@pytest.fixture(scope="module")
def moto_port() -> Iterator[int]:
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def proxy(moto_port: int) -> Iterator[FaultyProxy]:
    server = FaultyProxy(moto_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator["S3Client"]:
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{proxy.server_port}",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 2, "mode": "standard"}, read_timeout=10, s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])


@pytest.fixture
def store(client: "S3Client", proxy: FaultyProxy) -> S3BatchStore:
    proxy.seen.clear()
    return S3BatchStore(client, BUCKET, "tidemark")


def held(client: "S3Client", key: str) -> bytes:
    return client.get_object(Bucket=BUCKET, Key=f"tidemark/{key}")["Body"].read()


def test_an_object_is_stored_below_the_prefix_with_its_checksum(store: S3BatchStore, client: "S3Client", proxy: FaultyProxy) -> None:
    store.put("t/00000/a.parquet", b"rows")
    assert proxy.seen == ["PUT"]
    assert held(client, "t/00000/a.parquet") == b"rows"
    head = client.head_object(Bucket=BUCKET, Key="tidemark/t/00000/a.parquet", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == b64encode(sha256(b"rows").digest()).decode()
    assert store.url("t/00000/a.parquet") == "s3://batches/tidemark/t/00000/a.parquet"


def test_without_a_prefix_a_key_is_the_whole_name(client: "S3Client") -> None:
    assert S3BatchStore(client, BUCKET, "").url("a") == "s3://batches/a"
    assert S3BatchStore(client, BUCKET, "/x/y/").url("a") == "s3://batches/x/y/a"


def test_another_object_under_the_key_is_left_as_it_is(store: S3BatchStore, client: "S3Client") -> None:
    store.put("a", b"first")
    for other in (b"other", b"longer than first", b""):
        with pytest.raises(Corrupt, match="tidemark/a holds another object"):
            store.put("a", other)
    assert held(client, "a") == b"first"


def test_a_put_whose_answer_was_lost_meets_its_own_success(store: S3BatchStore, client: "S3Client", proxy: FaultyProxy) -> None:
    proxy.faults["PUT"] = [lost]
    store.put("a", b"rows")
    assert proxy.seen == ["PUT", "PUT", "HEAD"]
    assert held(client, "a") == b"rows"


@pytest.mark.parametrize(("mine", "fits"), [(b"rows", True), (b"sown", False), (b"more rows", False)])
def test_a_server_that_keeps_no_checksums_is_asked_for_the_bytes(store: S3BatchStore, proxy: FaultyProxy, mine: bytes, fits: bool) -> None:
    store.put("a", b"rows")
    proxy.faults["HEAD"] = [without_checksum]
    if fits:
        store.put("a", mine)
    else:
        with pytest.raises(Corrupt):
            store.put("a", mine)


def test_a_put_that_is_not_verified_in_its_answer_is_verified_after(store: S3BatchStore, proxy: FaultyProxy) -> None:
    proxy.faults["PUT"] = [without_checksum]
    store.put("a", b"rows")
    assert proxy.seen == ["PUT", "HEAD"]


def test_a_server_that_stored_something_else_is_found_out(store: S3BatchStore, proxy: FaultyProxy) -> None:
    def other_length(answer: Answer) -> Answer:
        return answer[0], {**without_checksum(answer)[1], "Content-Length": "3"}, answer[2]

    proxy.faults["PUT"] = [without_checksum]
    proxy.faults["HEAD"] = [other_length]
    with pytest.raises(Corrupt):
        store.put("a", b"rows")


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (503, "SlowDown", Unavailable),
        (500, "InternalError", Unavailable),
        (409, "ConditionalRequestConflict", Unavailable),
        (400, "BadDigest", Unavailable),
        (400, "ExpiredToken", Unavailable),
        (403, "AccessDenied", Invalid),
        (403, "SignatureDoesNotMatch", Invalid),
        (403, "InvalidAccessKeyId", Invalid),
        (400, "EntityTooLarge", Invalid),
        (501, "NotImplemented", Invalid),
        (403, "RequestTimeTooSkewed", Unavailable),
    ],
)
def test_an_answer_says_whether_to_wait_or_to_mend(
    store: S3BatchStore, client: "S3Client", proxy: FaultyProxy, status: int, code: str, error: type[PipelineError]
) -> None:
    proxy.before["PUT"] = [refusal(status, code)] * 4
    with pytest.raises(error, match=f"tidemark/a: S3 answers {code}"):
        store.put("a", b"rows")
    assert client.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (400, "ExpiredToken")])
def test_a_bucket_that_does_not_answer_for_now_is_unavailable(client: "S3Client", proxy: FaultyProxy, status: int, code: str) -> None:
    proxy.before["HEAD"] = [refusal(status, code)] * 9
    with pytest.raises(Unavailable, match=f"bucket {BUCKET}: S3 answers {status}"):
        look(client, BUCKET)
    proxy.before["HEAD"] = []
    proxy.before["GET"] = [refusal(status, code)] * 9
    with pytest.raises(Unavailable, match=f"bucket {BUCKET} can't be listed: S3 answers {code}"):
        highest_epoch(client, BUCKET, "tidemark")
    proxy.before["GET"] = []


def test_credentials_that_are_not_given_are_told_from_a_right_that_lacks(monkeypatch: pytest.MonkeyPatch, client: "S3Client") -> None:
    def refused(code: str) -> Callable[..., NoReturn]:
        def ask(**_: object) -> NoReturn:
            raise ClientError({"Error": {"Code": code, "Message": "Not authorized"}}, "AssumeRoleWithWebIdentity")

        return ask

    monkeypatch.setattr(client, "head_bucket", refused("AccessDenied"))
    with pytest.raises(Invalid, match="no credentials: AssumeRoleWithWebIdentity answers AccessDenied: Not authorized"):
        look(client, BUCKET)
    monkeypatch.setattr(client, "head_bucket", refused("Throttling"))
    with pytest.raises(Unavailable, match="no credentials"):
        look(client, BUCKET)


def test_credentials_that_are_given_expired_are_asked_for_again(client: "S3Client", monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"access_key": "a", "secret_key": "b", "token": "c", "expiry_time": "2020-01-01T00:00:00Z"}
    stale = RefreshableCredentials.create_from_metadata(given, refresh_using=lambda: given, method="iam-role")
    monkeypatch.setattr(client._request_signer, "_credentials", stale)  # type: ignore[attr-defined]  # what a role's credentials are
    put = partial(S3BatchStore(client, BUCKET, "tidemark").put, "a", b"rows")
    for ask in (put, partial(look, client, BUCKET), partial(highest_epoch, client, BUCKET, "tidemark")):
        with pytest.raises(Unavailable, match=r"no credentials: .* still expired\. Is this host's clock right"):
            ask()


def test_any_other_error_of_python_is_a_bug(monkeypatch: pytest.MonkeyPatch, client: "S3Client") -> None:
    def broken(**_: object) -> NoReturn:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr(client, "put_object", broken)
    with pytest.raises(RuntimeError, match="changed size"):
        S3BatchStore(client, BUCKET, "tidemark").put("a", b"rows")


def test_a_name_no_bucket_can_have_is_a_wrong_setting(client: "S3Client") -> None:
    with pytest.raises(Invalid, match=r"set s3\.bucket"):
        look(client, "no bucket")


def test_a_bucket_that_must_not_be_listed_names_the_right(client: "S3Client", proxy: FaultyProxy) -> None:
    proxy.before["GET"] = [refusal(403, "AccessDenied")]
    with pytest.raises(Invalid, match=r"can't be listed: S3 answers AccessDenied: allow s3:ListBucket"):
        highest_epoch(client, BUCKET, "tidemark")


def test_a_bucket_that_is_there_one_not_to_be_looked_at_and_one_that_is_not(client: "S3Client", proxy: FaultyProxy) -> None:
    assert look(client, BUCKET) == f"bucket {BUCKET} is there"
    proxy.before["HEAD"] = [(403, {"Content-Length": "0"}, b"")]
    assert "whether it takes objects shows" in look(client, BUCKET)
    with pytest.raises(Invalid, match=r"make it, or mend s3\.bucket"):
        look(client, "no-such-bucket")


def test_a_refused_look_at_what_is_there_is_no_proof_of_anything(store: S3BatchStore, proxy: FaultyProxy) -> None:
    store.put("a", b"rows")
    proxy.before["HEAD"] = [(403, {"Content-Length": "0"}, b"")]
    with pytest.raises(Invalid, match="s3:GetObject"):
        store.put("a", b"rows")


def test_a_bucket_that_is_not_there_is_a_wrong_setting(client: "S3Client") -> None:
    with pytest.raises(Invalid, match=r"set s3\.bucket"):
        S3BatchStore(client, "no-such-bucket", "tidemark").put("a", b"rows")


def test_a_server_that_is_gone_is_unavailable(client: "S3Client", proxy: FaultyProxy) -> None:
    proxy.faults["PUT"] = [lost] * 4
    with pytest.raises(Unavailable, match="tidemark/a"):
        S3BatchStore(client, BUCKET, "tidemark").put("a", b"rows")


def test_a_key_s3_could_not_hold_is_refused_before_anything_is_sent(client: "S3Client", proxy: FaultyProxy) -> None:
    proxy.seen.clear()
    for key in ("", "x" * 1025):
        with pytest.raises(Invalid, match=r"shorten s3\.prefix"):
            S3BatchStore(client, BUCKET, "tidemark").put(key, b"rows")
    assert proxy.seen == []
