"""Two sides of a table, reduced to a digest a row, and the rows in which they differ."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from auditor.core.canonical import Canonical

Key = tuple[Canonical, ...]
CanonicalRow = Sequence[Canonical]  # in the order of the schema's columns


class Difference(StrEnum):
    MISSING = "missing in the warehouse"
    EXTRA = "only in the warehouse"
    UNEQUAL = "unequal"
    DUPLICATE = "more than once in the warehouse"
    AMBIGUOUS = "names more than one row in MySQL"


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One key, and how the sides differ on it. As evidence the rows themselves, and where both sides hold the row, the unequal columns."""

    key: Key
    difference: Difference
    source: CanonicalRow | None = None
    warehouse: CanonicalRow | None = None
    columns: tuple[str, ...] = ()

    def with_rows(
        self, source: CanonicalRow | None, warehouse: CanonicalRow | None, names: Sequence[str], withheld: Collection[str | None] = ()
    ) -> "RowDifference":
        """`withheld`: columns whose values the target is known to lack."""
        both = () if source is None or warehouse is None else zip(names, source, warehouse, strict=True)
        columns = tuple(name for name, a, b in both if a != b and name not in withheld)
        return replace(self, source=source, warehouse=warehouse, columns=columns)


@dataclass(frozen=True, slots=True)
class Side:
    """A table as one side holds it: digest by key, and the keys seen more than once."""

    digests: Mapping[Key, bytes]
    duplicates: frozenset[Key]
    rows: int

    @classmethod
    def of(cls, rows: Iterable[CanonicalRow], key: Sequence[int]) -> "Side":
        """`key`: positions of the key columns. Holds about 150 bytes a row."""
        digests: dict[Key, bytes] = {}
        duplicates: set[Key] = set()
        count = 0
        for row in rows:
            count += 1
            name = tuple(row[i] for i in key)
            if name in digests:
                duplicates.add(name)
            digests[name] = row_digest(row)
        return cls(digests, frozenset(duplicates), count)


def row_digest(row: CanonicalRow) -> bytes:
    """128 bits over every value and its length, so that no two different rows read alike. None differs from every text."""
    digest = hashlib.blake2b(digest_size=16)
    for value in row:
        if value is None:
            digest.update(b"\x00")
        else:
            data = value.encode("utf-8", "surrogatepass")
            digest.update(b"\x01%d:" % len(data))
            digest.update(data)
    return digest.digest()


def differences(source: Side, warehouse: Side) -> Iterator[RowDifference]:
    """Every key on which the sides differ, the last word on it being what counts; columns are not known from digests."""
    for key, digest in source.digests.items():
        found = warehouse.digests.get(key)
        if found is None:
            yield RowDifference(key, Difference.MISSING)
        elif found != digest:
            yield RowDifference(key, Difference.UNEQUAL)
    for key in warehouse.digests:
        if key not in source.digests:
            yield RowDifference(key, Difference.EXTRA)
    for key in warehouse.duplicates:
        yield RowDifference(key, Difference.DUPLICATE)
    # Of several rows one is loaded: whether it is the one whose digest is held says nothing.
    for key in source.duplicates:
        yield RowDifference(key, Difference.AMBIGUOUS)
