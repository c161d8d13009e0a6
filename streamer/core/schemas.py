"""Table maps → the schema in force at a row event.

Source: MySQL 9.7, libs/mysql/binlog/event/rows_event.h (Table_map_event and its optional metadata) and sql/log_event.cc, which writes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from contracts.errors import Corrupt, Invalid
from contracts.table import Column, Kind, TableId, TableSchema
from streamer.core.charsets import BINARY, charset_of, decoder
from streamer.core.cursor import Cursor
from streamer.core.storage import (
    CHARACTER_TYPES,
    ENUM,
    GEOMETRY,
    LABEL_TYPES,
    NUMERIC_TYPES,
    VECTOR,
    Storage,
    describe,
    read_storage,
)

T = TypeVar("T")

COLUMNS_MAX = 4096  # MySQL's own limit


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column and how its values lie in row images. `visible`: False for INVISIBLE columns, which row images hold all the same.
    `geometry`: the OGC type number of a GEOMETRY column, 0 for any."""

    column: Column
    storage: Storage
    visible: bool = True
    geometry: int = 0


@dataclass(frozen=True, eq=False)
class TableMap:
    """Names the table of the row events that follow it in a statement. Two are equal only if they are the same object; the stream gives
    the same object for the same bytes. What its columns are is read when first asked for, so the map of a table nobody captures is
    never looked into."""

    table_id: int
    table: TableId
    body: bytes = field(repr=False)  # from the column count on

    @cached_property
    def columns(self) -> tuple[StoredColumn, ...]:
        """Raises Invalid if the server wrote no full metadata, Corrupt if what it wrote makes no sense."""
        return self._read[0]

    @cached_property
    def schema(self) -> TableSchema:
        """With the primary key as key; a table without one has its first unique key whose columns are all NOT NULL, which the server
        takes for it. Raises as `columns` does."""
        columns, key = self._read
        return TableSchema(self.table, tuple(stored.column for stored in columns), key)

    @cached_property
    def _read(self) -> tuple[tuple[StoredColumn, ...], tuple[str, ...]]:
        try:
            return _read_columns(self.body, self.table)
        except Corrupt as error:
            raise Corrupt(f"{error.message}, table {self.table}", **error.fields, table=str(self.table)) from error


def parse_table_map(body: bytes) -> TableMap:
    """TABLE_MAP_EVENT, type 19. Raises Corrupt."""
    c = Cursor(body, "table map")
    table_id = c.uint(6)
    c.u16()  # flags
    database = _name(c)
    name = _name(c)
    return TableMap(table_id, TableId(database, name), c.rest())


def with_key(schema: TableSchema, key: Sequence[str]) -> TableSchema:
    """The schema under another key: configured columns, or a unique key found elsewhere. Raises Invalid naming columns it has not."""
    if missing := [name for name in key if name not in schema.by_name]:
        raise Invalid(f"key columns {', '.join(missing)} are not columns of {schema.table}; correct the table's key setting")
    return replace(schema, key=tuple(key))


def _name(c: Cursor) -> str:
    name = c.utf8(c.u8())
    if c.u8() != 0 or not name:
        raise Corrupt(f"{c.what}: a name that is empty or does not end in NUL")
    return name


@dataclass
class _Metadata:
    """The optional metadata as written: per class of column, in column order."""

    unsigned: list[bool] | None = None
    collations: "_Collations | None" = None
    label_collations: "_Collations | None" = None
    names: list[str] | None = None
    set_labels: list[list[bytes]] = field(default_factory=list)
    enum_labels: list[list[bytes]] = field(default_factory=list)
    geometries: list[int] = field(default_factory=list)
    key: list[int] = field(default_factory=list)
    visible: list[bool] | None = None
    dimensions: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Collations:
    """Collation numbers by place among the columns of a class: all of them, or a default and its exceptions."""

    by_place: dict[int, int]
    default: int | None

    def __getitem__(self, place: int) -> int:
        number = self.by_place.get(place, self.default)
        if number is None:
            raise Corrupt(f"table map: no collation for text column number {place}")
        return number


