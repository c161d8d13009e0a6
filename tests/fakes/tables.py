"""Rows of a source table as a SELECT gives them."""

from collections.abc import Mapping, Sequence

from contracts.envelope import decode_key
from contracts.position import BinlogPosition
from contracts.progress import RowCursor
from contracts.table import Column, Kind, TableSchema
from streamer.core.definition import Definition
from streamer.core.selected import PythonRowPackets
from streamer.ports import ReadRequest, TableRows


def table_rows(
    asked: ReadRequest,
    columns: Sequence[str],
    rows: Mapping[int, Mapping[str, int | None]],
    high: BinlogPosition,
    read_us: int,
    uuid: str,
    *,
    keyless: bool = False,
) -> TableRows:
    """What was asked for of a table of INT columns with primary key `id`, which holds `rows` by key. `keyless`: `id` is no key of it."""
    if keyless:
        schema = TableSchema(asked.table, tuple(Column(name, Kind.INT, nullable=True) for name in columns), ())
        packets = PythonRowPackets()
        assert packets.take(answer(columns, [[_text(row.get(name)) for name in columns] for row in rows.values()]))
        return TableRows(uuid, Definition(schema, ()), packets, None, True, high, read_us)
    schema = TableSchema(asked.table, tuple(Column(name, Kind.INT, nullable=name != "id") for name in columns), ("id",))
    after = -1 if asked.after is None else int(asked.after.values[0])
    named = {decode_key(key)["id"] for key in asked.keys}
    chosen = sorted(key for key in rows if (key in named if named else key > after))[: asked.rows_max]
    packets = PythonRowPackets()
    assert packets.take(answer(columns, [[_text(rows[key].get(name)) for name in columns] for key in chosen]))
    end = RowCursor(("id",), (str(chosen[-1]).encode(),)) if chosen else None
    return TableRows(uuid, Definition(schema, ("id",)), packets, end, bool(named) or len(chosen) < asked.rows_max, high, read_us)


def answer(columns: Sequence[str], rows: Sequence[Sequence[bytes | None]]) -> bytes:
    """A text resultset as the server sends it."""
    end = b"\xfe\0\0\2\0"
    payloads = [bytes([len(columns)]), *(b"\3def" + bytes(20) for _ in columns), end]
    payloads += [b"".join(b"\xfb" if text is None else bytes([len(text)]) + text for text in row) for row in rows]
    return b"".join(
        len(payload).to_bytes(3, "little") + bytes([number & 255]) + payload for number, payload in enumerate([*payloads, end], start=1)
    )


def _text(value: int | None) -> bytes | None:
    return None if value is None else str(value).encode()
