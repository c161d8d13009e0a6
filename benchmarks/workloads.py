"""What is written to MySQL: tables, and the rows that fill them. The same rows every time, made by the server itself from numbers."""

import base64
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from benchmarks.servers import DATABASE, Servers
from contracts.table import TableId

ROWS_PER_TRANSACTION = 1000
TOOLS = "bench_tools"  # never captured, and its making is not in the binlog
LARGE_BYTES = 20_000_000
_WRITERS = 4  # connections that write single-row transactions


@dataclass(frozen=True, slots=True)
class Column:
    """A column, its type, and the SQL expression of its value in the row numbered `id`, from 1."""

    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Workload:
    """`rows` row changes of one table. `baseline_rows`: after how many the Python baseline is cut off, so that it takes a few seconds.
    `settings`: what the pipeline needs beside the defaults."""

    name: str
    title: str
    rows: int
    columns: Sequence[Column]
    fill: Callable[[Servers, "Workload"], None]
    baseline_rows: int = 0
    message_bytes_max: str | None = None

    @property
    def table(self) -> TableId:
        return TableId(DATABASE, self.name)

    def write(self, servers: Servers) -> None:
        """The workload, alone in the binlog."""
        servers.fresh_binlog()
        servers.execute(create_table(str(self.table), self.columns))
        # Writing is no part of what is measured.
        with quick_commits(servers):
            self.fill(servers, self)


def create_table(name: str, columns: Sequence[Column]) -> str:
    """Its first column is the primary key."""
    body = ", ".join(f"{column.name} {column.type}" for column in columns)
    return f"CREATE TABLE {name} ({body}, PRIMARY KEY ({columns[0].name})) CHARACTER SET utf8mb4"


def _hash(salt: int = 0) -> str:
    """A number from 0 to 2**32 - 1 that looks random."""
    return f"CAST(CRC32(id * 31 + {salt}) AS SIGNED)"


NARROW = (
    Column("id", "BIGINT NOT NULL", "id"),
    Column("qty", "INT", f"{_hash()} % 2000000 - 1000000"),
    Column("name", "VARCHAR(64)", f"CONCAT('customer name ', {_hash(1)} % 1000000, ' été')"),
    Column("price", "DECIMAL(12,2)", f"{_hash(2)} % 100000000 / 100 - 500000"),
    Column("status", "ENUM('new','paid','shipped','done')", f"ELT(1 + {_hash(3)} % 4, 'new', 'paid', 'shipped', 'done')"),
    Column("changed_at", "DATETIME(6)", "TIMESTAMP'2025-01-01 00:00:00' + INTERVAL id * 30000001 MICROSECOND"),
    Column("paid_at", "TIMESTAMP NULL", f"TIMESTAMP'2025-01-01 00:00:00' + INTERVAL {_hash(4)} % 30000000 SECOND"),
    Column(
        "doc",
        "JSON",
        f"JSON_OBJECT('sku', CONCAT('A', {_hash(5)} % 9999), 'n', id % 999, 'tags', JSON_ARRAY('x', 'y'), 'w', {_hash(6)} % 100000 / 1e3)",
    ),
    Column("flag", "TINYINT", "id % 256 - 128"),
    Column("note", "TEXT", f"IF(id % 2, NULL, CONCAT('a note with \"quotes\" and text ', {_hash(7)}))"),
)

