"""A Decoder driven as the service drives it, without Kafka: all it says, in a form in which two of them can be compared."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from contracts.errors import PipelineError
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import InProgress
from contracts.table import TableId
from contracts.topics import Topics
from streamer.core.commit_times import CommitTimes
from streamer.core.ddl import TableChange, Verb
from streamer.core.decoder import CHUNK_BYTES, Chunk, Decoder, Shown, Step, Unrouted
from streamer.core.route import Choices, TableChoice, route
from streamer.core.schemas import TableMap
from streamer.core.stream import PAYLOAD_BYTES_MAX
from streamer.core.transactions import Began, Committed, Ddl, EventJudge
from streamer.core.twin import PythonDecoder

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
IGNORED = "ignored"  # the database nobody captures
Told = tuple[Any, ...]
"""What a decoder said or was told in one step; the first item is its kind."""


def choices(tables: Mapping[TableId, TableChoice] | None = None) -> Choices:
    return Choices(Topics("corpus"), 4, lambda table: table.database != IGNORED, tables=tables or {})


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream is cut. `block`: raw events a feed, 0 for all. `close_at`, `stop_at`: what `next` is asked for. `seed`: all three are
    drawn anew each time, from small numbers."""

    block: int = 0
    close_at: int = 10_000
    stop_at: int = 250_000
    chunk_bytes: int = CHUNK_BYTES
    seed: int | None = None

    def blocks(self, raws: Sequence[bytes], chance: Random) -> Iterator[bytes]:
        at = 0
        while at < len(raws):
            count = chance.randrange(1, 12) if self.seed is not None else self.block or len(raws)
            yield b"".join(raws[at : at + count])
            at += count

    def limits(self, chance: Random) -> tuple[int, int]:
        return (chance.randrange(-1, 9), chance.randrange(1, 9)) if self.seed is not None else (self.close_at, self.stop_at)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream is taken up: seqs and the transaction in progress that a position says."""

    next_seqs: Mapping[str, int] = field(default_factory=dict)
    in_progress: InProgress | None = None


@dataclass
class Driver:
    """One decoder and what its caller has to remember."""

    decoder: Decoder
    choices: Choices = field(default_factory=choices)
    next_seqs: dict[str, int] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.judge = EventJudge(self.choices.captures)

    def take(self, blocks: Iterable[bytes], limits: Callable[[], tuple[int, int]]) -> list[Told]:
        """All it says until the end or an error of ours; any other error is a bug and passes through."""
        try:
            for block in blocks:
                self.decoder.feed(block, NOW)
                while (step := self.decoder.next(*limits())) is not None:
                    self._step(step)
        except PipelineError as error:
            self.told.append(("error", *_error(error)))
        return self.told

    def _step(self, step: Step) -> None:
        if isinstance(step, Chunk):
            self._chunk(step)
        elif isinstance(step, Unrouted):
            self._unrouted(step)
        else:
            self._shown(step)

    def _chunk(self, chunk: Chunk) -> None:
        records = []
        for of_topic in chunk.records:
            rows = [(record["key"], record["value"]) for record in of_topic.records]
            records.append((of_topic.topic, rows, of_topic.size_bytes))
            self.next_seqs[of_topic.topic] = self.next_seqs.get(of_topic.topic, 0) + len(rows)
        self.told.append(("chunk", records, chunk.commits, chunk.under_way, chunk.in_progress))

    def _unrouted(self, step: Unrouted) -> None:
        table: TableMap = step.table
        if not self.judge.captures(table.table):
            self.told.append(("ignored", table.table, step.in_progress))
            self.decoder.ignore(table)
            return
        way = route(table.schema, self.choices)
        self.told.append(("routed", way.topic, way.schema, step.in_progress))
        self.decoder.use(table, way, self.next_seqs.get(way.topic, 0))

    def _shown(self, shown: Shown) -> None:
        self.told.append(("shown", shown.at, shown.under_way))
        for meaning in self.judge.judge(shown.at, shown.under_way):
            if isinstance(meaning, Began):
                self.decoder.began()
            elif isinstance(meaning, Committed):
                self.decoder.ended()
                self.told.append(("committed", meaning))
            else:
                self._ddl(meaning)

    def _ddl(self, ddl: Ddl) -> None:
        change = ddl.change
        if isinstance(change, TableChange) and change.verb is Verb.TRUNCATE:
            for table in filter(self.judge.captures, change.tables):
                topic = self.choices.topic(table)
                if topic in self.next_seqs:
                    self.next_seqs[topic] += 1  # the record of the TRUNCATE
                    self.decoder.forget(topic)


def _error(error: PipelineError) -> tuple[str, str]:
    """Its class; and its words where they are for people to act on: all but those on bytes that make no sense."""
    words = error.message
    plain = type(error).__name__ == "Corrupt" and "does not say what column" not in words and "on Kafka" not in words
    return type(error).__name__, "" if plain else words


def drive(
    decoder: str,
    raws: Sequence[bytes],
    pace: Pace | None = None,
    start: Start | None = None,
    *,
    record_bytes_max: int = 8 << 20,
    payload_bytes_max: int = PAYLOAD_BYTES_MAX,
    chosen: Choices | None = None,
) -> list[Told]:
    """What `python` or `kernel` says of raw events."""
    pace, start = pace or Pace(), start or Start()
    chance = Random(pace.seed)
    made = _make(decoder)("corpus", record_bytes_max, start.in_progress, payload_bytes_max=payload_bytes_max, chunk_bytes=pace.chunk_bytes)
    driver = Driver(made, chosen or choices(), next_seqs=dict(start.next_seqs))
    return driver.take(pace.blocks(raws, chance), lambda: pace.limits(chance))


def _make(decoder: str) -> Callable[..., Decoder]:
    if decoder == "python":
        return PythonDecoder
    from streamer.core.kernel import KernelDecoder  # only where it was built

    return KernelDecoder


def both(raws: Sequence[bytes], pace: Pace | None = None, start: Start | None = None, **settings: Any) -> list[Told]:
    """What both say, which must be the same."""
    told = drive("kernel", raws, pace, start, **settings)
    same(told, drive("python", raws, pace, start, **settings))
    return told


def same(found: Sequence[Told], wanted: Sequence[Told]) -> None:
    """Fails with the first difference, shortly: what is compared may be megabytes."""
    if found == wanted:
        return
    for place, (ours, theirs) in enumerate(zip(found, wanted, strict=False)):
        if ours != theirs:
            pytest.fail(f"step {place} differs:\n{_difference(ours, theirs)}")
    longer = max(found, wanted, key=len)
    more = longer[min(len(found), len(wanted))]
    pytest.fail(f"{len(found)} steps, not {len(wanted)}; the first beyond is {_short(more)}")


def _difference(ours: Told, theirs: Told) -> str:
    if ours[0] == theirs[0] == "chunk":
        for (topic, rows, _), (other, others, _) in zip(ours[1], theirs[1], strict=False):
            for number, (row, other_row) in enumerate(zip(rows, others, strict=False)):
                if (topic, row) != (other, other_row):
                    return f"{topic}, record {number}\n{_apart(row, other_row)}"
        ours = ("chunk", [(topic, len(rows)) for topic, rows, _ in ours[1]], *ours[2:])
        theirs = ("chunk", [(topic, len(rows)) for topic, rows, _ in theirs[1]], *theirs[2:])
    return f"{_short(ours)}\n{_short(theirs)}"


def _apart(row: Sequence[bytes | None], other: Sequence[bytes | None]) -> str:
    """Both from a little before where they part."""
    for ours, theirs in zip(row, other, strict=True):
        if ours is not None and theirs is not None and ours != theirs:
            at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
            return f"{ours[max(0, at - 80) : at + 300]!r}\n{theirs[max(0, at - 80) : at + 300]!r}"
    return f"{_short(tuple(row))}\n{_short(tuple(other))}"


def _short(told: Told) -> str:
    return repr(told)[:1500]


@dataclass(frozen=True)
class Whole:
    """What a stream says however it is cut: the records of each topic, the commits together, the schemas in order."""

    records: Mapping[str, list[tuple[bytes | None, bytes]]]
    gtids: GtidSet
    commits: int
    times: tuple[int, int]  # the newest, and the greatest step back
    end: BinlogPosition | None
    shown: list[Told]
    error: Told | None

    @property
    def rows(self) -> int:
        return sum(len(records) for records in self.records.values())

    @property
    def size_bytes(self) -> int:
        return sum(len(key or b"") + len(value) for records in self.records.values() for key, value in records)


def whole(told: Iterable[Told]) -> Whole:
    records: dict[str, list[tuple[bytes | None, bytes]]] = {}
    gtids, count, times, end = GtidSet(), 0, CommitTimes(), None
    shown: list[Told] = []
    error = None
    for kind, *rest in told:
        if kind == "chunk":
            for topic, rows, size_bytes in rest[0]:
                assert size_bytes == sum(len(value) for _, value in rows)
                records.setdefault(topic, []).extend(rows)
            if (commits := rest[1]) is not None:
                gtids, count, end = gtids.union(commits.gtids), count + commits.count, commits.end
                times = times.after(commits.lowest_us, commits.newest_us, commits.backstep_us)
        elif kind == "committed":
            meaning: Committed = rest[0]
            gtids, count, end = gtids.with_gtid(meaning.gtid), count + 1, meaning.end
            times = times.seen(meaning.commit_us)
        elif kind == "shown":
            shown.append((rest[0], rest[1]))
        elif kind == "error":
            error = tuple(rest)
    return Whole(records, gtids, count, (times.newest_us, times.backstep_us), end, shown, error)


def same_whole(found: Whole, wanted: Whole) -> None:
    for topic in {**found.records, **wanted.records}:
        ours, theirs = found.records.get(topic, []), wanted.records.get(topic, [])
        for number, (row, other) in enumerate(zip(ours, theirs, strict=False)):
            if row != other:
                pytest.fail(f"{topic}, record {number} differs:\n{_apart(row, other)}")
        assert len(ours) == len(theirs), f"{topic}: {len(ours)} records, not {len(theirs)}"
    assert replace(found, records={}) == replace(wanted, records={})
