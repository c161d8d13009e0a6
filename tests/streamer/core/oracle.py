"""What a SELECT says a column's values are on the wire: written from the server's own functions, knowing nothing of the binlog."""

from base64 import b64encode
from decimal import Decimal
from struct import pack, unpack
from typing import Any

from contracts.table import Kind
from devstack.mysql import MysqlServer

INTEGERS = {Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT, Kind.YEAR}
_SELECT = {
    Kind.DOUBLE: "v",
    Kind.FLOAT: "CAST(v AS DOUBLE)",
    Kind.BIT: "CAST(v AS UNSIGNED)",
    Kind.DATE: "DATEDIFF(v, '1970-01-01')",
    Kind.DATETIME: "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', v)",
    Kind.TIMESTAMP: "CONCAT(REPLACE(CAST(v AS CHAR), ' ', 'T'), 'Z')",
    Kind.BINARY: "HEX(v)",
    Kind.VARBINARY: "HEX(v)",
    Kind.BLOB: "HEX(v)",
    Kind.GEOMETRY: "CONCAT(ST_SRID(v), ' ', HEX(ST_AsBinary(v, 'axis-order=long-lat')))",
    Kind.VECTOR: "HEX(v)",
}
_TEXT = "CONVERT(v USING utf8mb4)"


def expected(server: MysqlServer, table: str, kind: Kind, *, unsigned: bool = False, length: int = 0, fraction: int = 0) -> list[object]:
    """By id, in the wire form; floats as (bits, ) to be compared by `comparable`."""
    with server.connect(init_command="SET time_zone = '+00:00'") as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.execute(f"SELECT {_SELECT.get(kind, _TEXT if kind is not Kind.JSON else 'CAST(v AS CHAR)')} FROM {table} ORDER BY id")
        return [None if value is None else _wire(kind, value, unsigned, length, fraction) for (value,) in cursor.fetchall()]


def _wire(kind: Kind, value: Any, unsigned: bool, length: int, fraction: int) -> object:
    if kind in INTEGERS:
        return str(value) if kind is Kind.BIGINT and unsigned else int(value)
    if kind is Kind.BIT:
        return bool(value) if length == 1 else _base64(int(value).to_bytes((length + 7) // 8, "little"))
    if kind is Kind.DATETIME:
        return int(value) // 1000 if fraction <= 3 else int(value)
    if kind is Kind.TIME:
        sign = -1 if value.startswith("-") else 1
        hours, minutes, seconds = value.lstrip("-").split(":")
        return sign * int((int(hours) * 3600 + int(minutes) * 60 + Decimal(seconds)) * 1_000_000)
    if kind in (Kind.BINARY, Kind.VARBINARY, Kind.BLOB):
        return _base64(bytes.fromhex(value))
    if kind is Kind.GEOMETRY:
        srid, wkb = value.split(" ")
        return {"wkb": _base64(bytes.fromhex(wkb)), "srid": int(srid) or None}
    if kind is Kind.VECTOR:
        data = bytes.fromhex(value)
        return [float32(item) for item in unpack(f"<{len(data) // 4}f", data)]
    if kind is Kind.FLOAT:
        return float32(value)
    return value


def float32(value: float) -> bytes:
    """The float's bits: what must survive, however it is written."""
    return pack("<f", value)


def comparable(kind: Kind, value: Any) -> object:
    """A decoded value in the oracle's form."""
    if kind is Kind.FLOAT and value is not None:
        return float32(value)
    if kind is Kind.VECTOR and value is not None:
        return [float32(item) for item in value]
    if kind is Kind.DOUBLE and value is not None:
        return pack("<d", value).hex(), value  # tells -0.0 from 0.0
    return value


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")
