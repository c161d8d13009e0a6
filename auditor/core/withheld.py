"""What the loader keeps from a target and has told: values and rows that do not fit, by the open entries of its quarantine."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from auditor.core.canonical import from_envelope
from auditor.core.diff import CanonicalRow, Key
from contracts.envelope import decode_key
from contracts.table import TableSchema


@dataclass(frozen=True, slots=True)
class Withheld:
    """One value that the target holds NULL for, or where `column` is None the whole row that it lacks, and why."""

    key: Key
    column: str | None
    reason: str


Entry = tuple[str, str | None, str]
"""Of the quarantine: the message key as it is kept there, the source's column, the reason."""


class Withholdings:
    """The open entries of one table. `met`: those that kept something from the target of the rows `expected` went through."""

    def __init__(self, schema: TableSchema, entries: Iterable[Entry]) -> None:
        self._schema = schema
        self._place = {column.name: at for at, column in enumerate(schema.columns)}
        self._by_key: dict[Key, dict[str | None, str]] = {}
        for row_key, column, reason in entries:
            if (key := self._key(row_key)) is not None and (column is None or column in self._place):
                self._by_key.setdefault(key, {})[column] = reason
        self.met: list[Withheld] = []

    def _key(self, text: str) -> Key | None:
        """None for a key that is cut, is of the table's former key, or is itself what does not fit: such a row is compared as any other."""
        try:
            named = decode_key(text.encode())
            if tuple(named) != self._schema.key:
                return None
            return tuple(from_envelope(self._schema.by_name[name])(value) for name, value in named.items())
        except (ValueError, TypeError, OverflowError):
            return None

    def columns(self, key: Key) -> Collection[str | None]:
        """Those of the key's row that have an entry."""
        return self._by_key.get(key, {}).keys()

    def expected(self, rows: Iterable[CanonicalRow]) -> Iterator[CanonicalRow]:
        """The source's rows as the target has to hold them."""
        self.met = []
        if not self._by_key:
            yield from rows
            return
        for row in rows:
            key = tuple(row[at] for at in self._schema.key_places)
            reasons = self._by_key.get(key)
            if reasons is None:
                yield row
            elif None in reasons:
                self.met.append(Withheld(key, None, reasons[None]))
            else:
                yield self._without(key, row, reasons)

    def _without(self, key: Key, row: CanonicalRow, reasons: Mapping[str | None, str]) -> CanonicalRow:
        kept: list[str | None] = list(row)
        for column, reason in reasons.items():
            if column is not None and kept[self._place[column]] is not None:
                kept[self._place[column]] = None
                self.met.append(Withheld(key, column, reason))
        return kept
