"""The kernel as a Decoder, a Packets, a CommitsMet, a RowPackets and a SelectedRows: its plain tuples in the project's own values, its
errors in the project's own words."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import tidemark_kernel

from contracts.errors import Corrupt
from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.progress import InProgress
from contracts.table import TableId
from streamer.core.charsets import BINARY, plan
from streamer.core.commit_times import SourceCommits
from streamer.core.commits import Met
from streamer.core.decoder import CHUNK_BYTES, Chunk, Records, Shown, Step, Unrouted
from streamer.core.definition import Definition
from streamer.core.events import Header, parse
from streamer.core.route import Route
from streamer.core.schemas import StoredColumn, TableMap, parse_table_map
from streamer.core.selected import RowPackets, SelectFailed, failure, unreadable
from streamer.core.split import other_rows, too_few_rows
from streamer.core.storage import storage_of
from streamer.core.stream import PAYLOAD_BYTES_MAX, Located
from streamer.core.transactions import UnderWay
from streamer.core.translate import Origin, unknown_column


class KernelDecoder:
    """A Decoder."""

    def __init__(
        self,
        pipeline: str,
        message_bytes_max: int,
        in_progress: InProgress | None = None,
        *,
        payload_bytes_max: int = PAYLOAD_BYTES_MAX,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """`in_progress`: the transaction whose first rows are on Kafka already: they are checked and left out."""
        held = (str(in_progress.gtid), in_progress.rows_done, in_progress.rows_hash) if in_progress else None
        self._kernel = tidemark_kernel.Decoder(pipeline, message_bytes_max, held, payload_bytes_max, chunk_bytes)
        self._in_progress = in_progress
        self._asked: tuple[TableMap, int] | None = None  # the map that is unrouted, and the kernel's number of it

    @property
    def position(self) -> BinlogPosition:
        return BinlogPosition(*self._kernel.position)

    def feed(self, events: bytes, now: datetime) -> None:
        self._kernel.feed(events, int(now.timestamp() * 1000))

    def next(self, close_at: int, stop_at: int) -> Step | None:
        with self._told():
            found = self._kernel.next(close_at, stop_at)
            if found is None:
                return None
            kind, *rest = found
            if kind == "chunk":
                return _chunk(*rest)
            return self._unrouted(*rest) if kind == "unrouted" else _shown(*rest)

    def use(self, table: TableMap, way: Route, next_seq: int) -> None:
        columns = [_column(stored) for stored in table.columns]
        named = way.schema.table
        with self._told():
            self._kernel.use_map(
                self._number(table), way.topic, named.database, named.name, way.schema.fingerprint, columns, way.schema.key, next_seq
            )

    def ignore(self, table: TableMap) -> None:
        self._kernel.ignore_map(self._number(table))

    def forget(self, topic: str) -> None:
        self._kernel.forget(topic)

    def began(self) -> None:
        with self._told():
            self._kernel.began()

    def ended(self) -> None:
        with self._told():
            self._kernel.ended()

    def _unrouted(self, number: int, body: bytes, progress: Any) -> Unrouted:
        if self._asked is None or self._asked[1] != number:
            self._asked = (parse_table_map(body), number)
        return Unrouted(self._asked[0], _in_progress(progress))

    def _number(self, table: TableMap) -> int:
        assert self._asked is not None
        assert table is self._asked[0], "only the map that was shown last as unrouted can be answered for"
        return self._asked[1]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The kernel's errors as ours, naming the position."""
        try:
            yield
        except tidemark_kernel.KernelError as error:
            raise self._corrupt(*error.args) from error

    def _corrupt(self, kind: str, *rest: Any) -> Corrupt:
        held = self._in_progress
        if kind == "absent":
            database, table, column = rest
            return unknown_column(column, TableId(database, table))
        if kind == "other rows" and held is not None:
            return other_rows(held)
        if kind == "too few rows" and held is not None:
            return too_few_rows(held, rest[0])
        return Corrupt(f"{rest[0]}, at binlog position {self.position}", position=str(self.position))


class KernelPackets:
    """A Packets."""

    def __init__(self) -> None:
        self._kernel = tidemark_kernel.Packets()

    def take(self, received: memoryview) -> bytes:
        try:
            return self._kernel.take(received)
        except tidemark_kernel.KernelError as error:
            raise Corrupt(str(error.args[1])) from error

    @property
    def answer(self) -> bytes | None:
        return self._kernel.answer


