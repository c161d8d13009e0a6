"""What the streamer's own topics carry: barriers on `progress`, the resume position on `position`; and which shard owns a table.

Every Kafka transaction of rows ends with one barrier for each shard it touched and with the position it brings the pipeline to, so
rows, barrier and position become visible together or not at all.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson

from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.table import TableId


class TableState(StrEnum):
    OK = "ok"
    SNAPSHOTTING = "snapshotting"
    REREADING = "rereading"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Standing:
    """A table's state and the commit time since which it holds."""

    state: TableState
    since_us: int


@dataclass(frozen=True, slots=True)
class Barrier:
    """A cut through every partition of one shard. It is reached once each partition in `next_seqs` was read up to next seq − 1;
    it names the partitions touched since the shard's last barrier. Up to `gtid_set` and `commit_ts_us` everything is then there.

    `partial`: the Kafka transaction ends inside a source transaction; `gtid_set` is then the set before that one.
    `standings` holds the tables of the shard that aren't ok, by topic. `renewing`: of the partitions in `next_seqs` those whose tables come
    anew, with all rows MySQL holds, in this Kafka transaction or after it. `n` counts Kafka transactions of the pipeline.
    """

    n: int
    gtid_set: GtidSet
    commit_ts_us: int
    partial: bool
    next_seqs: Mapping[str, int]
    standings: Mapping[str, Standing] = field(default_factory=dict)
    renewing: frozenset[str] = frozenset()

    def encode(self) -> bytes:
        body: dict[str, Any] = {
            "v": 1,
            "n": self.n,
            "gtid_set": str(self.gtid_set),
            "commit_ts_us": self.commit_ts_us,
            "partial": self.partial,
            "next_seqs": dict(self.next_seqs),
            "standings": {topic: [s.state.value, s.since_us] for topic, s in self.standings.items()},
        }
        if self.renewing != _read(body):
            body["renewing"] = sorted(self.renewing)
            body["v"] = 2  # a former release would take a reading for a whole one
        return orjson.dumps(body)

    @classmethod
    def decode(cls, data: bytes) -> "Barrier":
        """Raises ValueError on any other version or form."""
        body = _versioned(data, "barrier", 1, 2)
        try:
            standings = {topic: Standing(TableState(state), since) for topic, (state, since) in body["standings"].items()}
            renewing = frozenset(body["renewing"]) if body["v"] == 2 else _read(body)
            return cls(
                body["n"], GtidSet.parse(body["gtid_set"]), body["commit_ts_us"], body["partial"], body["next_seqs"], standings, renewing
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a barrier: {type(error).__name__} {error}") from error


def _read(barrier: dict[str, Any]) -> frozenset[str]:
    """Of the partitions a barrier names, those whose tables it says are read: version 1 has no other word of which come anew."""
    return frozenset(barrier["next_seqs"].keys() & barrier["standings"].keys())


@dataclass(frozen=True, slots=True)
class InProgress:
    """A source transaction split over several Kafka transactions: how many of its captured rows are out, and a rolling hash of them
    by which a resumed stream knows that it skips the same rows."""

    gtid: Gtid
    rows_done: int
    rows_hash: str


@dataclass(frozen=True, slots=True)
class RowCursor:
    """A row by the columns a reading is ordered by, and their values as MySQL's text protocol gives them."""

    columns: tuple[str, ...]
    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Reread:
    """A table whose rows are being read from the table itself, in the order of a key, while the stream goes on. `after`: the last of them
    that is on Kafka, None before the first. `where`: only rows for which this SQL condition holds. `rows`: how many are on Kafka; `schema`:
    their fingerprint, empty before the first."""

    table: TableId
    standing: Standing
    after: RowCursor | None = None
    where: str | None = None
    rows: int = 0
    paused: bool = False
    schema: str = ""

    @property
    def whole(self) -> bool:
        """Whether it is of all rows MySQL holds."""
        return self.where is None

    def restarted(self) -> "Reread":
        """The same from the first row on."""
        return replace(self, after=None, rows=0, schema="")


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of a table that are to be read again by their keys, or row events that are to be sent again, while the stream goes on.
    `signals`: offsets of the signals that name them, the oldest first, of which none is on Kafka yet."""

    table: TableId
    standing: Standing
    signals: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.signals:
            raise ValueError(f"nothing is asked for of {self.table}")


@dataclass(frozen=True, slots=True)
class Position:
    """Where the stream goes on. `gtid_set` is what is wholly on Kafka; `next_seqs` the next seq of every topic the pipeline knows, 0 of one
    that holds no record; by topic the readings that are not finished, `rereads` of tables and `asked` of single rows; `dropped` the topics
    whose tables are gone, while their rows are kept; `next_signal` the offset of the next signal to act on; `shards` the shard of topics
    that hold records, in a pipeline of several, as far as they were written since it is kept.

    `commit_ts_us` is what the last whole barrier promised (never falls); `newest_commit_us` and `backstep_us` are the newest commit
    time seen and the greatest step back from it, by which the promise stays behind. `binlog` is a hint for people.
    """

    n: int
    server_uuid: str
    gtid_set: GtidSet
    commit_ts_us: int
    newest_commit_us: int
    backstep_us: int
    binlog: BinlogPosition
    in_progress: InProgress | None = None
    next_seqs: Mapping[str, int] = field(default_factory=dict)
    rereads: Mapping[str, Reread] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    next_signal: int = 0
    asked: Mapping[str, Asked] = field(default_factory=dict)
    shards: Mapping[str, int] = field(default_factory=dict)

    KEY = b"gtid"

    @property
    def streamed(self) -> GtidSet:
        """Every transaction of which a row is on Kafka."""
        return self.gtid_set if self.in_progress is None else self.gtid_set.with_gtid(self.in_progress.gtid)

    @property
    def readings(self) -> Mapping[str, Asked | Reread]:
        """By topic what is being read, a whole table before keys of it: its standing is the table's."""
        return {**self.asked, **self.rereads}

    def encode(self) -> bytes:
        """The record under `Position.KEY`; what is told by topic travels in records of its own, see `encode_topic`."""
        held = self.in_progress
        body: dict[str, Any] = {
            "v": 1,
            "n": self.n,
            "server_uuid": self.server_uuid,
            "gtid_set": str(self.gtid_set),
            "commit_ts_us": self.commit_ts_us,
            "newest_commit_us": self.newest_commit_us,
            "backstep_us": self.backstep_us,
            "file": self.binlog.file,
            "pos": self.binlog.offset,
            "in_progress": held and {"gtid": str(held.gtid), "rows_done": held.rows_done, "rows_hash": held.rows_hash},
        }
        if self.next_signal:
            body["next_signal"] = self.next_signal
        return orjson.dumps(body)

    def encode_topic(self, topic: str) -> bytes:
        """The record under the topic's name: its next seq, and what is not as usual with its table."""
        body: dict[str, Any] = {"v": 1, "next_seq": self.next_seqs.get(topic, 0)}
        if (reread := self.rereads.get(topic)) is not None:
            body["reread"] = _encode_reread(reread)
        if (asked := self.asked.get(topic)) is not None:
            body["asked"] = {**_encode_reading(asked), "signals": asked.signals}
        if topic in self.dropped:
            body["dropped"] = True
        if (shard := self.shards.get(topic)) is not None:
            body["shard"] = shard
        if len(body) > 2:
            body["v"] = 2  # so that a release which can't go on with it refuses the position
        return orjson.dumps(body)

    @classmethod
    def decode(cls, records: Mapping[bytes, bytes]) -> "Position | None":
        """From the last record of every key of the topic `position`; None without any. Raises ValueError on any other version or form."""
        if not records:
            return None
        if cls.KEY not in records:
            raise ValueError("records of topics, but no position; has someone deleted records of it?")
        next_seqs: dict[str, int] = {}
        rereads: dict[str, Reread] = {}
        asked: dict[str, Asked] = {}
        dropped: set[str] = set()
        shards: dict[str, int] = {}
        for key, data in records.items():
            if key != cls.KEY:
                topic = key.decode()
                next_seqs[topic], reread, of_topic, is_dropped, shard = _decode_topic(data)
                if reread is not None:
                    rereads[topic] = reread
                if of_topic is not None:
                    asked[topic] = of_topic
                if is_dropped:
                    dropped.add(topic)
                if shard is not None:
                    shards[topic] = shard
        body = _versioned(records[cls.KEY], "position")
        try:
            held = body["in_progress"]
            return cls(
                n=body["n"],
                server_uuid=body["server_uuid"],
                gtid_set=GtidSet.parse(body["gtid_set"]),
                commit_ts_us=body["commit_ts_us"],
                newest_commit_us=body["newest_commit_us"],
                backstep_us=body["backstep_us"],
                binlog=BinlogPosition(body["file"], body["pos"]),
                in_progress=held and InProgress(Gtid.parse(held["gtid"]), held["rows_done"], held["rows_hash"]),
                next_seqs=next_seqs,
                rereads=rereads,
                dropped=frozenset(dropped),
                next_signal=body.get("next_signal", 0),
                asked=asked,
                shards=shards,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a position: {type(error).__name__} {error}") from error


def _decode_topic(data: bytes) -> tuple[int, Reread | None, Asked | None, bool, int | None]:
    body = _versioned(data, "record of a topic's position", 1, 2)
    next_seq = body.get("next_seq")
    if type(next_seq) is not int:
        raise ValueError(f"not the record of a topic's position: {data[:80]!r}")
    if unknown := body.keys() - {"v", "next_seq", "reread", "asked", "dropped", "shard"}:
        raise ValueError(f"the record of a topic's position holds {', '.join(sorted(unknown))}, which this release does not know")
    try:
        reread, asked, shard = body.get("reread"), body.get("asked"), body.get("shard")
        return (
            next_seq,
            None if reread is None else _decode_reread(reread),
            None if asked is None else Asked(*_decode_reading(asked), tuple(map(_whole, asked["signals"]))),
            body.get("dropped", False) is True,
            None if shard is None else _whole(shard),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the record of a topic's position: {type(error).__name__} {error}") from error


def _encode_reading(reading: Asked | Reread) -> dict[str, Any]:
    table, standing = reading.table, reading.standing
    return {"table": [table.database, table.name], "state": standing.state.value, "since_us": standing.since_us}


def _decode_reading(body: dict[str, Any]) -> tuple[TableId, Standing]:
    return TableId(*body["table"]), Standing(TableState(body["state"]), body["since_us"])


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r:.80} is no whole number")
    return value


def _encode_reread(reread: Reread) -> dict[str, Any]:
    after = reread.after
    body = {
        **_encode_reading(reread),
        "after": after and {"columns": after.columns, "values": [value.hex() for value in after.values]},
        "where": reread.where,
        "rows": reread.rows,
        "paused": reread.paused,
    }
    return {**body, "schema": reread.schema} if reread.schema else body


def _decode_reread(body: dict[str, Any]) -> Reread:
    after = body["after"]
    table, standing = _decode_reading(body)
    return Reread(
        table=table,
        standing=standing,
        after=after and RowCursor(tuple(after["columns"]), tuple(bytes.fromhex(value) for value in after["values"])),
        where=body["where"],
        rows=body["rows"],
        paused=body["paused"],
        schema=body.get("schema", ""),  # which former releases don't write
    )


def shard_of(topic: str, shards: int, configured: int | None = None) -> int:
    """The shard that owns a topic: the configured one, else by hash. The same for the life of a pipeline. Raises ValueError."""
    if configured is not None:
        if not 0 <= configured < shards:
            raise ValueError(f"shard {configured} of topic {topic}: the pipeline has shards 0 to {shards - 1}")
        return configured
    return int.from_bytes(hashlib.sha256(topic.encode()).digest()[:8], "big") % shards


def _versioned(data: bytes, what: str, *versions: int) -> dict[str, Any]:
    """`versions`: those this release reads, 1 unless told."""
    known = versions or (1,)
    body = orjson.loads(data)
    if not isinstance(body, dict) or body.get("v") not in known:
        raise ValueError(f"{what} of unknown version: {data[:80]!r}; this release reads version {' and '.join(map(str, known))}")
    return body
