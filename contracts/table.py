"""Tables in logical types: what a row event's own table map says about its columns, without MySQL's storage codes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import orjson


class Kind(StrEnum):
    """MySQL's column types as users declare them."""

    TINYINT = "tinyint"
    SMALLINT = "smallint"
    MEDIUMINT = "mediumint"
    INT = "int"
    BIGINT = "bigint"
    DECIMAL = "decimal"
    FLOAT = "float"
    DOUBLE = "double"
    BIT = "bit"
    YEAR = "year"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    TIMESTAMP = "timestamp"
    CHAR = "char"
    VARCHAR = "varchar"
    TEXT = "text"
    BINARY = "binary"
    VARBINARY = "varbinary"
    BLOB = "blob"
    ENUM = "enum"
    SET = "set"
    JSON = "json"
    GEOMETRY = "geometry"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True, order=True)
class TableId:
    """A table by MySQL's own names, in MySQL's case."""

    database: str
    name: str

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"

    @classmethod
    def parse(cls, text: str) -> "TableId":
        """`database.table`. Raises ValueError; a name that itself holds a dot cannot be written this way."""
        database, dot, name = text.partition(".")
        if not dot or not database or not name:
            raise ValueError(f"not database.table: {text!r}")
        return cls(database, name)


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    `length`: characters of CHAR and VARCHAR, bytes of BINARY, VARBINARY, BLOB and TEXT (their maximum), bits of BIT,
    dimensions of VECTOR, else 0. `precision` and `scale`: DECIMAL. `fraction`: digits after the second, 0-6, of temporal types.
    `charset`: MySQL's name of the character set, None for what is not text. `labels`: of ENUM and SET, in definition order.
    """

    name: str
    kind: Kind
    nullable: bool = True
    unsigned: bool = False
    length: int = 0
    precision: int = 0
    scale: int = 0
    fraction: int = 0
    charset: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSchema:
    """A table as one row event saw it. `key`: the columns that name a row on Kafka and in the target; empty for none."""

    table: TableId
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if missing := [name for name in self.key if name not in names]:
            raise ValueError(f"key columns {missing} are not columns of {self.table}")

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def key_places(self) -> tuple[int, ...]:
        """Where the key's columns are among the columns."""
        names = [column.name for column in self.columns]
        return tuple(names.index(name) for name in self.key)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits; two schemas share it only when every column, its order and the key are alike."""
        return hashlib.sha256(self.encode()).hexdigest()[:16]

    @cached_property
    def key_form(self) -> str:
        """As `fingerprint`, of the key's columns alone: while it stays, a Kafka key names the same row. Empty without a key."""
        columns = tuple(self.by_name[name] for name in self.key)
        return TableSchema(self.table, columns, self.key).fingerprint if self.key else ""

    def encode(self) -> bytes:
        """The record `<prefix>.schemas` carries. Version 1; defaults are left out, keys in fixed order."""
        return orjson.dumps(
            {
                "v": 1,
                "db": self.table.database,
                "table": self.table.name,
                "key": list(self.key),
                "columns": [_encode_column(column) for column in self.columns],
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> "TableSchema":
        """Raises ValueError on anything that is not version 1."""
        body = orjson.loads(data)
        if not isinstance(body, dict) or body.get("v") != 1:
            raise ValueError(f"table schema of unknown version: {data[:80]!r}; this release reads version 1")
        try:
            columns = tuple(_decode_column(item) for item in body["columns"])
            return cls(TableId(body["db"], body["table"]), columns, tuple(body["key"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a table schema: {type(error).__name__} {error}") from error


def _encode_column(column: Column) -> dict[str, Any]:
    out: dict[str, Any] = {"name": column.name, "kind": column.kind.value, "nullable": column.nullable}
    for name in ("unsigned", "length", "precision", "scale", "fraction", "charset"):
        if value := getattr(column, name):
            out[name] = value
    if column.labels:
        out["labels"] = list(column.labels)
    return out


def _decode_column(item: dict[str, Any]) -> Column:
    return Column(**{**item, "kind": Kind(item["kind"]), "labels": tuple(item.get("labels", ()))})
