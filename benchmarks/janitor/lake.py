"""One table's batches, and the ledger that holds most of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.batch import BatchKey
from contracts.ledger import cluster_id, ledger_ddl
from contracts.offsets import OffsetRange
from contracts.sql import quote
from devstack.warehouse import RedshiftStandIn

PIPELINE, TABLE, BUCKET, PREFIX, SCHEMA = "bench", "shop.orders", "bench-lake", "lake", "tidemark"
TOPIC = f"{PIPELINE}.{TABLE}"
SESSION = datetime(2026, 11, 20, 15, 3, 12, tzinfo=UTC)
EPOCH = 3
ROWS = 1000  # a batch
HISTORY = 2**18
"""Batches before those in the bucket, whose objects are gone: three months of a table that is loaded every half a minute."""
_INSERTED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Lake:
    """`attempts`, each of a data object and a manifest. Of ten one is an orphan by its epoch, one by its offsets; the last hundred are in
    flight; the ledger holds the others, and all that came before."""

    attempts: int

    @property
    def committed(self) -> range:
        return range(self.attempts - 100)

    @property
    def next_offset(self) -> int:
        return (HISTORY + len(self.committed)) * ROWS

    def keys(self) -> Iterator[str]:
        for number in range(self.attempts):
            key = self.key(number)
            yield f"{PREFIX}/{key.manifest}"
            yield f"{PREFIX}/{key.data}"

    def key(self, number: int) -> BatchKey:
        epoch = EPOCH - 1 if number % 10 == 0 and number in self.committed else EPOCH
        start = (HISTORY + number) * ROWS
        return BatchKey(TOPIC, 0, SESSION, number, OffsetRange(start, start + ROWS), epoch, f"{number:08x}")

    @property
    def orphans(self) -> int:
        return sum(number % 10 < 2 for number in self.committed)

    def write_ledger(self, server: RedshiftStandIn) -> None:
        with server.connect(ssl=False) as connection:
            connection.autocommit = True
            cursor = connection.cursor()

            def execute(sql: str, *values: Any) -> None:
                cursor.execute(sql, values)

            for statement in ledger_ddl(quote(SCHEMA), 1):
                execute(statement)
            now = datetime.now(UTC).replace(tzinfo=None)
            cluster = cluster_id(server.host, server.port, server.database)
            execute(f"INSERT INTO {SCHEMA}.fence_0 VALUES (0, {EPOCH}, 9, 'loader', 0, 0, '', FALSE, 0)")
            execute(f"INSERT INTO {SCHEMA}.pipeline VALUES (%s, %s, %s, %s, 1, %s)", PIPELINE, BUCKET, PREFIX, cluster, now)
            execute(
                f"INSERT INTO {SCHEMA}.offsets_0 VALUES (%s, 0, 'A', %s, %s, 'ok', 0, %s, %s, '', FALSE)",
                TOPIC,
                self.next_offset,
                self.next_offset,
                TABLE,
                TABLE,
            )
            execute(
                f"INSERT INTO {SCHEMA}.ledger_0 VALUES"
                f" ('ffffffff', '{TOPIC}', 0, 'A', 1, 0, {ROWS}, {ROWS}, 0, {ROWS}, 0, 0, '', '', %s, %s)",
                now,
                now,
            )
            held = 1
            while held < HISTORY:
                execute(
                    f'INSERT INTO {SCHEMA}.ledger_0 SELECT batch_id, topic, "partition", topic_id, epoch, start_offset + {held * ROWS},'
                    f" end_offset + {held * ROWS}, records, superseded, applied, quarantined, values_nulled, manifest_key, manifest_sha256,"
                    f" committed_at, object_deleted_at FROM {SCHEMA}.ledger_0"
                )
                held *= 2
            kept = [self.key(number) for number in self.committed if number % 10 >= 2]
            for at in range(0, len(kept), _INSERTED_AT_ONCE):
                rows = ", ".join(
                    f"('{key.nonce}', '{TOPIC}', 0, 'A', {key.epoch}, {key.offsets.start}, {key.offsets.stop}, {ROWS}, 0, {ROWS}, 0, 0,"
                    f" '{PREFIX}/{key.manifest}', '', '{now:%Y-%m-%d %H:%M:%S}', NULL)"
                    for key in kept[at : at + _INSERTED_AT_ONCE]
                )
                execute(f"INSERT INTO {SCHEMA}.ledger_0 VALUES {rows}")
