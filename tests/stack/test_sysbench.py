"""A workload nobody here wrote: sysbench's oltp_write_only on four tables for a minute, rows equal at the end."""

import shutil
import subprocess
from pathlib import Path

import pytest

from devstack.pipeline import running_pipeline
from devstack.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.long]


@pytest.mark.timeout(420)
def test_a_minute_of_oltp_write_only_is_equal(stack: Stack, tmp_path: Path) -> None:
    sysbench = shutil.which("sysbench")
    if sysbench is None:
        pytest.skip("sysbench is not installed: apt-get install sysbench")
    mysql = stack.mysql
    with mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE sbtest")
        cursor.execute("CREATE USER sb@'%' IDENTIFIED WITH caching_sha2_password BY 'sb'")
        cursor.execute("GRANT ALL ON sbtest.* TO sb@'%'")
    command = [
        sysbench, "oltp_write_only", "--tables=4", "--table-size=5000", "--threads=2", "--rate=150", "--time=60",
        f"--mysql-host={mysql.host}", f"--mysql-port={mysql.port}", "--mysql-user=sb", "--mysql-password=sb",
    ]  # fmt: skip
    subprocess.run([*command, "prepare"], check=True, capture_output=True, text=True)
    settings = {"redshift": {"schema": "tidemark_sysbench"}, "s3": {"prefix": "lake-sysbench"}}
    with running_pipeline(stack, tmp_path, name="sysbench", tables=["sbtest.*"], settings=settings) as pipeline:
        pipeline.start("streamer")
        pipeline.start("loader")
        report = subprocess.run([*command, "run"], check=True, capture_output=True, text=True).stdout
        assert "transactions:" in report
        tables = [f"--table=sbtest.sbtest{number}" for number in range(1, 5)]
        done = pipeline.run("auditor", "verify", "--patience=120s", *tables, timeout_s=240)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        print(done.stdout)
