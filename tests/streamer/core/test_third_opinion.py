"""mysql-replication's decoder beside ours, on the types it is known to read right."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import WriteRowsEvent

from devstack.mysql import MysqlServer
from tests.streamer.core.recording import after_images, binlog_end, record

pytestmark = pytest.mark.stack


def test_mysql_replication_reads_the_same_rows(server: MysqlServer) -> None:
    file, offset = binlog_end(server)
    ours = after_images(
        record(
            server,
            [
                "CREATE DATABASE IF NOT EXISTS o",
                "CREATE TABLE o.t (id INT PRIMARY KEY, n BIGINT UNSIGNED, d DECIMAL(20,5), x DOUBLE, t DATETIME(6), "
                "day DATE, v VARCHAR(20), l VARCHAR(20) CHARACTER SET latin1, b BLOB, e ENUM('a','b'))",
                "INSERT INTO o.t VALUES (1, 18446744073709551615, -123.45, 1.5, '2024-02-29 01:02:03.000004', "
                "'1969-12-31', '😀', 'é', x'00FF', 'b'), (-2147483648, 0, 0, -0.1, '1000-01-01', '9999-12-31', '', '', '', NULL)",
            ],
        )
    )
    reader = BinLogStreamReader(
        connection_settings={"host": server.host, "port": server.port, "user": server.user, "passwd": server.password},
        server_id=4712,
        log_file=file,
        log_pos=offset,
        resume_stream=True,
        only_events=[WriteRowsEvent],
    )
    try:
        theirs = [row["values"] for event in reader for row in event.rows]
    finally:
        reader.close()

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert len(ours) == len(theirs) == 2
    for our, their in zip(ours, theirs, strict=True):
        for name in ("id", "x", "v", "l", "e"):
            assert our[name] == their[name]
        assert int(str(our["n"])) == their["n"]
        assert Decimal(str(our["d"])) == their["d"]
        assert (their["t"].replace(tzinfo=UTC) - epoch) // timedelta(microseconds=1) == our["t"]
        assert (their["day"] - epoch.date()).days == our["day"]
    assert ours[0]["b"] == "AP8="
    assert theirs[0]["b"] == b"\x00\xff"
