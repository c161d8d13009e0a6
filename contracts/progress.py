"""What the streamer's own topics carry: barriers on `progress`, the resume position on `position`; and which shard owns a table.

Every Kafka transaction of rows ends with one barrier for each shard it touched and with the position it brings the pipeline to, so
rows, barrier and position become visible together or not at all.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from contracts.position import BinlogPosition, Gtid, GtidSet


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
    `standings` holds the tables of the shard that aren't ok, by topic. `n` counts Kafka transactions of the pipeline.
    """

    n: int
    gtid_set: GtidSet
    commit_ts_us: int
    partial: bool
    next_seqs: Mapping[str, int]
    standings: Mapping[str, Standing] = field(default_factory=dict)

    def encode(self) -> bytes:
        return orjson.dumps(
            {
                "v": 1,
                "n": self.n,
                "gtid_set": str(self.gtid_set),
                "commit_ts_us": self.commit_ts_us,
                "partial": self.partial,
                "next_seqs": dict(self.next_seqs),
                "standings": {topic: [s.state.value, s.since_us] for topic, s in self.standings.items()},
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> "Barrier":
        """Raises ValueError on any other version or form."""
        body = _version_1(data, "barrier")
        try:
            standings = {topic: Standing(TableState(state), since) for topic, (state, since) in body["standings"].items()}
            return cls(body["n"], GtidSet.parse(body["gtid_set"]), body["commit_ts_us"], body["partial"], body["next_seqs"], standings)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a barrier: {type(error).__name__} {error}") from error


@dataclass(frozen=True, slots=True)
class InProgress:
    """A source transaction split over several Kafka transactions: how many of its captured rows are out, and a rolling hash of them
    by which a resumed stream knows that it skips the same rows."""

    gtid: Gtid
    rows_done: int
    rows_hash: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where the stream goes on. `gtid_set` is what is wholly on Kafka; `next_seqs` the next seq of every topic.

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

    KEY = b"gtid"

    def encode(self) -> bytes:
        """The record under `Position.KEY`; next seqs travel in records of their own, see `encode_next_seq`."""
        held = self.in_progress
        return orjson.dumps(
            {
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
        )

    @classmethod
    def decode(cls, data: bytes, next_seqs: Mapping[str, int]) -> "Position":
        """Raises ValueError on any other version or form."""
        body = _version_1(data, "position")
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
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a position: {type(error).__name__} {error}") from error


def encode_next_seq(next_seq: int) -> bytes:
    """The record of one topic in `position`, its key the topic's name."""
    return orjson.dumps({"v": 1, "next_seq": next_seq})


def decode_next_seq(data: bytes) -> int:
    """Raises ValueError on any other version or form."""
    next_seq = _version_1(data, "next seq").get("next_seq")
    if type(next_seq) is not int:
        raise ValueError(f"not a next seq: {data[:80]!r}")
    return next_seq


def shard_of(topic: str, shards: int, configured: int | None = None) -> int:
    """The shard that owns a topic: the configured one, else by hash. The same for the life of a pipeline. Raises ValueError."""
    if configured is not None:
        if not 0 <= configured < shards:
            raise ValueError(f"shard {configured} of topic {topic}: the pipeline has shards 0 to {shards - 1}")
        return configured
    return int.from_bytes(hashlib.sha256(topic.encode()).digest()[:8], "big") % shards


def _version_1(data: bytes, what: str) -> dict[str, Any]:
    body = orjson.loads(data)
    if not isinstance(body, dict) or body.get("v") != 1:
        raise ValueError(f"{what} of unknown version: {data[:80]!r}; this release reads version 1")
    return body
