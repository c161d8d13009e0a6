"""How much memory: the peak of the loader's process, beside what its settings allow."""

import random

from benchmarks import workloads
from benchmarks.churn import Churn, narrow
from benchmarks.loader.throughput import Filled, line, run, to_kafka
from benchmarks.memorylimit import MemoryLimit
from benchmarks.servers import Servers
from benchmarks.workloads import Column
from contracts.topics import Topics

LIMIT = MemoryLimit(beside_bytes=150_000_000)
PUT_DELAY_S = 3.0
_BACKLOG = 3_000_000
_LARGE_ROWS = 1_000
_LARGE_BYTES = 1_000_000
_LARGE = (Column("id", "BIGINT NOT NULL", "id"), Column("qty", "INT NOT NULL", "0"), Column("image", "LONGBLOB", "NULL"))


def measure(servers: Servers, scale: float) -> dict[str, int]:
    """The loader's peak in bytes, by what strained it. Raises Wrong."""
    backlog = narrow("backlog", max(1000, round(_BACKLOG * scale)))
    servers.say(f"memory: {backlog.keys:,} inserts, 10 columns: writing")
    backlog.create(servers)
    filled = to_kafka(servers, backlog, backlog.fill(servers).rows)
    peaks = {"backlog": _peak(servers, filled, "backlog"), "slow_s3": _peak(servers, filled, "slow_s3", PUT_DELAY_S)}
    servers.forget(Topics(filled.name))
    large = Churn("large", max(10, round(_LARGE_ROWS * scale)), _LARGE)
    servers.say(f"memory: {large.keys:,} rows of {_LARGE_BYTES:,} bytes: writing")
    large.create(servers)
    _fill_large(servers, large)
    filled = to_kafka(servers, large, large.keys)
    peaks["large_rows"] = _peak(servers, filled, "large_rows")
    servers.forget(Topics(filled.name))
    return peaks


def _peak(servers: Servers, filled: Filled, part: str, put_delay_s: float = 0.0) -> int:
    measured = run(servers, filled, servers.pipeline(filled.name, directory=f"memory-{part}"), put_delay_s=put_delay_s)
    servers.say(f"  {part:10s}  {line(measured)}")
    servers.say(f"  {part:10s}  {LIMIT.verdict(measured.rss_peak_bytes)}")
    servers.empty_bucket()
    return measured.rss_peak_bytes


def _fill_large(servers: Servers, large: Churn) -> None:
    """Bytes that do not compress, ten rows a transaction. Text of that length would not fit into any column of the warehouse."""
    noise = random.Random(1)
    with workloads.quick_commits(servers), workloads.writing(servers) as connection, connection.cursor() as cursor:
        connection.autocommit(False)
        for number in range(1, large.keys + 1):
            cursor.execute(f"INSERT INTO {large.table} VALUES (%s, 0, _binary %s)", (number, noise.randbytes(_LARGE_BYTES)))
            if number % 10 == 0 or number == large.keys:
                connection.commit()