# Three of each make 60.
_KINDS = (
    ("BIGINT NOT NULL", "id * 1000003 + {salt}"),
    ("INT", "{hash} % 2000000 - 1000000"),
    ("MEDIUMINT", "{hash} % 8000000 - 4000000"),
    ("SMALLINT UNSIGNED", "{hash} % 65536"),
    ("TINYINT", "{hash} % 256 - 128"),
    ("DECIMAL(18,4)", "{hash} / 1000 - 500000"),
    ("DECIMAL(9,2)", "IF(id % 3, {hash} % 1000000 / 100, NULL)"),
    ("FLOAT", "{hash} / 1024e0"),
    ("DOUBLE", "{hash} / 3e0"),
    ("VARCHAR(80)", "CONCAT('customer name ', {hash} % 1000000, ' été')"),
    ("CHAR(24)", "LEFT(SHA2(id + {salt}, 256), 20)"),
    ("TEXT", "IF(id % 2, NULL, CONCAT('a note with \"quotes\" and text ', {hash}))"),
    ("DATETIME(6)", "TIMESTAMP'2025-01-01 00:00:00' + INTERVAL id * 30000001 + {salt} MICROSECOND"),
    ("TIMESTAMP(3) NULL", "TIMESTAMP'2025-01-01 00:00:00' + INTERVAL {hash} % 30000000 SECOND"),
    ("DATE", "DATE'2000-01-01' + INTERVAL {hash} % 9000 DAY"),
    ("TIME(3)", "SEC_TO_TIME({hash} % 86400000 / 1000)"),
    (
        "JSON",
        "JSON_OBJECT('sku', CONCAT('A', {hash} % 10000), 'n', id % 1000, 'tags', JSON_ARRAY('x', 'y'), 'deep', JSON_OBJECT('a', TRUE))",
    ),
    ("BLOB", "UNHEX(SHA2(id + {salt}, 256))"),
    ("SET('red','green','blue','black')", "{hash} % 16"),
    ("BIT(12)", "{hash} % 4096"),
)
WIDE = (
    Column("id", "BIGINT NOT NULL", "id"),
    *(
        Column(f"c{number:02d}", type, value.format(salt=number, hash=_hash(number)))
        for number, (type, value) in enumerate((*_KINDS, *_KINDS, *_KINDS)[1:], start=1)
    ),
)
LARGE = (
    Column("id", "BIGINT NOT NULL", "id"),
    Column("version", "INT NOT NULL", "0"),
    Column("doc", "LONGTEXT", "NULL"),
    Column("image", "LONGBLOB", "NULL"),
)