def kernel_commits_met(block: bytes, at: int, since_us: int) -> Met:
    """A CommitsMet."""
    try:
        return Met(*tidemark_kernel.commits_met(block, at, since_us))
    except tidemark_kernel.KernelError as error:
        raise Corrupt(str(error.args[1])) from error


class KernelRowPackets:
    """A RowPackets."""

    def __init__(self) -> None:
        self.kernel = tidemark_kernel.RowPackets()

    def take(self, received: memoryview | bytes) -> bool:
        try:
            return self.kernel.take(received)
        except tidemark_kernel.KernelError as error:
            raise _answered(*error.args) from error

    @property
    def rows(self) -> int:
        return self.kernel.rows

    @property
    def size_bytes(self) -> int:
        return self.kernel.size_bytes

    def last(self, columns: Sequence[int]) -> tuple[bytes | None, ...]:
        try:
            return self.kernel.last(columns)
        except tidemark_kernel.KernelError as error:
            raise _answered(*error.args) from error


class KernelSelectedRows:
    """A SelectedRows."""

    def __init__(self, definition: Definition, way: Route, message_bytes_max: int) -> None:
        schema = way.schema
        assert schema.columns == definition.schema.columns, "the route is of another definition of the table"
        columns = [_column(StoredColumn(column, storage_of(column))) for column in schema.columns]
        self._topic = way.topic
        self._table = schema.table
        named = schema.table
        try:
            self._kernel = tidemark_kernel.SelectedRows(
                named.database, named.name, schema.fingerprint, columns, schema.key, message_bytes_max
            )
        except tidemark_kernel.KernelError as error:
            raise Corrupt(f"table {named}: {error.args[1]}", table=str(named)) from error

    def encode(
        self, packets: RowPackets, struck: AbstractSet[bytes], origin: Origin, first_seq: int, now_ms: int, start: int, stop: int
    ) -> tuple[Records, int]:
        assert isinstance(packets, KernelRowPackets)
        place = (origin.pipeline, origin.server_id, origin.gtid, origin.file, origin.pos, origin.ts_ms, origin.commit_ts_us)
        try:
            records, size_bytes, left_out = self._kernel.encode(packets.kernel, struck, place, first_seq, now_ms, start, stop)
        except tidemark_kernel.KernelError as error:
            row, column, reason = error.args[1:]
            raise unreadable(self._table, row, column, reason) from error
        return Records(self._topic, records, size_bytes), left_out


def _answered(kind: str, what: Any) -> SelectFailed | Corrupt:
    return failure(what) if kind == "refused" else Corrupt(what)


def _column(stored: StoredColumn) -> Any:
    column, storage = stored.column, stored.storage
    text = None if column.charset in (None, BINARY) else plan(column.charset)  # labels of ENUM and SET may be of no character set
    return column.name, storage.type, storage.size, storage.precision, storage.scale, column.unsigned, text, column.labels


def _chunk(topics: list[Any], commits: Any, under_way: bool, progress: Any) -> Chunk:
    return Chunk([Records(*of_topic) for of_topic in topics], commits and _commits(*commits), under_way, _in_progress(progress))


def _commits(runs: list[Any], count: int, lowest_us: int, newest_us: int, backstep_us: int, file: str, offset: int) -> SourceCommits:
    intervals: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for server, tag, first, last in runs:
        intervals.setdefault((server, tag), []).append((first, last + 1))
    return SourceCommits(GtidSet.of(intervals), count, lowest_us, newest_us, backstep_us, BinlogPosition(file, offset))


def _shown(head: bytes, body: bytes, file: str, start: int, end: int, under_way: Any) -> Shown:
    header = Header.unpack(head)
    start_at, end_at = BinlogPosition(file, start), BinlogPosition(file, end)
    try:
        event = parse(header, body)
    except Corrupt as error:
        raise Corrupt(f"{error.message}, at binlog position {start_at}", **error.fields, position=str(start_at)) from error
    located = Located(event, header, start_at, end_at)
    if under_way is None:
        return Shown(located, None)
    gtid, commit_us, begun, rows = under_way
    return Shown(located, UnderWay(Gtid(*gtid), commit_us, begun, rows))


def _in_progress(progress: Any) -> InProgress | None:
    if progress is None:
        return None
    gtid, rows, digest = progress
    return InProgress(Gtid(*gtid), rows, digest)
