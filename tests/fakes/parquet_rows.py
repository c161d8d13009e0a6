"""What COPY makes of the loader's own Parquet, for tests that encode for real."""

import io
from typing import Any

import pyarrow.parquet as pq

from loader.core.plan import TargetTable
from loader.core.target import BARE, DELETED
from tests.fakes.warehouse import StagedRow


def rows_as_parquet(data: bytes, target: TargetTable) -> list[StagedRow]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return [_staged(row, target) for row in rows]


def _staged(row: dict[str, Any], target: TargetTable) -> StagedRow:
    deleted, bare = row.pop(DELETED, False), row.pop(BARE, False)
    key = tuple(row[name] for name in target.key) if target.mode.keyed else None
    return StagedRow(key, deleted, tuple(sorted(row.items())), bare)
