"""What the server says a table is now → the very schema the table maps of its row events give.

Source: MySQL 9.7, information_schema.COLUMNS and STATISTICS; sql/log_event.cc (what a table map names as primary key); sql-common/
my_string.cc, append_unescaped (how labels are quoted).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.errors import Invalid
from contracts.table import Column, Kind, TableId, TableSchema
from streamer.core.charsets import BINARY, CHARSETS

# COLUMN_KEY says which columns the server takes for the primary key, also where that is a unique key; their order in a primary key, and
# whether it holds them whole, is the index's to say. Columns the server hides (of functional indexes) are not here, nor in row events.
COLUMNS_SQL = """\
SELECT c.COLUMN_NAME, c.COLUMN_TYPE, c.IS_NULLABLE, c.CHARACTER_SET_NAME, c.COLUMN_KEY, s.SEQ_IN_INDEX
FROM information_schema.COLUMNS c
JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME AND t.TABLE_TYPE = 'BASE TABLE'
LEFT JOIN information_schema.STATISTICS s ON s.TABLE_SCHEMA = c.TABLE_SCHEMA AND s.TABLE_NAME = c.TABLE_NAME
AND s.COLUMN_NAME = c.COLUMN_NAME AND s.INDEX_NAME = 'PRIMARY'
WHERE c.TABLE_SCHEMA = %s AND c.TABLE_NAME = %s ORDER BY c.ORDINAL_POSITION"""
"""Of (database, table); no rows where there is no such table, only a view, or none this account may see. Needs
`show_gipk_in_create_table_and_information_schema` ON, as it is by default: `select.SESSION_SQL` sees to it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A table as the server has it now.

    `schema`: as TableMap.schema, its key the primary key, or the unique key that the server takes for it.
    `order`: the unique key by which rows are read in order; empty where there is none, and the table can only be read in one go.
    `padded`: DECIMAL columns that the server shows with zeros in front (ZEROFILL)."""

    schema: TableSchema
    order: tuple[str, ...]
    padded: frozenset[str] = frozenset()


def read_definition(table: TableId, columns: Sequence[Sequence[object]], unique_keys: Sequence[tuple[str, ...]]) -> Definition:
    """`columns`: what COLUMNS_SQL gave; `unique_keys`: those that can name a row (SourceServer.unique_keys), primary key first.

    Raises Invalid when the table is not there, and naming the column for a type this release does not know."""
    if not columns:
        raise Invalid(f"MySQL has no table {table}, or this account may not SELECT from it", table=str(table))
    read: list[Column] = []
    padded: set[str] = set()
    primary: dict[int, str] = {}
    taken_for_primary: set[str] = set()
    for name, type_, nullable, charset, key, place in columns:
        declared = _Declared.parse(str(type_))
        column = declared and declared.column(str(name), nullable == "YES", None if charset is None else str(charset))
        if not declared or not column:
            text = "" if charset is None else f" in character set {charset}"
            raise Invalid(
                f"column {name} of {table} is of a type this release does not know: {type_}{text}; exclude the table or convert the column",
                table=str(table),
                column=str(name),
            )
        read.append(column)
        if "zerofill" in declared.words and column.kind is Kind.DECIMAL:
            padded.add(column.name)
        if key == "PRI":
            taken_for_primary.add(column.name)
        if place is not None:
            primary[int(str(place))] = column.name
    key_columns = tuple(primary[place] for place in sorted(primary))
    if not key_columns and taken_for_primary:
        key_columns = next((names for names in unique_keys if set(names) == taken_for_primary), ())
    schema = TableSchema(table, tuple(read), key_columns)
    ordering = {column.name for column in read if column.kind not in _BY_PREFIX}
    order = next((names for names in unique_keys if ordering.issuperset(names)), ())
    return Definition(schema, order, frozenset(padded))


_BY_PREFIX = {Kind.TEXT, Kind.BLOB}  # indexed by a prefix, if by all there is in it, which gives the server no order
_INTEGERS = {kind.value: kind for kind in (Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT)}
_REALS = {kind.value: kind for kind in (Kind.FLOAT, Kind.DOUBLE)}
_TEMPORAL = {kind.value: kind for kind in (Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP)}
_PLAIN = {"year": Kind.YEAR, "date": Kind.DATE, "json": Kind.JSON} | dict.fromkeys(
    ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection", "geometrycollection"),
    Kind.GEOMETRY,
)
_SIZED_TEXT = {"char": Kind.CHAR, "varchar": Kind.VARCHAR}
_SIZED = {"binary": Kind.BINARY, "varbinary": Kind.VARBINARY, "bit": Kind.BIT, "vector": Kind.VECTOR}
_LONG = {
    f"{size}{name}": (kind, (1 << 8 * width) - 1)
    for size, width in (("tiny", 1), ("", 2), ("medium", 3), ("long", 4))
    for name, kind in (("text", Kind.TEXT), ("blob", Kind.BLOB))
}
_LABELLED = {"enum": Kind.ENUM, "set": Kind.SET}

_TYPE = re.compile(r"([a-z]+)(?:\((.*)\))?((?: unsigned| zerofill)*)", re.DOTALL)
_NUMBERS = re.compile(r"[0-9]+(?:,[0-9]+)?")
_LABEL = re.compile(r"'((?:[^'\\]|''|\\.)*)'(?:,(?=')|\Z)", re.DOTALL)
_UNQUOTE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPED: Mapping[str, str] = {"0": "\0", "n": "\n", "r": "\r", "\\": "\\"}


@dataclass(frozen=True, slots=True)
class _Declared:
    """A COLUMN_TYPE in its parts: `decimal`, `10,2`, `unsigned`."""

    name: str
    inside: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "_Declared | None":
        match = _TYPE.fullmatch(text)
        return cls(match[1], match[2] or "", tuple(match[3].split())) if match else None

    def column(self, name: str, nullable: bool, charset: str | None) -> Column | None:
        """None for a type that is not known."""
        type_, unsigned = self.name, "unsigned" in self.words
        text_charset = charset if charset in CHARSETS else None
        if type_ in _LABELLED:
            labels = _labels(self.inside)
            if labels is None or (charset is not None and text_charset is None):
                return None
            return Column(name, _LABELLED[type_], nullable, charset=text_charset or BINARY, labels=labels)
        if self.inside and not _NUMBERS.fullmatch(self.inside):
            return None
        numbers = [int(number) for number in self.inside.split(",") if number]
        if type_ in _INTEGERS:
            return Column(name, _INTEGERS[type_], nullable, unsigned)  # a number inside is a width to show it in
        if type_ in _REALS:
            return Column(name, _REALS[type_], nullable, unsigned)
        if type_ == "decimal" and len(numbers) == 2:
            return Column(name, Kind.DECIMAL, nullable, unsigned, precision=numbers[0], scale=numbers[1])
        if type_ in _TEMPORAL and len(numbers) <= 1:
            return Column(name, _TEMPORAL[type_], nullable, fraction=sum(numbers))
        if type_ in _PLAIN:
            return Column(name, _PLAIN[type_], nullable)
        if type_ in _SIZED and len(numbers) == 1:
            return Column(name, _SIZED[type_], nullable, length=numbers[0])
        if type_ in _SIZED_TEXT and len(numbers) == 1 and text_charset:
            return Column(name, _SIZED_TEXT[type_], nullable, length=numbers[0], charset=text_charset)
        if type_ in _LONG:
            kind, length = _LONG[type_]
            if kind is Kind.BLOB or text_charset:
                return Column(name, kind, nullable, length=length, charset=text_charset if kind is Kind.TEXT else None)
        return None


def _labels(text: str) -> tuple[str, ...] | None:
    """`'a','it''s'` → its labels."""
    labels: list[str] = []
    at = 0
    while at < len(text):
        if (match := _LABEL.match(text, at)) is None:
            return None
        labels.append(_UNQUOTE.sub(lambda found: "'" if found[0] == "''" else _ESCAPED.get(found[1], found[1]), match[1]))
        at = match.end()
    return tuple(labels) or None
