"""The policies we hand out, in force on an S3 server: each role can do its work, and nothing of another's."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.request import Request, urlopen

import boto3
import orjson
import pytest
from botocore.exceptions import ClientError

from contracts.errors import Corrupt, Invalid
from devstack.s3 import S3Server
from loader.edges.s3 import S3BatchStore
from tests.stack.lake import BUCKET, DEAD_BY_EPOCH, Lake

AWS = Path(__file__).parents[2] / "deploy" / "aws"


def policy(name: str, prefix: str = "tidemark") -> str:
    """With our bucket's name and prefix in it."""
    text = (AWS / f"{name}.json").read_text()
    return re.sub(r"(?<=[/\"])tidemark/\*", f"{prefix}/*", text.replace("example-tidemark", BUCKET))


def actions(name: str) -> set[str]:
    found: set[str] = set()
    for statement in orjson.loads(policy(name))["Statement"]:
        found |= listed(statement)
    return found


def listed(statement: Any) -> set[str]:
    actions = statement["Action"]
    return {actions} if isinstance(actions, str) else set(actions)


def test_no_role_has_a_right_the_others_work_needs() -> None:
    assert actions("loader-policy") == {"s3:PutObject", "s3:GetObject"}
    assert "s3:PutObject" not in actions("janitor-policy")
    assert actions("copy-policy") == {"s3:ListBucket", "s3:GetObject"}
    for name in ("loader-policy", "janitor-policy", "copy-policy"):
        assert "*" not in "".join(actions(name))
        for statement in orjson.loads(policy(name))["Statement"]:
            ours = statement["Resource"].endswith("/tidemark/*") or statement["Action"] == "s3:ListBucketMultipartUploads"
            assert ours or statement["Condition"] == {"StringLike": {"s3:prefix": "tidemark/*"}}


KEYS = {
    "s3:ListBucket": {"s3:prefix", "s3:delimiter", "s3:max-keys"},
    "s3:ListBucketMultipartUploads": set[str](),
    "s3:GetObject": {"s3:ExistingObjectTag/<key>"},
    "s3:PutObject": {"s3:if-match", "s3:if-none-match", "s3:ObjectCreationOperation"},
    "s3:DeleteObject": {"s3:if-match"},
    "s3:AbortMultipartUpload": set[str](),
    "s3:*": set[str](),
}
"""The condition keys of an action that say what is asked for. Source: Service Authorization Reference, "Actions, resources, and condition
keys for Amazon S3"."""


@pytest.mark.parametrize("file", sorted(path.stem for path in AWS.glob("*-policy.json")))
def test_no_condition_asks_for_a_key_the_action_does_not_have(file: str) -> None:
    """A key that isn't there makes StringLike false: what the statement allows would never be allowed. Keys of `aws:` every action has."""
    for statement in orjson.loads(policy(file))["Statement"]:
        asked = {key for keys in statement.get("Condition", {}).values() for key in keys if not key.startswith("aws:")}
        for action in listed(statement):
            assert asked <= KEYS[action], (statement["Sid"], action)


def test_nothing_expires_current_objects() -> None:
    rules = orjson.loads((AWS / "lifecycle.json").read_text())["Rules"]
    for rule in rules:
        assert rule["Filter"] == {"Prefix": "tidemark/"}
        assert rule.get("Expiration", {}) in ({}, {"ExpiredObjectDeleteMarker": True})
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)


