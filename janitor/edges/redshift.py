"""The ledger in the warehouse: guard, fences, offsets and ledger of a topic in one snapshot.

A transaction sees one snapshot, taken at its first SELECT from a table, under either isolation level.
Source: Redshift guide, "Serializable isolation".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from redshift_connector.core import Connection

from contracts.errors import Invalid, OutcomeUnknown, Refused, Unavailable
from contracts.ledger import Guard
from contracts.offsets import OffsetRange
from contracts.sql import qualified
from janitor.core.snapshot import BatchId, LedgerBatch, PartitionOffset, TopicSnapshot
from runtime.connect.redshift import BROKEN

OWNER = "janitor --fence"
MARKED_AT_ONCE = 1000
OFFSET_MAX = 2**63 - 1

Query = Callable[..., list[Any]]


class RedshiftLedger:
    """Fits `ports.Ledger` over one session, opened when first needed and again after it broke."""

    def __init__(self, connect: Callable[[], Connection], schema: str) -> None:
        """`connect`: a new session without autocommit; raises Unavailable, Invalid."""
        self._connect = connect
        self._schema = schema
        self._connection: Connection | None = None

    def topics(self) -> Mapping[str, str]:
        with self._transaction() as query:
            return dict(query(f"SELECT topic, source_table FROM {self._named('offsets')}"))

    def snapshot(self, topic: str, since: int | None) -> TopicSnapshot:
        with self._transaction() as query:
            guards = query(f"SELECT id, bucket, prefix, cluster_id, shards FROM {self._named('pipeline')}")
            fences = query(f"SELECT shard, epoch FROM {self._named('fence')}")
            offsets = query(f'SELECT shard, "partition", topic_id, next_offset FROM {self._named("offsets")} WHERE topic = %s', (topic,))
            batches = query(
                'SELECT shard, batch_id, "partition", epoch, start_offset, end_offset, committed_at, object_deleted_at'
                f" FROM {self._named('ledger')} WHERE topic = %s AND (object_deleted_at IS NULL OR start_offset >= %s)",
                (topic, OFFSET_MAX if since is None else since),
            )
            newest = query(
                f"SELECT topic_id FROM {self._named('ledger')} WHERE topic = %s ORDER BY epoch DESC, start_offset DESC LIMIT 1", (topic,)
            )
            ledger_empty = not newest and not query(f"SELECT batch_id FROM {self._named('ledger')} LIMIT 1")
        for name, rows, unique in (("pipeline", guards, 1), ("fence", fences, len({row[0] for row in fences}))):
            if len(rows) > unique:
                raise Refused(f"{self._named(name)} holds rows it must hold once only; nothing is proven and nothing was deleted")
        if len({row[1] for row in offsets}) != len(offsets):
            raise Refused(f"two shards hold offsets of topic {topic}; nothing is proven and nothing was deleted", topic=topic)
        return TopicSnapshot(
            topic=topic,
            guard=Guard(*guards[0]) if guards else None,
            epochs={int(shard): int(epoch) for shard, epoch in fences},
            offsets={int(partition): PartitionOffset(int(shard), topic_id, int(at)) for shard, partition, topic_id, at in offsets},
            batches={batch.id: batch for batch in map(_batch, batches)},
            newest_topic_id=newest[0][0] if newest else None,
            ledger_empty=ledger_empty,
        )

    def bump_epoch(self, shard: int, above: int = 0) -> int:
        table = self._named(f"fence_{shard}")
        with self._transaction(commits=True) as query:
            query(f"UPDATE {table} SET epoch = GREATEST(epoch, %s) + 1, owner = %s WHERE shard = %s", (above, OWNER, shard))
            rows = query(f"SELECT epoch FROM {table} WHERE shard = %s", (shard,))
            if len(rows) != 1:
                raise Refused(f"{table} has {len(rows)} rows for shard {shard}; it must have one", shard=shard)
        return int(rows[0][0])

    def mark_deleted(self, topic: str, batches: Sequence[LedgerBatch], at: datetime) -> None:
        for shard in sorted({batch.shard for batch in batches}):
            ids = [batch.id.nonce for batch in batches if batch.shard == shard]
            for start in range(0, len(ids), MARKED_AT_ONCE):
                some = ids[start : start + MARKED_AT_ONCE]
                marks = ", ".join(["%s"] * len(some))
                with self._transaction(commits=True) as query:
                    query(
                        f"UPDATE {self._named(f'ledger_{shard}')} SET object_deleted_at = %s"
                        f" WHERE topic = %s AND object_deleted_at IS NULL AND batch_id IN ({marks})",
                        (at.astimezone(UTC).replace(tzinfo=None), topic, *some),
                    )

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*BROKEN):  # the session is gone either way
                connection.close()

    def _named(self, table: str) -> str:
        return qualified(self._schema, table)

    @contextmanager
    def _transaction(self, commits: bool = False) -> Iterator[Query]:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        sent = False
        try:
            cursor = connection.cursor()

            def query(sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
                cursor.execute(sql, values)
                return list(cursor.fetchall()) if cursor.description else []

            yield query
            sent = commits
            connection.commit() if commits else connection.rollback()
        except BROKEN as error:
            # A session that answered with an error would roll back; one that broke is of no use. Either way the next one is new.
            self.close()
            raise self._translated(error, sent) from error
        except BaseException:
            self.close()
            raise

    def _translated(self, error: Exception, sent: bool) -> Exception:
        fields: dict[str, Any] = next((arg for arg in error.args if isinstance(arg, dict)), {})
        code, text = str(fields.get("C", "")), str(fields.get("M", error))
        if code in ("42P01", "3F000"):
            return Refused(
                f"there is no ledger in schema {self._schema} ({text}): no loader has made it, or redshift.schema is wrong", code=code
            )
        if code == "42501":
            return Invalid(f"the warehouse refuses it: {text}; grant what deploy/redshift/grants.sql gives the janitor", code=code)
        if sent and not fields:
            return OutcomeUnknown("the warehouse's answer to COMMIT was lost; ask again, repeating is safe")
        return Unavailable(f"the warehouse: {text}", code=code)


def _batch(row: Sequence[Any]) -> LedgerBatch:
    shard, nonce, partition, epoch, start, stop, committed_at, deleted_at = row
    return LedgerBatch(
        id=BatchId(int(partition), OffsetRange(int(start), int(stop)), int(epoch), nonce),
        shard=int(shard),
        committed_at=committed_at.replace(tzinfo=UTC),
        object_deleted_at=deleted_at and deleted_at.replace(tzinfo=UTC),
    )
