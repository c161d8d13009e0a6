"""What could make a janitor delete the wrong thing, or leave the right one: each tried as it would come."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from contracts.batch import BatchKey
from contracts.offsets import OffsetRange
from tests.stack.lake import BUCKET, DEAD_BY_EPOCH, DEAD_BY_OFFSET, EVERYTHING, LIVE, SESSION, Lake, readme
from tests.stack.throttle import throttled

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(
    ("section", "values", "code", "complaint"),
    [
        ("s3", {"bucket": "somebody-elses"}, 3, "bucket 'janitor-lake' there, 'somebody-elses' in the settings"),
        (None, {"pipeline": "another"}, 3, "'another' in the settings"),
        *(
            pytest.param(*values, marks=pytest.mark.long)
            for values in (
                ("s3", {"bucket": "no-such-bucket"}, 2, "NoSuchBucket"),
                ("s3", {"prefix": "elsewhere"}, 3, "'elsewhere' in the settings"),
                ("redshift", {"schema": "tidemark_of_others"}, 3, "there is no ledger in schema tidemark_of_others"),
                (None, {"state_shards": 2}, 3, "shards 1 there, 2 in the settings"),
            )
        ),
    ],
)
def test_settings_of_another_pipeline_prove_nothing(
    lake: Lake, section: str | None, values: dict[str, Any], code: int, complaint: str
) -> None:
    client = lake.servers.s3.client()
    if "somebody-elses" not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket="somebody-elses")
    # The same batches lie there, so that there is something to delete by mistake.
    for bucket, prefix in ((BUCKET, "elsewhere"), ("somebody-elses", f"lake-{lake.name}")):
        for word in (DEAD_BY_EPOCH, DEAD_BY_OFFSET):
            client.put_object(Bucket=bucket, Key=f"{prefix}/{lake.key(word).data}", Body=b"PAR1")
    lake.change(section, **values)
    for command in (("orphans", "--all-tables", "--all", "--yes"), ("--yes",), ("clean", "--all-tables", "--pattern", "*", "--yes")):
        assert complaint in lake.run(*command, code=code).stderr
    assert lake.words() == EVERYTHING | {readme(lake)}
    for bucket, prefix in ((BUCKET, "elsewhere"), ("somebody-elses", f"lake-{lake.name}")):
        assert client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{lake.name}.")["KeyCount"] == 2


@pytest.mark.long
def test_ages_that_are_no_ages_are_refused_and_none_is_all_that_is_proven(lake: Lake) -> None:
    for age in ("-1h", "2030-01-01", "tomorrow", "inf", "nan"):
        assert "not a duration" in lake.run("orphans", "-t", "shop.orders", f"--older-than={age}", code=2).stderr
    assert lake.words() == EVERYTHING | {readme(lake)}
    lake.run("orphans", "-t", "shop.orders", "--older-than", "100000d", code=0)
    assert lake.words() == EVERYTHING | {readme(lake)}
    lake.wait_for_age()
    lake.run("orphans", "-t", "shop.orders", "--older-than", "0s", code=0)
    assert lake.words() == EVERYTHING - {"epoch", "offset"} | {readme(lake)}


def hostile(lake: Lake) -> list[str]:
    """Names near enough to a batch's to be taken for one, and names that do things to shells, terminals and paths."""
    dead = lake.key(DEAD_BY_EPOCH)
    folder, _, name = dead.data.rpartition("/")
    other = BatchKey(f"{lake.name}.shop.lines", 0, SESSION, 1, OffsetRange(0, 10), 1, "0a0a0a0a")
    return [
        dead.data.upper().replace(lake.name.upper(), lake.name),
        f"{dead.data}.bak",
        f"{dead.stem}.bak",
        f"{dead.stem}.parquet ",
        f"{dead.stem}",
        dead.data.replace("_e00000001_", "_e1_"),
        dead.data.replace("20250814", "20251399"),
        dead.data.replace("/00000/", "/0/"),
        dead.data.replace("/00000/", "/00000/../00000/"),
        f"{folder}/orders; rm -rf ~.parquet",
        f"{folder}/$(reboot).manifest",
        f"{folder}/\x1b[2J\x07.parquet",
        f"{folder}/%2e%2e%2f{name}",
        f"{folder}/{'ä' * 200}.parquet",
        f"{folder}/💾+a b&c=d?e#f",
        f"{lake.name}.shop.orders/{other.data}",
    ]


