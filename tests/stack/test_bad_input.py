"""Bad input gets a clear error that names the thing and the fix, exit code 2, and nothing is touched. Each as a person would meet it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from redshift_connector.core import Connection

from devstack.mysql import MysqlServer
from devstack.pipeline import BUCKET, CAPTURE_PASSWORD, CAPTURE_USER, Pipeline
from devstack.stack import Stack
from tests.stack.scenario import query

pytestmark = pytest.mark.stack


@pytest.fixture
def pipeline(stack: Stack, tmp_path: Path) -> Pipeline:
    """A pipeline that would run: one table with a key, one without."""
    made = Pipeline(stack, tmp_path, name="badinput", tables=["badinput.*"], settings={"redshift": {"schema": "tidemark_badinput"}})
    made.prepare()
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS badinput")
        cursor.execute("CREATE TABLE IF NOT EXISTS badinput.keyed (id INT PRIMARY KEY)")
        cursor.execute("CREATE TABLE IF NOT EXISTS badinput.keyless (id INT)")
    return made


def change(pipeline: Pipeline, section: str, **values: Any) -> None:
    config = pipeline.config()
    config[section] = {**config.get(section, {}), **values}
    pipeline.config_path.write_text(yaml.safe_dump(config))


def assert_refused(pipeline: Pipeline, warehouse: Connection, command: list[str], *named: str, code: int = 2) -> None:
    """The command ends by itself with `code`, its message names each of `named`, and Kafka, warehouse and bucket hold nothing of it."""
    done = pipeline.run(*command, timeout_s=90)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    message = done.stderr.lower()
    assert all(word.lower() in message for word in named), done.stderr
    assert "traceback" not in message
    topics = pipeline.stack.kafka.admin().list_topics(timeout=10).topics
    assert not [topic for topic in topics if topic.startswith("badinput.")]
    assert query(warehouse, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'tidemark_badinput'") == [[0]]
    assert pipeline.stack.s3.client().list_objects_v2(Bucket=BUCKET, Prefix="tidemark/badinput.").get("KeyCount") == 0


@pytest.mark.parametrize("service", ["streamer", "loader", "janitor", "auditor"])
def test_an_unknown_key_names_its_nearest_neighbour(pipeline: Pipeline, warehouse: Connection, service: str) -> None:
    change(pipeline, "kafka", bootstrap_server="x:1")
    verb = {"auditor": ["verify"], "janitor": ["orphans", "--all-tables"]}.get(service, [])
    assert_refused(pipeline, warehouse, [service, *verb], "kafka.bootstrap_server", "did you mean bootstrap_servers")


def test_a_wrong_duration_in_the_settings_is_named(pipeline: Pipeline, warehouse: Connection) -> None:
    change(pipeline, "batch", seconds="soon")
    assert_refused(pipeline, warehouse, ["loader"], "batch.seconds", "soon")


@pytest.mark.parametrize("words", ["5 fortnights", "-1h", "1h30"])
def test_a_wrong_duration_on_the_command_line_is_named(pipeline: Pipeline, warehouse: Connection, words: str) -> None:
    assert_refused(pipeline, warehouse, ["janitor", "orphans", "-t", "badinput.keyed", f"--older-than={words}"], words)


@pytest.mark.long
@pytest.mark.parametrize("service", ["streamer", "loader"])
def test_an_unreachable_broker_is_named(pipeline: Pipeline, warehouse: Connection, service: str) -> None:
    change(pipeline, "kafka", bootstrap_servers="127.0.0.1:1")
    assert_refused(pipeline, warehouse, [service], "127.0.0.1:1", "kafka.bootstrap_servers")


@pytest.mark.parametrize("command", [["loader"], ["janitor", "orphans", "--all-tables"]])
def test_a_missing_bucket_is_named(pipeline: Pipeline, warehouse: Connection, command: list[str]) -> None:
    change(pipeline, "s3", bucket="no-such-bucket")
    assert_refused(pipeline, warehouse, command, "no-such-bucket", "s3.bucket")


def test_an_unreachable_bucket_endpoint_is_named(pipeline: Pipeline, warehouse: Connection) -> None:
    change(pipeline, "s3", endpoint_url="http://127.0.0.1:1")
    # It may be a wrong setting, or S3 that is away for a moment: whoever starts the loader again finds out.
    assert_refused(pipeline, warehouse, ["loader"], "127.0.0.1:1", "s3.endpoint_url", code=1)


def test_an_explicit_merge_of_a_table_without_a_key_is_refused(pipeline: Pipeline, warehouse: Connection) -> None:
    change(pipeline, "tables", override={"badinput.keyless": {"mode": "merge"}})
    assert_refused(pipeline, warehouse, ["streamer"], "badinput.keyless", "merge", "key")


@pytest.mark.parametrize("missing", ["REPLICATION SLAVE", "REPLICATION CLIENT", "SELECT"])
def test_a_missing_grant_is_named_with_the_statement_that_gives_it(pipeline: Pipeline, warehouse: Connection, missing: str) -> None:
    user = "poor" + missing.replace(" ", "").lower()
    have = [grant for grant in ("REPLICATION SLAVE", "REPLICATION CLIENT", "SELECT") if grant != missing]
    with pipeline.stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER IF NOT EXISTS {user}@'%' IDENTIFIED BY 'x'")
        cursor.execute(f"GRANT {', '.join(have)} ON *.* TO {user}@'%'")
    change(pipeline, "mysql", user=user, password="x")
    assert_refused(pipeline, warehouse, ["streamer"], f"GRANT {missing}", user)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"binlog_row_metadata": "MINIMAL"}, "SET PERSIST binlog_row_metadata = FULL"),
        pytest.param({"binlog_row_image": "MINIMAL"}, "SET PERSIST binlog_row_image = FULL", marks=pytest.mark.long),
        pytest.param({"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}, "gtid_mode", marks=pytest.mark.long),
        pytest.param({"skip_log_bin": 1}, "log_bin", marks=pytest.mark.long),
    ],
)
def test_a_server_set_up_wrong_is_named_with_the_statement_that_mends_it(
    pipeline: Pipeline, warehouse: Connection, tmp_path: Path, settings: dict[str, str | int], named: str
) -> None:
    server = MysqlServer(tmp_path / "other", server_id=77, settings=settings, name="mysql-wrong")
    server.start()
    try:
        server.create_capture_user(CAPTURE_USER, CAPTURE_PASSWORD)
        change(pipeline, "mysql", port=server.port)
        assert_refused(pipeline, warehouse, ["streamer"], named)
    finally:
        server.stop()


def test_a_first_run_on_a_server_that_has_purged_binlogs_is_refused(pipeline: Pipeline, warehouse: Connection, tmp_path: Path) -> None:
    server = MysqlServer(tmp_path / "purged", server_id=78, name="mysql-purged")
    server.start()
    try:
        server.create_capture_user(CAPTURE_USER, CAPTURE_PASSWORD)
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE badinput")
        server.purge_binlogs()
        config = pipeline.config()
        config["mysql"]["port"] = server.port
        config["streamer"] = {"snapshot": "never"}
        pipeline.config_path.write_text(yaml.safe_dump(config))
        assert_refused(pipeline, warehouse, ["streamer"], "purged", "initial", code=3)
    finally:
        server.stop()


@pytest.mark.parametrize(
    "command",
    [["streamer", "--from-timestmap", "2h"], ["janitor", "orphans"], ["janitor", "orphans", "-t", "nodot"], ["loader", "synch"]],
)
def test_wrong_usage_exits_2_with_the_usage(pipeline: Pipeline, warehouse: Connection, command: list[str]) -> None:
    assert_refused(pipeline, warehouse, command, "usage:")
