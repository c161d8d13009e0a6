"""The decoder in Python: every step of it to be read, and to hold the kernel's bytes against."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from contracts.errors import Corrupt
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import InProgress
from streamer.core.commit_times import SourceCommits
from streamer.core.decoder import CHUNK_BYTES, Chunk, Record, Records, Shown, Step, Unrouted
from streamer.core.events import FormatDescription, Incident, Query, RowsEvent, XaPrepare, Xid, split_events
from streamer.core.gtids import AnonymousGtid, GtidEvent
from streamer.core.route import Route
from streamer.core.rows import RowChange, RowDecoder
from streamer.core.schemas import TableMap
from streamer.core.split import SplitTransaction
from streamer.core.stream import PAYLOAD_BYTES_MAX, EventStream, Located
from streamer.core.transactions import UnderWay
from streamer.core.translate import Origin, identity, key_changes, message

_NO_ROW = object()
_TABLES_MAX = 4096  # ways kept; all forgotten together when more are seen


@dataclass
class _Way:
    """How rows of a table map travel. `next_seq`: of the topic's next envelope."""

    route: Route
    decoder: RowDecoder
    next_seq: int


@dataclass
class _Transaction:
    """The source transaction under way. `ev`: number of its next envelope."""

    event: GtidEvent
    split: SplitTransaction
    begun: bool = False
    ev: int = 0

    @property
    def under_way(self) -> UnderWay:
        return UnderWay(self.event.gtid, self.event.immediate_commit_us, self.begun, self.split.rows > 0)


