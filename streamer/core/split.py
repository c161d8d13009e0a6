"""A source transaction too large for one Kafka transaction: its rows counted and hashed, so that it can be taken up again where it was
split."""

from xxhash import xxh3_128

from contracts.errors import Corrupt
from contracts.position import Gtid
from contracts.progress import InProgress


class SplitTransaction:
    """The captured rows of one source transaction, counted and hashed, so that it can be split over several Kafka transactions and taken
    up again. `before`: what the position says is out of it already."""

    def __init__(self, gtid: Gtid, before: InProgress | None = None) -> None:
        self.gtid = gtid
        self.rows = 0
        self._before = before
        self._hash = xxh3_128()  # against accidents, not against malice; it is computed for every row

    @property
    def next_is_out(self) -> bool:
        """Whether the next row is on Kafka already: take it, and hand it on no more."""
        return self._before is not None and self.rows < self._before.rows_done

    def take(self, row: bytes) -> None:
        """The next row, as bytes without anything that differs from run to run. Raises Corrupt when the rows up to where the transaction
        was split are not those that are out."""
        self._hash.update(row)
        self._hash.update(len(row).to_bytes(8, "big"))
        self.rows += 1
        held = self._before
        if held is not None and self.rows == held.rows_done and self._hash.hexdigest() != held.rows_hash:
            raise other_rows(held)

    def finish(self) -> None:
        """Its last row was taken. Raises Corrupt when it has fewer rows than are out."""
        if self._before is not None and self.rows < self._before.rows_done:
            raise too_few_rows(self._before, self.rows)

    def so_far(self) -> InProgress | None:
        """What is out once the rows taken are; None before the first."""
        if self._before is not None and self.rows < self._before.rows_done:
            return self._before
        return InProgress(self.gtid, self.rows, self._hash.hexdigest()) if self.rows else None


def other_rows(held: InProgress) -> Corrupt:
    """The error for a split transaction whose rows are not those that are out."""
    return Corrupt(
        f"transaction {held.gtid}: its first {held.rows_done} captured rows are on Kafka, but what the server sends now are "
        "other rows or in another order (another server, or other captured tables?); go back to the server and settings it was "
        "begun with",
        gtid=str(held.gtid),
        rows_done=held.rows_done,
    )


def too_few_rows(held: InProgress, rows: int) -> Corrupt:
    """The error for a split transaction that ends before the rows that are out."""
    return Corrupt(
        f"transaction {held.gtid}: {held.rows_done} of its rows are on Kafka, but the server now sends only {rows}",
        gtid=str(held.gtid),
        rows_done=held.rows_done,
    )
