"""Row events → rows: dicts of JSON-ready values by column name, in column order.

Source: MySQL 9.7, libs/mysql/binlog/event/rows_event.h (Rows_event: bitmaps, images) and sql/rpl_record.cc (unpack_row, partial JSON).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from contracts.envelope import Value
from contracts.errors import Corrupt
from streamer.core.cursor import Cursor
from streamer.core.events import Change, RowsEvent
from streamer.core.jsondiff import updated_text
from streamer.core.schemas import TableMap
from streamer.core.storage import JSON
from streamer.core.values import Decode, Raw, compile_decoder

_PARTIAL_JSON = 1  # bit of a partial row's options: diffs may follow


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row before and after. `before` is None for an insert, `after` for a delete.

    A column the image does not hold (binlog_row_image MINIMAL or NOBLOB, or a JSON diff whose document it does not hold) has no key in
    the dict and is named in `absent_before` or `absent_after`: never None, which is NULL. A value of which JSON can carry nothing but
    null has its text in `raw_before` or `raw_after`."""

    change: Change
    before: dict[str, Value] | None
    after: dict[str, Value] | None
    raw_before: dict[str, str] = field(default_factory=dict)
    raw_after: dict[str, str] = field(default_factory=dict)
    absent_before: tuple[str, ...] = ()
    absent_after: tuple[str, ...] = ()


class _Column:
    """A column's place in the image loop."""

    __slots__ = ("decode", "json", "name", "prefix")

    def __init__(self, name: str, decode: Decode, json: bool, prefix: int) -> None:
        self.name = name
        self.decode = decode
        self.json = json
        self.prefix = prefix


