"""Row events of a window of the binlog → what is sent of them at a time, so that it ends where a moment tells it from the rest."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from contracts.signals import EVENTS_BYTES_MAX, EVENTS_MAX, RowEvent
from contracts.table import TableId, TableSchema
from streamer.core.decoder import Record


@dataclass(frozen=True, slots=True)
class Emission:
    """Row events of a table, as many as a signal may hold, in binlog order; `schema`: the fingerprint of theirs. `before_us`: with all
    emissions before it, it makes up the events of every transaction that comes before the first one committed at that moment or later, and
    of none behind; None where no moment tells them apart."""

    table: TableId
    schema: str
    events: tuple[RowEvent, ...]
    before_us: int | None = None


@dataclass(slots=True)
class _Held:
    events: dict[tuple[TableId, str], list[RowEvent]] = field(default_factory=dict)
    count: int = 0
    size_bytes: int = 0

    @property
    def full(self) -> bool:
        return self.count >= EVENTS_MAX or self.size_bytes >= EVENTS_BYTES_MAX

    def add(self, of: tuple[TableId, str], events: Sequence[RowEvent]) -> None:
        self.events.setdefault(of, []).extend(events)
        self.count += len(events)
        self.size_bytes += sum(event.size_bytes for event in events)

    def cut(self, before_us: int | None) -> Iterator[Emission]:
        """All of it. `before_us`: of the last emission."""
        parts = [(of, part) for of, events in self.events.items() for part in _parts(events)]
        for number, ((table, schema), part) in enumerate(parts, start=1):
            yield Emission(table, schema, part, before_us if number == len(parts) else None)


class Emissions:
    """An EventSink. Holds events until there are enough of them, and to the end of their transaction if that does not hold more than a
    signal may; a larger one is cut, and only its last event waits for its end."""

    def __init__(self, tables: Collection[TableId]) -> None:
        """`tables`: whose events are sent."""
        self._tables = tables
        self._ready: list[Emission] = []
        self._whole = _Held()  # transactions
        self._part = _Held()  # of one
        self._newest_us = 0  # commit time of transactions that ended
        self._is_cut = False  # one of those held is
        self._part_is_cut = False

    def take(self, schema: TableSchema, records: Sequence[Record], commit_us: int) -> None:
        if schema.table not in self._tables:
            return
        events = [RowEvent(record["key"], record["value"] or b"") for record in records]
        of = schema.table, schema.fingerprint
        self._part.add(of, events[:-1])
        if self._part.full:
            self._end(commit_us)
            self._ready += self._part.cut(None)
            self._part, self._part_is_cut = _Held(), True
        self._part.add(of, events[-1:])

    def ended(self, commit_us: int) -> None:
        if self._part.count and (self._whole.full or self._is_cut):
            self._end(commit_us)
        for of, events in self._part.events.items():
            self._whole.add(of, events)
        self._is_cut = self._is_cut or self._part_is_cut
        self._part, self._part_is_cut = _Held(), False
        self._newest_us = max(self._newest_us, commit_us)

    def due(self) -> Iterator[Emission]:
        """What is to be sent by now."""
        ready, self._ready = self._ready, []
        return iter(ready)

    def rest(self) -> Iterator[Emission]:
        """After the last transaction."""
        self._ready += self._whole.cut(self._newest_us + 1)
        self._whole = _Held()
        return self.due()

    def _end(self, next_us: int) -> None:
        """The whole transactions go. `next_us`: when the one behind them was committed; no later than one of them, when the server's clock
        has stepped back, and then no moment is between."""
        self._ready += self._whole.cut(self._newest_us + 1 if next_us > self._newest_us else None)
        self._whole, self._is_cut = _Held(), False


def _parts(events: Sequence[RowEvent]) -> Iterator[tuple[RowEvent, ...]]:
    part: list[RowEvent] = []
    size_bytes = 0
    for event in events:
        if part and (len(part) >= EVENTS_MAX or size_bytes + event.size_bytes > EVENTS_BYTES_MAX):
            yield tuple(part)
            part, size_bytes = [], 0
        part.append(event)
        size_bytes += event.size_bytes
    if part:
        yield tuple(part)
