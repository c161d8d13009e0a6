"""A table's share of a micro-batch as the Parquet its staging table takes, with every record accounted for."""

import pyarrow.compute as pc

from contracts.errors import Invalid
from loader.core.parquet import encode_parquet
from loader.core.plan import EncodedBatch, Mode, TableBatch, TargetTable
from loader.core.target import BARE


def encode(batch: TableBatch, target: TargetTable) -> EncodedBatch:
    """The batch for the target's staging table: the last change of each key, in append mode every change.

    A TRUNCATE stages nothing and counts as applied; in append mode it is a row without values, like every other event.
    Raises Invalid when the target no longer suits the batch's schema: another key, a column the target lacks, or one whose type changed
    too far.
    """
    _check(batch, target)
    records = len(batch.changes)
    if target.mode.keyed and batch.truncate:
        return EncodedBatch(None, 0, records, 0, records, 0, 0)
    staged = batch.changes.staged(batch.schema, target)
    return EncodedBatch(
        parquet=encode_parquet(staged.table) if staged.table.num_rows else None,
        rows=staged.table.num_rows,
        records=records,
        superseded=staged.superseded,
        applied=records - staged.superseded - staged.unformed,
        quarantined=staged.unformed,
        values_nulled=len(staged.quarantine) - staged.unformed,
        quarantine=staged.quarantine,
        bare=target.mode is Mode.SOFT_DELETE and bool(pc.any(staged.table[BARE]).as_py()),
    )


def _check(batch: TableBatch, target: TargetTable) -> None:
    table, known = batch.schema.table, {column.source for column in target.columns}
    if missing := [column.name for column in batch.schema.columns if column.name not in known]:
        raise Invalid(f"table {table}: {target.schema}.{target.name} has no column for {missing}; add them before rows that hold them")
    keyed = {column.source for column in target.columns if column.name in target.key}
    if target.mode.keyed and (keyed != set(batch.schema.key) or not keyed):
        raise Invalid(
            f"table {table}: its key is {sorted(batch.schema.key)}, but {target.schema}.{target.name} is keyed by {sorted(keyed)};"
            f" drop the target table and snapshot it again"
        )