@pytest.mark.long
def test_hostile_names_are_foreign_left_alone_and_told_without_effect(lake: Lake) -> None:
    names = hostile(lake)
    for name in names:
        lake.put_key(name)
    lake.wait_for_age()
    lake.change("s3", keep_committed_seconds=1)
    listed = lake.run("list", "--all-tables", "--state", "foreign", "--json", code=0).stdout.splitlines()
    assert {orjson.loads(line)["key"] for line in listed} == {*names, "readme.txt"}
    text = lake.run("list", "--all-tables", "--state", "foreign", code=0).stdout
    assert len(text.splitlines()) == len(names) + 1
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    lake.run("orphans", "--all-tables", "--all", "--yes", code=0)
    lake.run("clean", "--all-tables", "--pattern", "*", "--yes", code=0)
    lake.run("--yes", code=0)
    live = lake.key(LIVE)
    assert lake.keys() == {live.data, live.manifest, "readme.txt", *names}


@pytest.mark.long
def test_two_janitors_at_once_remove_the_same_and_both_end_well(lake: Lake) -> None:
    lake.change("s3", keep_committed_seconds=1)
    lake.wait_for_age()

    def run(command: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        return lake.run(*command, code=0)

    with ThreadPoolExecutor(3) as pool:
        orphans, clean, sweep = pool.map(run, (("orphans", "--all-tables", "--all"), ("clean", "--all-tables", "--pattern", "*"), ()))
    assert lake.words() == {"live", readme(lake)}
    assert lake.marked() == {"held", "newer"}
    # What was gone already counts as deleted: who asked finds what he asked for.
    assert "left" not in orphans.stderr + clean.stderr + sweep.stderr


@pytest.mark.long
def test_throttled_deletes_are_tried_again(lake: Lake) -> None:
    with throttled(lake.servers.s3.endpoint_url) as throttle:
        throttle.refuse = 3
        lake.change("s3", endpoint_url=throttle.url)
        assert lake.run("orphans", "-t", "shop.orders", "--all", code=0).stderr == "deleted 2 orphans, 12 B\n"
        assert throttle.refused == 3
    assert lake.words() == EVERYTHING - {"epoch", "offset"} | {readme(lake)}


@pytest.mark.long
def test_a_bucket_that_only_throttles_ends_the_command_and_the_next_one_finishes(lake: Lake) -> None:
    with throttled(lake.servers.s3.endpoint_url) as throttle:
        throttle.refuse = 1000
        lake.change("s3", endpoint_url=throttle.url)
        done = lake.run("orphans", "-t", "shop.orders", "--all", code=1)
        assert "S3 answers SlowDown" in done.stderr
        assert lake.words() == EVERYTHING | {readme(lake)}
        throttle.refuse = 0
        lake.run("orphans", "-t", "shop.orders", "--all", code=0)
    assert lake.words() == EVERYTHING - {"epoch", "offset"} | {readme(lake)}


@pytest.mark.long
def test_in_a_versioned_bucket_what_was_deleted_is_gone_from_the_list_and_can_be_had_back(lake: Lake) -> None:
    client = lake.servers.s3.client()
    bucket = "janitor-versions"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for word in (DEAD_BY_EPOCH, DEAD_BY_OFFSET):
        client.put_object(Bucket=bucket, Key=f"lake-{lake.name}/{lake.key(word).data}", Body=b"PAR1")
    lake.sql(f"UPDATE {lake.schema}.pipeline SET bucket = '{bucket}'")
    lake.change("s3", bucket=bucket)
    lake.run("orphans", "-t", "shop.orders", "--all", code=0)
    assert lake.run("orphans", "-t", "shop.orders", code=0).stdout == ""
    versions = client.list_object_versions(Bucket=bucket, Prefix=f"lake-{lake.name}/")
    assert len(versions["Versions"]) == len(versions["DeleteMarkers"]) == 2
