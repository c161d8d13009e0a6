"""The real servers: they start, answer, survive a kill, and leave nothing behind."""

import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic
from pymysql.constants import COMMAND

from contracts.errors import Refused
from devstack.mysql import MysqlServer
from devstack.stack import Stack, running_stack
from devstack.versions import HERE

pytestmark = pytest.mark.stack


def processes_naming(*words: str) -> list[str]:
    """Command lines of live processes that hold one of the words, our own left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(word in line for word in words) and int(entry.name) != os.getpid():
            found.append(line)
    return found


@pytest.fixture(autouse=True)
def _native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_STACK", "native")


@pytest.mark.long
def test_every_server_answers_keeps_its_data_over_a_kill_and_leaves_no_process(tmp_path: Path) -> None:
    with running_stack(tmp_path / "stack") as stack:
        traces = [str(stack.directory), str(stack.redshift.data)]
        assert len(processes_naming(*traces)) > 4

        with stack.mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@log_bin, @@gtid_mode, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@sync_binlog")
            assert cursor.fetchone() == (1, "ON", "ROW", "FULL", "FULL", 1)
            cursor.execute("CREATE DATABASE shop")
            cursor.execute("CREATE TABLE shop.t (id INT PRIMARY KEY)")
            cursor.execute("INSERT INTO shop.t VALUES (1), (2)")
        stack.mysql.create_capture_user("capture", "secret")
        with (
            stack.mysql.connect(
                user="capture", password="secret", ssl={"ca": str(stack.mysql.ca_file), "check_hostname": False}
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SHOW BINARY LOG STATUS")
            assert cursor.fetchone() is not None
            cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            row = cursor.fetchone()
            assert row is not None
            assert row[1], "the server offers TLS without further set-up"

        admin = stack.kafka.admin()
        admin.create_topics([NewTopic("rows", 1, 1)])["rows"].result(30)
        stack.s3.client().create_bucket(Bucket="lake")
        stack.s3.client().put_object(Bucket="lake", Key="a", Body=b"1")
        assert stack.s3.client().get_object(Bucket="lake", Key="a")["Body"].read() == b"1"
        with stack.redshift.connect(ssl=False) as warehouse, warehouse.cursor() as cursor:
            cursor.execute("CREATE TABLE landed (id INTEGER)")
            cursor.execute("INSERT INTO landed VALUES (7)")
            warehouse.commit()
        assert stack.redshift.ca_file.read_text().startswith("-----BEGIN CERTIFICATE-----")
        assert "landed" in stack.redshift.journal_path.read_text()

        for server in (stack.mysql, stack.kafka, stack.redshift):
            server.kill9()
            assert not server.alive()
            assert not server.answers()
            server.start()
        with stack.mysql.connect("shop") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM t")
            assert cursor.fetchone() == (2,)
        assert "rows" in stack.kafka.admin().list_topics(timeout=10).topics
        producer = Producer({"bootstrap.servers": stack.kafka.bootstrap_servers})
        producer.produce("rows", b"after the kill")
        assert producer.flush(30) == 0
        with stack.redshift.connect(ssl=False) as warehouse, warehouse.cursor() as cursor:
            cursor.execute("SELECT id FROM landed")
            assert list(cursor.fetchone()) == [7]

        with pytest.raises(Refused, match="a stack runs in"), running_stack(stack.directory, {"s3"}):
            pass
    assert processes_naming(*traces) == []
    assert not (tmp_path / "stack").exists()
    assert not Path(traces[1]).exists()


@pytest.mark.long
def test_a_second_mysql_has_its_own_uuid_and_the_settings_it_was_given(tmp_path: Path) -> None:
    uuids = set()
    for number, settings in ((1, {}), (2, {"binlog_row_image": "MINIMAL"}), (3, {"lower_case_table_names": 1})):
        server = MysqlServer(tmp_path / f"m{number}", server_id=number, settings=settings)
        server.start()
        try:
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT @@server_uuid, @@server_id, @@binlog_row_image, @@lower_case_table_names")
                row = cursor.fetchone()
            said = subprocess.run(server.command("mysql", "-NBe", "SELECT @@port"), capture_output=True, text=True, check=True).stdout
        finally:
            server.stop()
        assert row is not None
        uuids.add(row[0])
        assert row[1:] == (number, settings.get("binlog_row_image", "FULL"), settings.get("lower_case_table_names", 0))
        assert int(said) == server.port
    assert len(uuids) == 3


@pytest.mark.long
def test_a_purge_waits_for_a_reader_of_the_old_binlogs_to_go(tmp_path: Path) -> None:
    server = MysqlServer(tmp_path / "purged")
    server.start()
    try:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW BINARY LOG STATUS")
            file = str(cursor.fetchall()[0][0])
            cursor.execute("CREATE DATABASE gone")
            cursor.execute("CREATE TABLE gone.t (v LONGBLOB)")
            for _ in range(4):
                cursor.execute("INSERT INTO gone.t VALUES (REPEAT('x', 8 << 20))")  # more than a socket holds: who sends it stands still
            reader: Any = server.connect(init_command="SET @source_binlog_checksum = @@global.binlog_checksum")
            reader._execute_command(COMMAND.COM_BINLOG_DUMP, struct.pack("<IHI", 4, 0, 4711) + file.encode())
            reader._read_packet()
            leaving = threading.Timer(1, reader.close)
            leaving.start()
            server.purge_binlogs()
            assert not leaving.is_alive()
            cursor.execute("SHOW BINARY LOGS")
            assert len(cursor.fetchall()) == 1
    finally:
        server.stop()


def devstack(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "devstack", *arguments], cwd=HERE.parent, capture_output=True, text=True, check=False)


def test_up_outlives_its_command_mends_what_died_and_down_removes_all(tmp_path: Path) -> None:
    where = ("--dir", str(tmp_path / "stack"))
    try:
        first = devstack("up", "--only", "s3", "--json", *where)
        assert first.returncode == 0, first.stderr
        endpoint = json.loads(first.stdout)["servers"]["s3"]["endpoint"]
        assert f"export TIDEMARK__S3__ENDPOINT_URL={endpoint}\n" in devstack("env", *where).stdout

        Stack.attach(tmp_path / "stack").s3.kill9()
        broken = devstack("status", *where)
        assert (broken.returncode, broken.stdout.split()[:2]) == (1, ["s3", "down"])

        again = devstack("up", "--only", "s3", "--json", *where)
        assert json.loads(again.stdout)["servers"]["s3"] == {"up": True, "endpoint": endpoint, "log": str(tmp_path / "stack/s3/log")}
    finally:
        stopped = devstack("down", *where)
    assert stopped.returncode == 0, stopped.stderr
    assert not (tmp_path / "stack").exists()
    assert processes_naming(str(tmp_path)) == []