class Guarded:
    """An S3 server that asks for rights; a user of each role."""

    def __init__(self, server: S3Server, prefix: str) -> None:
        self.server = server
        iam = self._client("iam", "any", "any")
        self.users: dict[str, tuple[str, str]] = {}
        for role in ("janitor", "loader", "copy"):
            iam.create_user(UserName=role)
            iam.put_user_policy(UserName=role, PolicyName=role, PolicyDocument=policy(f"{role}-policy", prefix))
            key = iam.create_access_key(UserName=role)["AccessKey"]
            self.users[role] = (key["AccessKeyId"], key["SecretAccessKey"])

    def _client(self, service: Literal["s3", "iam"], access_key: str, secret_key: str) -> Any:
        session = boto3.session.Session(access_key, secret_key, region_name=self.server.region)
        return session.client(service, endpoint_url=self.server.endpoint_url)

    def client(self, role: str) -> Any:
        return self._client("s3", *self.users[role])

    def ask_for_rights(self) -> None:
        plain = {"Content-Type": "text/plain"}
        urlopen(Request(f"{self.server.endpoint_url}/moto-api/reset-auth", data=b"0", headers=plain, method="POST")).close()


@pytest.fixture
def guarded(lake: Lake, tmp_path: Path) -> Iterator[Guarded]:
    """Holds what the lake does."""
    server = S3Server(tmp_path / "s3")
    server.start()
    try:
        server.client().create_bucket(Bucket=BUCKET)
        for key in sorted(lake.keys()):
            server.client().put_object(Bucket=BUCKET, Key=f"lake-{lake.name}/{key}", Body=b"PAR1")
        made = Guarded(server, f"lake-{lake.name}")
        made.ask_for_rights()
        yield made
    finally:
        server.stop()


def as_role(lake: Lake, guarded: Guarded, role: str) -> None:
    access_key, secret_key = guarded.users[role]
    lake.change("s3", endpoint_url=guarded.server.endpoint_url, access_key_id=access_key, secret_access_key=secret_key)


@pytest.mark.stack
def test_with_its_policy_the_janitor_sweeps_and_may_not_write(lake: Lake, guarded: Guarded) -> None:
    as_role(lake, guarded, "janitor")
    assert [line.split()[0] for line in lake.run("check", code=0).stdout.splitlines()] == ["ok"] * 4
    assert "deleted 2 orphans" in lake.run("orphans", "--all-tables", "--all", code=0).stderr
    lake.run(code=0)
    with pytest.raises(ClientError, match="AccessDenied"):
        guarded.client("janitor").put_object(Bucket=BUCKET, Key=f"lake-{lake.name}/x", Body=b"")
    with pytest.raises(ClientError, match="AccessDenied"):
        guarded.client("janitor").delete_object(Bucket=BUCKET, Key="elsewhere/x")


@pytest.mark.stack
def test_with_its_policy_the_loader_writes_and_knows_again_what_it_wrote(lake: Lake, guarded: Guarded) -> None:
    """A PUT whose answer was lost is sent again, refused, and then what the key holds is looked at."""
    store = S3BatchStore(guarded.client("loader"), BUCKET, f"lake-{lake.name}")
    for _ in range(2):
        store.put("batch", b"PAR1")
    with pytest.raises(Corrupt):
        store.put("batch", b"PAR2")
    with pytest.raises(Invalid, match="s3:GetObject"):
        S3BatchStore(guarded.client("loader"), BUCKET, "elsewhere").put("batch", b"PAR1")


@pytest.mark.stack
def test_with_another_s_policy_the_janitor_says_what_it_lacks_and_deletes_nothing(lake: Lake, guarded: Guarded) -> None:
    as_role(lake, guarded, "copy")  # may list, not delete
    assert [line.split()[0] for line in lake.run("check", code=2).stdout.splitlines()] == ["ok", "fault", "fault", "ok"]
    assert "deploy/aws/janitor-policy.json" in lake.run("orphans", "--all-tables", "--all", code=2).stderr
    as_role(lake, guarded, "loader")
    assert "AccessDenied" in lake.run("orphans", "--all-tables", "--all", code=2).stderr
    for role in ("loader", "copy"):
        with pytest.raises(ClientError, match="AccessDenied"):
            guarded.client(role).delete_object(Bucket=BUCKET, Key=f"lake-{lake.name}/{lake.key(DEAD_BY_EPOCH).data}")
    guarded.client("loader").put_object(Bucket=BUCKET, Key=f"lake-{lake.name}/new", Body=b"", IfNoneMatch="*")