class RowDecoder:
    """Decodes the rows of one table map; make it once and keep it with the map. Raises as `TableMap.columns` does."""

    def __init__(self, table_map: TableMap) -> None:
        self.table_map = table_map
        self._columns = [
            _Column(stored.column.name, compile_decoder(stored), stored.storage.type == JSON, stored.storage.size)
            for stored in table_map.columns
        ]
        self._json_count = sum(column.json for column in self._columns)
        self._plans: dict[bytes, tuple[list[tuple[int, _Column]], tuple[str, ...]]] = {}

    def rows(self, event: RowsEvent) -> Iterator[RowChange]:
        """The rows of an event, in order. Raises Corrupt naming table, row and column: what the bytes are not."""
        if event.width != len(self._columns):
            raise Corrupt(f"rows event of {self.table_map.table}: {event.width} columns, its table map has {len(self._columns)}")
        data, at, number = event.data, 0, 0
        if not data:
            raise Corrupt(f"rows event of {self.table_map.table}: no rows")
        before_plan, absent_before = self._plan(event.present_before)
        after_plan, absent_after = self._plan(event.present_after)
        insert, delete = event.change is Change.INSERT, event.change is Change.DELETE
        while at < len(data):
            before: dict[str, Value] | None = None
            after: dict[str, Value] | None = None
            raw_before: dict[str, str] = {}
            raw_after: dict[str, str] = {}
            absent = absent_after
            begin = at
            documents: dict[str, bytes] = {}
            if not insert:
                if event.partial:
                    documents, _ = self._documents(before_plan, data, at, number)
                before, at = self._image(before_plan, data, at, number, raw_before)
            if not delete:
                partial: frozenset[str] = frozenset()
                if event.partial:
                    partial, at = self._partial_columns(data, at)
                if partial:
                    after, at, missing = self._partial_image(after_plan, data, at, number, raw_after, partial, documents)
                    absent = (*absent_after, *missing)
                else:
                    after, at = self._image(after_plan, data, at, number, raw_after)
            if at == begin:
                raise Corrupt(f"rows event of {self.table_map.table}: a row without bytes")
            yield RowChange(event.change, before, after, raw_before, raw_after, () if insert else absent_before, () if delete else absent)
            number += 1

    def _plan(self, present: bytes) -> tuple[list[tuple[int, _Column]], tuple[str, ...]]:
        """The columns in an image with the place of their null bit, and the names of those that are not."""
        plan = self._plans.get(present)
        if plan is None:
            bits = int.from_bytes(present, "little")
            here = [column for place, column in enumerate(self._columns) if bits >> place & 1]
            absent = tuple(column.name for place, column in enumerate(self._columns) if not bits >> place & 1)
            if len(self._plans) > 64:
                self._plans.clear()
            plan = self._plans[present] = (list(enumerate(here)), absent)
        return plan

    def _image(
        self, plan: Sequence[tuple[int, _Column]], data: bytes, at: int, number: int, raw: dict[str, str]
    ) -> tuple[dict[str, Value], int]:
        nulls, at = _null_bits(plan, data, at)
        row: dict[str, Value] = {}
        name = ""
        try:
            for bit, column in plan:
                name = column.name
                if nulls >> bit & 1:
                    row[name] = None
                    continue
                value, at = column.decode(data, at)
                if value.__class__ is Raw:
                    assert isinstance(value, Raw)
                    raw[name] = value.text
                    row[name] = None
                else:
                    row[name] = value  # type: ignore[assignment]  # no Raw here: the class was compared, which is the quicker test
        except (Corrupt, struct.error, IndexError, ValueError, OverflowError) as error:
            raise self._corrupt(number, name, error) from error
        if at > len(data):
            raise self._corrupt(number, name, ValueError("the image ends before it"))
        return row, at

    def _partial_columns(self, data: bytes, at: int) -> tuple[frozenset[str], int]:
        """Which JSON columns of the after image are diffs: a bit for each JSON column of the table, in the image or not."""
        c = Cursor(data, f"rows event of {self.table_map.table}", at)
        options = c.lenenc()
        if options & ~_PARTIAL_JSON:
            raise Corrupt(f"{c.what}: unknown row options {options}")
        if not options:
            return frozenset(), c.at
        bits = c.uint((self._json_count + 7) // 8)
        names = [column.name for column in self._columns if column.json]
        return frozenset(name for place, name in enumerate(names) if bits >> place & 1), c.at

    def _documents(self, plan: Sequence[tuple[int, _Column]], data: bytes, at: int, number: int) -> tuple[dict[str, bytes], int]:
        """The JSON documents of an image, undecoded."""
        nulls, at = _null_bits(plan, data, at)
        documents: dict[str, bytes] = {}
        name = ""
        try:
            for bit, column in plan:
                name = column.name
                if nulls >> bit & 1:
                    continue
                if column.json:
                    documents[name], at = _prefixed(data, at, column.prefix)
                else:
                    _, at = column.decode(data, at)
        except (Corrupt, struct.error, IndexError, ValueError, OverflowError) as error:
            raise self._corrupt(number, name, error) from error
        return documents, at

    def _partial_image(
        self,
        plan: Sequence[tuple[int, _Column]],
        data: bytes,
        at: int,
        number: int,
        raw: dict[str, str],
        partial: frozenset[str],
        documents: dict[str, bytes],
    ) -> tuple[dict[str, Value], int, list[str]]:
        """An after image with diffs, and the columns whose document the before image does not hold."""
        nulls, at = _null_bits(plan, data, at)
        row: dict[str, Value] = {}
        missing: list[str] = []
        name = ""
        try:
            for bit, column in plan:
                name = column.name
                if nulls >> bit & 1:
                    row[name] = None
                elif name in partial:
                    diffs, at = _prefixed(data, at, column.prefix)
                    if name in documents:
                        row[name] = updated_text(documents[name], diffs)
                    else:
                        missing.append(name)
                else:
                    value, at = column.decode(data, at)
                    if isinstance(value, Raw):
                        raw[name] = value.text
                        value = None
                    row[name] = value
        except (Corrupt, struct.error, IndexError, ValueError, OverflowError) as error:
            raise self._corrupt(number, name, error) from error
        if at > len(data):
            raise self._corrupt(number, name, ValueError("the image ends before it"))
        return row, at, missing

    def _corrupt(self, number: int, column: str, error: Exception) -> Corrupt:
        # Never the value: messages go to logs.
        table = self.table_map.table
        reason = error.message if isinstance(error, Corrupt) else f"{type(error).__name__}: {error}"
        return Corrupt(f"rows event of {table}: row {number}, column {column}: {reason}", table=str(table), column=column)


def _null_bits(plan: Sequence[tuple[int, _Column]], data: bytes, at: int) -> tuple[int, int]:
    end = at + (len(plan) + 7) // 8
    return int.from_bytes(data[at:end], "little"), end


def _prefixed(data: bytes, at: int, prefix: int) -> tuple[bytes, int]:
    start = at + prefix
    end = start + int.from_bytes(data[at:start], "little")
    return data[start:end], end
