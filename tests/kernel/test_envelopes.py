"""What the streamer makes of a corpus a real server wrote, read back by the loader's kernel: every row but those it rightly leaves, and
the same batches as the readable way."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from contracts.envelope import Envelope, Op
from contracts.table import TableSchema
from devstack.mysql import MysqlServer
from loader.core.changes import DecodedChanges
from loader.core.lane import Start
from loader.core.plan import Mode
from loader.core.records import Change, Record, Records
from streamer.core.translate import Origin, truncate_message
from tests.decoders import needs_kernel
from tests.kernel import corpus as written
from tests.kernel.driving import Told, drive, whole
from tests.kernel.test_corpus import CHOSEN
from tests.loader.core.collecting import Step, alike
from tests.loader.core.rowmaker import TOPIC, target_of
from tests.marks import long
from tests.streamer.core.recording import record

pytestmark = [pytest.mark.stack, needs_kernel]

CHAPTERS = ("types", "dates", "charsets", "json", "drawn", "names", "keys", "shapes", "wide", "split", "payload", "large")


@dataclass
class Published:
    """One topic: its schemas in the order of their rows, and its records, a TRUNCATE where there was one."""

    schemas: dict[str, TableSchema] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    def add(self, key: bytes | None, value: bytes) -> None:
        source = Envelope.decode(value).source
        if source.seq > len(self.records):  # the driver only counts a TRUNCATE
            origin = Origin(source.name, 1, source.gtid, source.file, source.pos, source.ts_ms, source.commit_ts_us)
            made = truncate_message(source.table, TOPIC, origin, seq=len(self.records), now_ms=0)
            self.records.append(Record(TOPIC, len(self.records), None, made.value))
        assert source.seq == len(self.records)
        self.records.append(Record(TOPIC, source.seq, key, value))

    def steps(self, seed: int) -> list[Step]:
        """Read in blocks of some size, with barriers where the schema changes and at some other places, and cut at some of them."""
        chance, out, held = Random(seed), list[Step](), list[Record]()
        schema = ""
        for number, one in enumerate(self.records):
            found = Envelope.decode(one.value or b"").source.schema
            if held and (found != schema or chance.random() < 0.02):
                out += [Records.of(*held), number, *([None] if chance.random() < 0.3 else [])]
                held = []
            elif held and chance.random() < 0.02:
                out.append(Records.of(*held))
                held = []
            held.append(one)
            schema = found
        return [*out, Records.of(*held), len(self.records), None]


def published(told: Sequence[Told]) -> dict[str, Published]:
    out: dict[str, Published] = {}
    for kind, *rest in told:
        if kind == "routed":
            out.setdefault(rest[0], Published()).schemas[rest[1].fingerprint] = rest[1]
    for topic, records in whole(told).records.items():
        for key, value in records:
            out[topic].add(key, value)
    return {topic: found for topic, found in out.items() if found.records}


@pytest.fixture(scope="module")
def recordings(server: MysqlServer) -> dict[str, list[bytes]]:
    chapters = written.complete(written.character_sets(server), written.drawn_tables(12), 2_000_000)
    return {chapter.name: record(server, [*written.PREPARE, *chapter.statements]) for chapter in chapters}


def reason(left: Record, schema: TableSchema, mode: Mode) -> str:
    """Why a row is left to the readable way: what that says of it, without numbers and names."""
    envelope = Envelope.decode(left.value or b"")
    change = Change(left.offset, left.key, envelope, left.size_bytes)
    staged = DecodedChanges([change]).staged(schema, target_of(schema, mode))
    if staged.quarantine:
        return " ".join(re.sub(r"\d+|\(.*?\)|^column .*?: |[;,[].*|(?<=no character) of .*", "", staged.quarantine[0].reason).split())
    if envelope.op is Op.DELETE and envelope.before is not None and envelope.before.keys() < schema.by_name.keys():
        return PART_OF_A_DELETE
    raise AssertionError(f"left for no reason: {left}")


PART_OF_A_DELETE = "a deleted row without all its columns"  # a session's binlog_row_image, or a row too large for a message
RIGHTLY = {
    PART_OF_A_DELETE,
    "bytes do not fit VARCHAR",
    "bytes do not fit VARBYTE",
    "holds the character U+",
    "holds bytes that stand for no character",
    "NULL where the target takes none",  # a date that is none, in the key
    "the row takes bytes",  # more than a message may
    "the row is not of its schema: it lacks",  # soft_delete wants a deleted row whole
}


def read_back(raws: Sequence[bytes], mode: Mode, seed: int, record_bytes_max: int = 64 << 20) -> Counter[str]:
    """How many rows the kernel has read, and how many it has left for each reason."""
    counts: Counter[str] = Counter()
    for topic, found in published(drive("kernel", raws, chosen=CHOSEN, record_bytes_max=record_bytes_max)).items():
        if mode.keyed and not all(schema.key for schema in found.schemas.values()):
            continue
        told = alike(found.steps(seed), schemas=list(found.schemas.values()), mode=mode, start=Start("id-1", 0, 0, 0))
        assert told.error is None, topic
        assert sum(part.rows for part in told.parts) == len(found.records)
        counts["read"] += len(found.records) - len(told.left)
        for offset in told.left:
            schema = found.schemas[Envelope.decode(found.records[offset].value or b"").source.schema]
            counts[reason(found.records[offset], schema, mode)] += 1
    return counts


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", CHAPTERS)
def test_what_the_streamer_writes_is_read_by_the_kernel(recordings: dict[str, list[bytes]], name: str, mode: Mode) -> None:
    counts = read_back(recordings[name], mode, 1)
    print(f"\n{name}, {mode}: {dict(counts)}")
    assert counts.keys() <= RIGHTLY | {"read"}
    assert counts["read"] > 0.9 * counts.total() or name in ("dates", "large")


@pytest.mark.parametrize("seed", long(*map(str, range(2, 8))))
def test_it_is_read_however_it_is_cut(recordings: dict[str, list[bytes]], seed: str) -> None:
    for name in CHAPTERS:
        for mode in Mode:
            read_back(recordings[name], mode, int(seed))


@pytest.mark.parametrize("record_bytes_max", [300, 700])
def test_rows_too_large_for_a_message_are_left(recordings: dict[str, list[bytes]], record_bytes_max: int) -> None:
    counts = sum((read_back(recordings["types"], mode, 1, record_bytes_max) for mode in Mode), Counter[str]())
    assert counts["the row takes bytes"] > 20
    assert counts.keys() <= RIGHTLY | {"read"}