def throughput(scale: float) -> dict[str, Workload]:
    """W1, W2 and W3, by name. At a scale of 1 they are the issue's."""
    w1 = max(1, round(1000 * scale)) * ROWS_PER_TRANSACTION
    w2 = max(_WRITERS * 10, round(200_000 * scale) // (_WRITERS * 10) * (_WRITERS * 10))
    w3 = max(1, round(100 * scale)) * ROWS_PER_TRANSACTION
    made = (
        Workload("w1", f"{w1:,} inserts, 10 columns, 1,000-row transactions", w1, NARROW, _thousands, min(60_000, w1)),
        Workload("w2", f"{w2:,} single-row transactions, insert/update/delete 50/40/10, 10 columns", w2, NARROW, _singles, min(15_000, w2)),
        Workload("w3", f"{w3:,} inserts, 60 mixed columns, 1,000-row transactions", w3, WIDE, _thousands, min(10_000, w3)),
    )
    return {workload.name: workload for workload in made}


def memory(scale: float) -> dict[str, Workload]:
    """What strains memory: one huge source transaction, and rows of 20 MB."""
    huge = max(1, round(2000 * scale)) * ROWS_PER_TRANSACTION
    made = (
        Workload("one_transaction", f"one transaction of {huge:,} rows, 10 columns", huge, NARROW, _at_once),
        Workload("large_rows", "6 rows of 20 MB, each inserted and updated", 12, LARGE, _large, message_bytes_max="64MiB"),
    )
    return {workload.name: workload for workload in made}


def make_numbers(servers: Servers) -> None:
    """0 to 999, for the server to make rows of."""
    values = ", ".join(f"({number})" for number in range(ROWS_PER_TRANSACTION))
    servers.execute(
        "SET SESSION sql_log_bin = 0",
        f"CREATE DATABASE IF NOT EXISTS {TOOLS}",
        f"CREATE TABLE IF NOT EXISTS {TOOLS}.numbers (n INT NOT NULL PRIMARY KEY)",
        f"REPLACE INTO {TOOLS}.numbers VALUES {values}",
    )


def insert(table: str, columns: Sequence[Column], ids: str, *, ignore: bool = False) -> str:
    """An INSERT of the rows that the query `ids` numbers; `ignore`: of those that are not there."""
    names = ", ".join(column.name for column in columns)
    values = ", ".join(column.value for column in columns)
    return f"INSERT {'IGNORE ' if ignore else ''}INTO {table} ({names}) SELECT {values} FROM ({ids}) AS numbered"


def _thousands(servers: Servers, workload: Workload) -> None:
    make_numbers(servers)
    with writing(servers) as connection, connection.cursor() as cursor:
        for before in range(0, workload.rows, ROWS_PER_TRANSACTION):
            cursor.execute(insert(str(workload.table), workload.columns, f"SELECT {before + 1} + n AS id FROM {TOOLS}.numbers"))


def _at_once(servers: Servers, workload: Workload) -> None:
    make_numbers(servers)
    thousands = workload.rows // ROWS_PER_TRANSACTION
    with writing(servers) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION cte_max_recursion_depth = 1000000")
        blocks = f"WITH RECURSIVE blocks (b) AS (SELECT 0 UNION ALL SELECT b + 1 FROM blocks WHERE b + 1 < {thousands})"
        ids = f"{blocks} SELECT b * {ROWS_PER_TRANSACTION} + n + 1 AS id FROM blocks CROSS JOIN {TOOLS}.numbers"
        cursor.execute(insert(str(workload.table), workload.columns, ids))


def _singles(servers: Servers, workload: Workload) -> None:
    """Several connections at once, each calling a procedure, for commits by the thousand a second: groups of ten transactions, insert
    and update four times over, then insert and delete."""
    names = ", ".join(column.name for column in workload.columns)
    values = ", ".join(column.value for column in workload.columns)
    insert = f"INSERT INTO {workload.table} ({names}) SELECT {values} FROM (SELECT next_id AS id) AS numbered; SET next_id = next_id + 1"
    update = f"UPDATE {workload.table} SET qty = qty + 1, note = CONCAT('changed ', id), changed_at = changed_at + INTERVAL 1 SECOND"
    body = "; ".join([*[insert, f"{update} WHERE id = next_id - 1"] * 4, insert, f"DELETE FROM {workload.table} WHERE id = next_id - 1"])
    servers.execute(
        "SET SESSION sql_log_bin = 0",
        f"CREATE DATABASE IF NOT EXISTS {TOOLS}",
        f"DROP PROCEDURE IF EXISTS {TOOLS}.singles",
        f"CREATE PROCEDURE {TOOLS}.singles (next_id BIGINT, tens INT) BEGIN WHILE tens > 0 DO {body}; SET tens = tens - 1; END WHILE; END",
    )
    share = workload.rows // _WRITERS

    def write(first_id: int) -> None:
        with writing(servers) as connection, connection.cursor() as cursor:
            cursor.execute(f"CALL {TOOLS}.singles({first_id}, {share // 10})")

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(write, range(1, workload.rows + 1, share)))


def _large(servers: Servers, workload: Workload) -> None:
    """Text and bytes in turn; they do not compress. The envelope of an update holds the row twice, and bytes in it grow by a third."""
    count = workload.rows // 2
    with writing(servers) as connection, connection.cursor() as cursor:
        for number in range(1, count + 1):
            noise = random.Random(number)
            text = base64.b64encode(noise.randbytes(LARGE_BYTES * 3 // 4)).decode() if number % 2 else None
            bytes_ = None if number % 2 else noise.randbytes(LARGE_BYTES)
            cursor.execute(f"INSERT INTO {workload.table} VALUES (%s, 0, %s, %s)", (number, text, bytes_))
        for number in range(1, count + 1):
            cursor.execute(f"UPDATE {workload.table} SET version = 1 WHERE id = %s", (number,))


def quick_commits(servers: Servers) -> AbstractContextManager[None]:
    """Commits do not wait for the disk while the block runs."""
    return servers.global_settings(innodb_flush_log_at_trx_commit=2, sync_binlog=0, max_allowed_packet=256 << 20)


def writing(servers: Servers) -> Any:
    return servers.mysql.connect(init_command="SET SESSION time_zone = '+00:00'", read_timeout=1800)
