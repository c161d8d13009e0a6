from datetime import UTC, datetime

import pytest
import sqlfluff

from contracts.ledger import SHARDED, LedgerEntry, ledger_ddl
from contracts.offsets import OffsetRange


def entry(records: int, superseded: int, applied: int, quarantined: int) -> LedgerEntry:
    at = datetime(2025, 8, 14, tzinfo=UTC)
    counts = (records, superseded, applied, quarantined, 0)
    return LedgerEntry("0123abcd", "t", 0, "id", 1, OffsetRange(0, 9), *counts, "key", "sha", at)


def test_a_ledger_entry_accounts_for_every_record() -> None:
    assert entry(10, 3, 5, 2).records == 10
    for wrong in ((10, 3, 5, 1), (10, 3, 6, 2), (0, 0, 0, 1)):
        with pytest.raises(ValueError, match="records read"):
            entry(*wrong)


def test_each_shard_has_commit_tables_of_its_own_and_a_view_joins_them() -> None:
    statements = list(ledger_ddl('"tidemark"', 3))
    for table in SHARDED:
        for shard in range(3):
            assert sum(s.startswith(f'CREATE TABLE IF NOT EXISTS "tidemark".{table}_{shard} ') for s in statements) == 1
        (view,) = [s for s in statements if s.startswith(f'CREATE OR REPLACE VIEW "tidemark".{table} ')]
        assert [f'"tidemark".{table}_{shard} ' in view for shard in range(4)] == [True, True, True, False]


def test_the_ledgers_statements_are_redshifts_and_filled_in() -> None:
    for statement in ledger_ddl('"tidemark"', 1):
        assert "{" not in statement
        sqlfluff.parse(statement, dialect="redshift")
