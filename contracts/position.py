"""Where we are in MySQL's history: binlog positions and GTID sets.

Source: MySQL manual, "GTID Sets" and "Tagged GTIDs" (8.3+): `uuid[:tag]:n[-m][:n[-m]]…[:tag:…][,uuid…]`, ends inclusive, from 1.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_INTERVAL = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True, order=True)
class BinlogPosition:
    """A byte offset in a binlog file. The GTID set decides where reading goes on, so of a stored one only people and logs make use; on one
    connection to one server it tells whether the stream has passed a place."""

    file: str
    offset: int

    @classmethod
    def unknown(cls) -> "BinlogPosition":
        """Nothing was streamed yet from the server, so no place in its files is known."""
        return cls("", 4)

    def is_before(self, other: "BinlogPosition") -> bool:
        """In the order of one server's files, whose numbers grow by a digit when they must."""
        return (len(self.file), self.file, self.offset) < (len(other.file), other.file, other.offset)

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"


@dataclass(frozen=True, slots=True, order=True)
class Gtid:
    """One transaction: the server that first committed it, an optional tag, and its number there, from 1."""

    server: str
    number: int
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.server}:{self.tag}:{self.number}" if self.tag else f"{self.server}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Gtid":
        """`uuid:5` or `uuid:tag:5`. Raises ValueError."""
        parts = text.strip().lower().split(":")
        if len(parts) not in (2, 3) or not parts[-1].isdigit():
            raise ValueError(f"not a GTID: {text!r}")
        tag = parts[1] if len(parts) == 3 else ""
        if tag and not _TAG.fullmatch(tag):
            raise ValueError(f"not a GTID tag: {tag!r} in {text!r}")
        return cls(str(UUID(parts[0])), int(parts[-1]), tag)


Interval = tuple[int, int]  # [start, stop), half-open, start >= 1
_Source = tuple[str, str]  # server UUID, tag ("" for none)


def _normal(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Sorted, disjoint, joined where they touch."""
    out: list[Interval] = []
    for start, stop in sorted(intervals):
        if not 1 <= start < stop:
            raise ValueError(f"need 1 <= start < stop, got [{start}, {stop})")
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((start, stop))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class GtidSet:
    """The transactions a server, or this pipeline, has executed. Immutable; equal sets print alike."""

    intervals: Mapping[_Source, tuple[Interval, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, intervals: Mapping[_Source, Iterable[Interval]]) -> "GtidSet":
        normal = {source: _normal(runs) for source, runs in intervals.items()}
        return cls({source: normal[source] for source in sorted(normal) if normal[source]})

    @classmethod
    def parse(cls, text: str) -> "GtidSet":
        """MySQL's spelling, white space ignored. Raises ValueError naming what is wrong."""
        found: dict[_Source, list[Interval]] = {}
        for part in "".join(text.split()).lower().split(","):
            if not part:
                continue
            uuid, *rest = part.split(":")
            source = (str(UUID(uuid)), "")
            for item in rest:
                if match := _INTERVAL.fullmatch(item):
                    start = int(match[1])
                    found.setdefault(source, []).append((start, int(match[2] or start) + 1))
                elif _TAG.fullmatch(item):
                    source = (source[0], item)
                else:
                    raise ValueError(f"not a GTID interval or tag: {item!r} in {part!r}")
        return cls.of(found)

    def __str__(self) -> str:
        by_server: dict[str, list[str]] = {}
        for (server, tag), runs in self.intervals.items():
            text = ":".join(str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in runs)
            by_server.setdefault(server, []).append(f"{tag}:{text}" if tag else text)
        return ",".join(f"{server}:{':'.join(parts)}" for server, parts in by_server.items())

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __hash__(self) -> int:
        return hash(str(self))

    def __contains__(self, gtid: Gtid) -> bool:
        return any(a <= gtid.number < b for a, b in self.intervals.get((gtid.server, gtid.tag), ()))

    def __iter__(self) -> Iterator[tuple[_Source, tuple[Interval, ...]]]:
        return iter(self.intervals.items())

    def with_gtid(self, gtid: Gtid) -> "GtidSet":
        """This set and one transaction more. Cheap when it is the next one of its server, the usual case."""
        source = (gtid.server, gtid.tag)
        runs = self.intervals.get(source, ())
        if runs and runs[-1][1] == gtid.number:
            grown = (*runs[:-1], (runs[-1][0], gtid.number + 1))
            return GtidSet({**self.intervals, source: grown})
        return GtidSet.of({**self.intervals, source: (*runs, (gtid.number, gtid.number + 1))})

    def union(self, other: "GtidSet") -> "GtidSet":
        sources = {**self.intervals, **other.intervals}
        return GtidSet.of({source: (*self.intervals.get(source, ()), *other.intervals.get(source, ())) for source in sources})

    def minus(self, other: "GtidSet") -> "GtidSet":
        """What is in this set and not in `other`."""
        left: dict[_Source, list[Interval]] = {}
        for source, runs in self.intervals.items():
            for start, stop in runs:
                at = start
                for a, b in other.intervals.get(source, ()):
                    if b <= at or a >= stop:
                        continue
                    if a > at:
                        left.setdefault(source, []).append((at, a))
                    at = max(at, b)
                if at < stop:
                    left.setdefault(source, []).append((at, stop))
        return GtidSet.of(left)

    def is_subset(self, other: "GtidSet") -> bool:
        return not self.minus(other)

    def count(self) -> int:
        """How many transactions the set holds."""
        return sum(b - a for runs in self.intervals.values() for a, b in runs)