def _read_columns(body: bytes, table: TableId) -> tuple[tuple[StoredColumn, ...], tuple[str, ...]]:
    c = Cursor(body, "table map")
    count = c.lenenc()
    if not 1 <= count <= COLUMNS_MAX:
        raise Corrupt(f"{c.what}: {count} columns")
    types = c.take(count)
    storages = read_storage(types, c.lenenc_bytes())
    nullable = _bits(c.take((count + 7) // 8), count, from_high=False)
    metadata = _read_metadata(c, count)
    if metadata.names is None:
        raise Invalid(
            f"the binlog holds no column names for {table}: the server wrote it without full row metadata; "
            "run SET GLOBAL binlog_row_metadata = FULL and start from a position after it",
            table=str(table),
        )
    columns = tuple(_assemble(storages, nullable, metadata, metadata.names))
    if bad := [place for place in metadata.key if place >= count]:
        raise Corrupt(f"{c.what}: the primary key names column {bad[0]} of {count}")
    if len(set(metadata.names)) != count or len(set(metadata.key)) != len(metadata.key):
        raise Corrupt(f"{c.what}: a column is named twice")
    return columns, tuple(metadata.names[place] for place in metadata.key)


def _read_metadata(c: Cursor, count: int) -> _Metadata:
    metadata = _Metadata()
    while c:
        kind = c.u8()
        value = Cursor(c.lenenc_bytes(), f"table map, metadata field {kind}")
        if kind == 1:
            metadata.unsigned = _bits(value.rest(), None, from_high=True)
        elif kind in (2, 10):
            default = value.lenenc()
            collations = _Collations({value.lenenc(): value.lenenc() for _ in _until_end(value)}, default)
            _set_collations(metadata, kind == 2, collations)
        elif kind in (3, 11):
            _set_collations(metadata, kind == 3, _Collations(dict(enumerate(value.lenenc() for _ in _until_end(value))), None))
        elif kind == 4:
            metadata.names = [value.utf8(value.lenenc()) for _ in _until_end(value)]
            if len(metadata.names) != count:
                raise Corrupt(f"{value.what}: {len(metadata.names)} names for {count} columns")
        elif kind in (5, 6):
            labels = [[value.lenenc_bytes() for _ in range(_bounded(value))] for _ in _until_end(value)]
            if kind == 5:
                metadata.set_labels = labels
            else:
                metadata.enum_labels = labels
        elif kind == 7:
            metadata.geometries = [value.lenenc() for _ in _until_end(value)]
        elif kind == 8:
            metadata.key = [value.lenenc() for _ in _until_end(value)]
        elif kind == 9:
            # A key over a prefix names the row by more than the prefix: its columns are the key columns.
            metadata.key = [(value.lenenc(), value.lenenc())[0] for _ in _until_end(value)]
        elif kind == 12:
            metadata.visible = _bits(value.rest(), None, from_high=True)
        elif kind == 13:
            metadata.dimensions = [value.lenenc() for _ in _until_end(value)]
        else:
            raise Corrupt(f"table map: unknown metadata field {kind}; this release must learn it first")
    return metadata


def _set_collations(metadata: _Metadata, text: bool, collations: _Collations) -> None:
    if text:
        metadata.collations = collations
    else:
        metadata.label_collations = collations


def _until_end(c: Cursor) -> Iterator[None]:
    while c:
        yield None


def _bounded(c: Cursor) -> int:
    """A count of items of at least one byte each."""
    if (count := c.lenenc()) > c.left:
        raise Corrupt(f"{c.what}: {count} items in {c.left} bytes")
    return count


def _bits(data: bytes, count: int | None, *, from_high: bool) -> list[bool]:
    order = range(7, -1, -1) if from_high else range(8)
    return [bool(byte >> bit & 1) for byte in data for bit in order][:count]


def _assemble(storages: Sequence[Storage], nullable: list[bool], metadata: _Metadata, names: list[str]) -> Iterator[StoredColumn]:
    numeric = text = labelled = sets = enums = geometries = vectors = 0
    for place, storage in enumerate(storages):
        unsigned = False
        charset: str | None = None
        labels: tuple[str, ...] = ()
        geometry = dimensions = 0
        if storage.type in NUMERIC_TYPES:
            unsigned = _at(metadata.unsigned or [], numeric, "signedness")
            numeric += 1
        elif storage.type in CHARACTER_TYPES:
            charset = _charset(metadata.collations, text)
            text += 1
            if storage.type == VECTOR:
                charset = None
                dimensions = _at(metadata.dimensions, vectors, "vector dimensions")
                vectors += 1
        elif storage.type in LABEL_TYPES:
            charset = _charset(metadata.label_collations, labelled)
            labelled += 1
            if storage.type == ENUM:
                labels = _decode_labels(_at(metadata.enum_labels, enums, "enum labels"), charset)
                enums += 1
            else:
                labels = _decode_labels(_at(metadata.set_labels, sets, "set labels"), charset)
                sets += 1
        elif storage.type == GEOMETRY:
            geometry = _at(metadata.geometries, geometries, "geometry types")
            geometries += 1
        visible = metadata.visible is None or _at(metadata.visible, place, "visibility")
        kind, shape = describe(storage, charset, unsigned, dimensions)
        column = Column(
            name=names[place],
            kind=kind,
            nullable=nullable[place],
            unsigned=unsigned and kind is not Kind.YEAR,
            charset=None if charset == BINARY and kind not in (Kind.ENUM, Kind.SET) else charset,
            labels=labels,
            **shape,
        )
        yield StoredColumn(column, storage, visible, geometry)


def _at(items: Sequence[T], place: int, what: str) -> T:
    if place >= len(items):
        raise Corrupt(f"table map: {what} for {len(items)} columns, needs more")
    return items[place]


def _charset(collations: _Collations | None, place: int) -> str:
    if collations is None:
        raise Corrupt("table map: text columns without collations")
    return charset_of(collations[place])


def _decode_labels(labels: list[bytes], charset: str) -> tuple[str, ...]:
    decode = decoder("utf8mb4" if charset == BINARY else charset)
    try:
        return tuple(decode(label) for label in labels)
    except UnicodeDecodeError as error:
        raise Corrupt(f"table map: a label is not text in {charset}: {error.reason}") from error
