"""What nobody asks the ledger for any more: batches whose objects are gone, and values in quarantine that were mended.

The last batch of each topic stays whatever its age: the janitor tells by it under which id a topic was loaded, and by an empty ledger that
it is somebody else's.
"""

from collections.abc import Iterator
from datetime import datetime

from loader.core.statements import CommitTables, Statement, utc


def trimming(before: datetime, tables: CommitTables) -> Iterator[Statement]:
    """What was committed, or mended, before then."""
    ledger, limit = tables.named("ledger"), (utc(before),)
    yield Statement(
        f"DELETE FROM {ledger} WHERE committed_at < %s AND (object_deleted_at IS NOT NULL OR manifest_key = '')"
        f" AND committed_at NOT IN (SELECT MAX(committed_at) FROM {ledger} GROUP BY topic)",
        limit,
    )
    yield Statement(f"DELETE FROM {tables.named('quarantine')} WHERE closed_at < %s", limit)