@dataclass
class _Filling:
    """A chunk being filled. `size_bytes`: of values and keys."""

    records: dict[str, list[Record]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    count: int = 0
    size_bytes: int = 0
    commits: SourceCommits | None = None

    def __bool__(self) -> bool:
        return self.count > 0 or self.commits is not None

    def add(self, topic: str, key: bytes | None, value: bytes) -> None:
        self.records.setdefault(topic, []).append({"key": key, "value": value})
        self.sizes[topic] = self.sizes.get(topic, 0) + len(value)
        self.count += 1
        self.size_bytes += len(value) + len(key or b"")

    def committed(self, event: GtidEvent, end: BinlogPosition) -> None:
        us, held = event.immediate_commit_us, self.commits
        if held is None:
            self.commits = SourceCommits.one(event.gtid, us, end)
            return
        self.commits = SourceCommits(
            held.gtids.union(GtidSet().with_gtid(event.gtid)),
            held.count + 1,
            min(held.lowest_us, us),
            max(held.newest_us, us),
            max(held.backstep_us, held.newest_us - us),
            end,
        )


class PythonDecoder:
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
        self._pipeline = pipeline
        self._message_bytes_max = message_bytes_max
        self._in_progress = in_progress
        self._chunk_bytes = chunk_bytes
        self._stream = EventStream(payload_bytes_max=payload_bytes_max)
        self._ways: dict[TableMap, _Way | None] = {}
        self._in_use: dict[str, TableMap] = {}
        self._transaction: _Transaction | None = None
        self._events: Iterator[Located] = iter(())
        self._held: Located | None = None  # to be looked at again
        self._shown: Shown | None = None
        self._rows: Iterator[None] = iter(())  # of the rows event under way: each step puts one row into `_filling`
        self._filling = _Filling()
        self._now_ms = 0

    @property
    def position(self) -> BinlogPosition:
        return self._stream.position

    def feed(self, events: bytes, now: datetime) -> None:
        self._events = (located for raw in split_events(events) for located in self._stream.feed(raw))
        self._now_ms = int(now.timestamp() * 1000)

    def next(self, close_at: int, stop_at: int) -> Step | None:
        if self._shown is not None:
            shown, self._shown = self._shown, None
            return shown
        filling = self._filling = _Filling()
        while filling.count < stop_at and filling.size_bytes < self._chunk_bytes:
            if next(self._rows, _NO_ROW) is not _NO_ROW:
                continue
            at = self._held or next(self._events, None)
            self._held = None
            if at is None:
                break
            before = filling.commits
            if (step := self._look(at, filling)) is not None:
                if not filling:
                    return step
                self._shown = step if isinstance(step, Shown) else None  # an unrouted table is met again
                break
            if filling.commits is not before and filling.count >= close_at:
                break
        return self._chunk(filling) if filling else None

    def use(self, table: TableMap, way: Route, next_seq: int) -> None:
        self.forget(way.topic)
        if len(self._ways) >= _TABLES_MAX:
            self._ways.clear()
            self._in_use.clear()
        self._ways[table] = _Way(way, RowDecoder(table), next_seq)
        self._in_use[way.topic] = table

    def ignore(self, table: TableMap) -> None:
        self._ways[table] = None

    def forget(self, topic: str) -> None:
        if (table := self._in_use.pop(topic, None)) is not None:
            self._ways.pop(table, None)

    def began(self) -> None:
        assert self._transaction is not None
        self._transaction.begun = True

    def ended(self) -> None:
        assert self._transaction is not None
        self._transaction.split.finish()
        self._transaction = None

    def _look(self, at: Located, filling: _Filling) -> Step | None:
        """Takes an event of the common run; a step is what the caller has to see first."""
        event, transaction = at.event, self._transaction
        if isinstance(event, RowsEvent):
            return self._begin_rows(event, at)
        if isinstance(event, GtidEvent):
            if transaction is not None:
                raise Corrupt(f"transaction {event.gtid} begins inside {transaction.event.gtid}, at {at.start}")
            held = self._in_progress
            self._transaction = _Transaction(event, SplitTransaction(event.gtid, held if held and held.gtid == event.gtid else None))
        elif isinstance(event, Xid):
            if transaction is None or not transaction.begun:
                raise Corrupt(f"the end of a transaction that did not begin, at {at.end}")
            filling.committed(transaction.event, at.end)
            self.ended()
        elif isinstance(event, Query) and event.sql == "BEGIN" and transaction is not None and not transaction.begun:
            transaction.begun = True
        elif isinstance(event, Query | XaPrepare | AnonymousGtid | Incident):
            return Shown(at, transaction.under_way if transaction else None)
        elif isinstance(event, FormatDescription) and transaction is not None:
            raise Corrupt(f"transaction {transaction.event.gtid} is cut off: a new binlog file begins at {at.start} before its end")
        return None

    def _begin_rows(self, event: RowsEvent, at: Located) -> Step | None:
        table, transaction = event.table, self._transaction
        if table is None:
            return None
        if table not in self._ways:
            self._held = at
            return Unrouted(table, self._so_far())
        way = self._ways[table]
        if way is None:
            return None
        if transaction is None or not transaction.begun:
            raise Corrupt(f"rows of {table.table} outside a transaction, at {at.start}")
        origin = Origin(
            self._pipeline,
            at.header.server_id,
            str(transaction.event.gtid),
            at.start.file,
            at.start.offset,
            at.header.timestamp_s * 1000,
            transaction.event.immediate_commit_us,
        )
        self._rows = self._taking(way.decoder.rows(event), way, transaction, origin)
        return None

    def _taking(self, rows: Iterator[RowChange], way: _Way, transaction: _Transaction, origin: Origin) -> Iterator[None]:
        for row in rows:
            changes = key_changes(row, way.route)
            out_already = transaction.split.next_is_out
            transaction.split.take(identity(changes, way.route.topic))
            for change in changes:
                if not out_already:
                    record = message(
                        change,
                        way.route,
                        origin,
                        seq=way.next_seq,
                        ev=transaction.ev,
                        now_ms=self._now_ms,
                        bytes_max=self._message_bytes_max,
                    )
                    way.next_seq += 1
                    self._filling.add(record.topic, record.key, record.value)
                transaction.ev += 1
            yield

    def _so_far(self) -> InProgress | None:
        return self._transaction.split.so_far() if self._transaction else None

    def _chunk(self, filling: _Filling) -> Chunk:
        records = tuple(Records(topic, records, filling.sizes[topic]) for topic, records in filling.records.items())
        return Chunk(records, filling.commits, self._transaction is not None, self._so_far())
