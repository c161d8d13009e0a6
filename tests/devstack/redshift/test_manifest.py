import json

import pytest

from devstack.redshift.loaderror import LoadError
from devstack.redshift.manifest import SourceFile, read_manifest

URL = "s3://b/m.manifest"


def test_entries_are_read_in_order_and_optional_unless_they_say_otherwise() -> None:
    body = {
        "entries": [
            {"url": "s3://b/1", "mandatory": True, "meta": {"content_length": 7}},
            {"url": "s3://b/2", "meta": {"content_length": 8}},
        ]
    }
    assert read_manifest(json.dumps(body).encode(), URL) == [SourceFile("s3://b/1", True, 7), SourceFile("s3://b/2", False, 8)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{}", "not in correct json format"),
        ("[]", "not in correct json format"),
        ("nonsense", "not in correct json format"),
        ('{"entries": []}', "no entries"),
        ('{"entries": [{"url": "s3://b/1"}]}', "content_length"),
        ('{"entries": [{"url": "s3://b/1", "meta": {"content_length": "7"}}]}', "content_length"),
        ('{"entries": [{"url": "http://b/1", "meta": {"content_length": 7}}]}', "s3://"),
        ('{"entries": [{"url": "s3://b/1", "mandatory": "yes", "meta": {"content_length": 7}}]}', "mandatory"),
    ],
)
def test_what_is_no_manifest_for_parquet_is_refused(body: str, reason: str) -> None:
    with pytest.raises(LoadError) as refusal:
        read_manifest(body.encode(), URL)
    assert reason in refusal.value.reason
    assert refusal.value.code_number == 8001
