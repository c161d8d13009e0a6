"""Bytes that are not what they claim: an error in both decoders or the same output in both, soon, and in little memory."""

import itertools
import json
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import Corrupt
from streamer.core.events import Type
from streamer.core.packets import PACKET_SIZE_MAX, PythonPackets
from streamer.core.stream import PAYLOAD_BYTES_MAX
from tests.decoders import needs_kernel
from tests.kernel.driving import Pace, Told, drive, same, whole
from tests.marks import long
from tests.streamer.core.golden import NAMES, golden

pytestmark = [needs_kernel, pytest.mark.timeout(120)]


# A stream without checksums, in which every kind of event has its place.


def bare(raw: bytes) -> bytes:
    """Without its checksum; a head of a file that says there are none."""
    if raw[4] == Type.FORMAT_DESCRIPTION:
        return raw[:-5] + b"\0" + raw[-4:]
    return raw[:9] + struct.pack("<I", len(raw) - 4) + raw[13:-4]


def sized(raw: bytes) -> bytes:
    """The event with the right size in its header."""
    return raw[:9] + struct.pack("<I", len(raw)) + raw[13:]


def event(kind: int, body: bytes) -> bytes:
    return struct.pack("<IBIIIH", 1_700_000_000, kind, 1, 19 + len(body), 0, 0) + body


E = {name: bare(golden(name)) for name in NAMES}
HEAD = [E["rotate_of_the_dump"], E["format_description"]]
BEGIN = [*HEAD, E["gtid"], E["query_begin"]]
MAPPED = [*BEGIN, E["table_map"]]
ROWS = ("write_rows", "update_rows", "delete_rows", "partial_update_rows")
BEFORE: dict[str, list[bytes]] = {
    "rotate_of_the_dump": [],
    "format_description": HEAD[:1],
    "query_begin": [*HEAD, E["gtid"]],
    "query_ddl": [*HEAD, E["gtid"]],
    "xid": BEGIN,
    "xa_prepare": BEGIN,
    "rows_query": BEGIN,
    "table_map": BEGIN,
    "execute_load_query": BEGIN,
    "transaction_payload": [*HEAD, E["gtid"]],
    **dict.fromkeys(ROWS, MAPPED),
}
"""What has to come before each event so that it is looked at closely."""
AFTER: dict[str, list[bytes]] = {
    "table_map": [E["write_rows"], E["table_map"], E["partial_update_rows"], E["xid"]],
    "query_begin": [E["table_map"], E["write_rows"], E["xid"]],
    "gtid": [E["query_begin"], E["table_map"], E["write_rows"], E["xid"]],
    "gtid_tagged": [E["query_begin"], E["table_map"], E["update_rows"], E["xid"]],
    "format_description": [E["gtid"], E["query_begin"], E["table_map"], E["delete_rows"], E["xid"]],
    "rotate": [*BEGIN[1:], E["table_map"], E["write_rows"]],
    "rotate_of_the_dump": [*BEGIN[1:], E["table_map"], E["write_rows"]],
    "heartbeat": [*BEGIN[2:], E["table_map"], E["write_rows"]],
    "heartbeat_v2": [*BEGIN[2:], E["table_map"], E["write_rows"]],
    "rows_query": [E["table_map"], E["write_rows"], E["xid"]],
    **{key: [E["xid"]] for key in ROWS},
}
WHOLE = [
    *HEAD,
    E["previous_gtids"],
    E["previous_gtids_tagged"],
    E["heartbeat"],
    E["gtid"],
    E["query_begin"],
    E["rows_query"],
    *(E[name] for rows in ROWS for name in ("table_map", rows)),
    E["xid"],
    E["gtid_tagged"],
    E["query_begin"],
    E["intvar"],
    E["table_map"],
    E["write_rows"],
    E["xid"],
    E["gtid"],
    E["transaction_payload"],
    E["gtid"],
    E["query_ddl"],
    E["gtid_tagged"],
    E["query_begin"],
    E["table_map"],
    E["update_rows"],
    bytes(E["xa_prepare"][:19]) + b"\x01" + E["xa_prepare"][20:],
    E["heartbeat_v2"],
    E["stop"],
    E["rotate"],
    E["format_description"],
    E["previous_gtids"],
]


def outcome(raws: Sequence[bytes], pace: Pace | None = None, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> str:
    """`same` for the same output to the end, else the class of the error, which is the same too. Before an error one may have handed on
    more than the other: nothing of that is committed."""
    pace = pace or Pace(block=1)
    ours, theirs = (drive(name, raws, pace, payload_bytes_max=payload_bytes_max) for name in ("kernel", "python"))
    if not (_failed(ours) and _failed(theirs)):
        same(ours, theirs)
        return "same"
    shorter = min(len(ours), len(theirs)) - 1
    same(ours[:shorter], theirs[:shorter])
    assert ours[-1] == theirs[-1]
    return str(ours[-1][1])


def _failed(told: Sequence[Told]) -> bool:
    return bool(told) and told[-1][0] == "error"


def test_the_stream_is_right_before_anything_is_wrong_with_it() -> None:
    assert outcome(WHOLE) == "same"
    found = whole(drive("kernel", WHOLE))
    assert (found.rows, found.commits, found.error) == (9, 5, None)
    for name in NAMES:
        assert outcome([*BEFORE.get(name, HEAD), E[name], *AFTER.get(name, [])]) in (
            {"anonymous_gtid": "Refused", "xa_prepare": "same", "execute_load_query": "Refused"}.get(name, "same"),
        )


# Cut short.


@pytest.mark.parametrize("name", NAMES)
def test_an_event_cut_anywhere_under_a_right_header_is_alike(name: str) -> None:
    before, raw, after = BEFORE.get(name, HEAD), E[name], AFTER.get(name, [])
    outcomes = Counter(outcome([*before, sized(raw[:size]), *after]) for size in range(19, len(raw)))
    if name in ("gtid", "gtid_tagged", "xid", "table_map", "transaction_payload", *ROWS):
        assert outcomes["Corrupt"] > 0.9 * sum(outcomes.values()) or name == "table_map"
    assert set(outcomes) <= {"same", "Corrupt", "Invalid", "Refused", "Gone"}


@pytest.mark.parametrize("name", NAMES)
def test_an_event_cut_anywhere_under_its_header_is_corrupt(name: str) -> None:
    before, raw = BEFORE.get(name, HEAD), E[name]
    for size in (*range(1, 24), len(raw) // 2, len(raw) - 1):
        if size < len(raw):
            assert outcome([*before, raw[:size]]) == "Corrupt"
            assert outcome([b"".join(before) + raw[:size]], Pace()) == "Corrupt"


# Changed by chance.


def mutations(raw: bytes, chance: Random, count: int, at_least: int = 19) -> Iterator[bytes]:
    """Bodies with bits flipped, bytes replaced by lengths that lie, parts taken out, put in and doubled; the header's size made right."""
    for _ in range(count):
        data = bytearray(raw)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            _mutate(data, chance, at_least)
        yield sized(bytes(data))


def _mutate(data: bytearray, chance: Random, at_least: int) -> None:
    if len(data) <= at_least:
        data += chance.randbytes(chance.randrange(1, 9))
        return
    at = chance.randrange(at_least, len(data))
    kind = chance.randrange(7)
    if kind < 2:
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 2:
        data[at] = chance.choice((0, 1, 2, 127, 128, 250, 251, 252, 253, 254, 255))
    elif kind == 3:
        width = chance.choice((2, 3, 4, 8))
        data[at : at + width] = chance.choice((b"\xff", b"\0", b"\x7f", b"\x80")) * width
    elif kind == 4:
        del data[at : at + chance.randrange(1, 9)]
    elif kind == 5:
        data[at:at] = chance.randbytes(chance.randrange(1, 9))
    else:
        data[at:at] = data[at : at + chance.randrange(1, 40)]


def try_mutations(names: Sequence[str], count: int, seed: str) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for name in names:
        chance = Random(f"tidemark {name} {seed}")
        before, after = BEFORE.get(name, HEAD), AFTER.get(name, [])
        for number, mutated in enumerate(mutations(E[name], chance, count)):
            raws = [*before, mutated, *after]
            outcomes[_named(raws, f"{name}, seed {seed}, number {number}", Pace(block=0 if number % 3 == 0 else 1))] += 1
    return outcomes


def _named(raws: Sequence[bytes], which: str, pace: Pace) -> str:
    try:
        return outcome(raws, pace)
    except BaseException:
        print(f"{which}: {[raw.hex() for raw in raws]}")
        raise


VALUES = (0, 6, 200, 255)
MORE_VALUES = (1, 2, 3, 4, 7, 8, 9, 12, 15, 16, 31, 32, 64, 127, 128, 129, 249, 250, 251, 252, 253, 254)


def try_bytes(name: str, values: Sequence[int]) -> None:
    """Each byte of a body in turn, set to each of the values."""
    before, raw, after = BEFORE.get(name, HEAD), E[name], AFTER.get(name, [])
    for at in range(19, len(raw)):
        for value in values:
            _named([*before, raw[:at] + bytes([value]) + raw[at + 1 :], *after], f"{name}, byte {at} is {value}", Pace(block=1))


@pytest.mark.parametrize("name", NAMES)
def test_an_event_with_any_byte_changed_is_alike(name: str) -> None:
    try_bytes(name, VALUES)


@pytest.mark.parametrize("name", long(*NAMES))
def test_an_event_with_any_byte_changed_to_much_else_is_alike(name: str) -> None:
    try_bytes(name, MORE_VALUES)


WEIGHTS = {"transaction_payload": 2, "partial_update_rows": 3, "table_map": 2, "gtid_tagged": 2, "update_rows": 2}


@pytest.mark.parametrize("name", NAMES)
def test_an_event_changed_by_chance_is_alike(name: str) -> None:
    outcomes = try_mutations([name], 300 * WEIGHTS.get(name, 1), "1")
    assert set(outcomes) <= {"same", "Corrupt", "Invalid", "Refused", "Gone"}


@pytest.mark.parametrize("seed", long(*map(str, range(2, 14))))
def test_events_changed_by_chance_are_alike(seed: str) -> None:
    outcomes = try_mutations(NAMES, 400, seed)
    print(f"\nmutations: {dict(outcomes)}")
    assert outcomes["same"] > 300
    assert outcomes["Corrupt"] > 1000


@pytest.mark.parametrize("seed", ["1", "2", *long(*map(str, range(3, 20)))])
def test_a_stream_changed_by_chance_is_alike(seed: str) -> None:
    chance = Random(f"tidemark stream {seed}")
    outcomes: Counter[str] = Counter()
    for number in range(300):
        raws = list(WHOLE)
        for _ in range(chance.choice((1, 1, 2, 3))):
            place = chance.randrange(len(raws))
            kind = chance.randrange(6)
            if kind == 0:
                del raws[place]
            elif kind == 1:
                raws.insert(place, raws[place])
            elif kind == 2:
                raws.insert(chance.randrange(len(raws)), raws[place])
            elif kind == 3:
                raws[place] = next(mutations(raws[place], chance, 1, at_least=0))  # the header too, but for the size
            elif kind == 4:
                raws[place] = raws[place][:4] + bytes([chance.randrange(48)]) + raws[place][5:]
            else:
                raws[place] = next(mutations(raws[place], chance, 1))
        outcomes[_named(raws, f"seed {seed}, number {number}", Pace(seed=number) if number % 2 else Pace())] += 1
    print(f"\nstreams: {dict(outcomes)}")
    assert outcomes["same"] > 3
    assert outcomes["Corrupt"] > 40


def test_sizes_that_lie_in_a_block_are_alike() -> None:
    chance = Random("tidemark blocks")
    for _ in range(300):
        block = bytearray(b"".join(WHOLE))
        at = chance.randrange(len(block))
        for _ in range(chance.randrange(1, 4)):
            block[at : at + 1] = chance.choice((b"", b"\xff", b"\0", chance.randbytes(3)))
        outcome([bytes(block)], Pace())


# Payloads.


def payload(inner: bytes, *, declared: int | None = None, compression: int = 0, data: bytes | None = None) -> bytes:
    if data is None:
        data = zstandard.compress(inner) if compression == 0 else inner
    size = struct.pack("<BQ", 254, len(inner) if declared is None else declared)
    length = struct.pack("<BQ", 254, len(data))
    fields = b"\x02\x03" + b"\xfc" + struct.pack("<H", compression) + b"\x03\x09" + size + b"\x01\x09" + length + b"\x00"
    return event(40, fields + data)


INNER = E["query_begin"] + E["table_map"] + E["write_rows"] + E["xid"]
GTID = [*HEAD, E["gtid"]]
FRAME = zstandard.compress(INNER)


def test_a_payload_is_read_whatever_its_frames() -> None:
    half = len(INNER) // 2
    frames = zstandard.compress(INNER[:half]) + zstandard.compress(INNER[half:])
    skippable = struct.pack("<II", 0x184D2A50, 3) + b"abc"
    for data in (FRAME, frames, skippable + FRAME, FRAME + skippable, zstandard.ZstdCompressor(write_checksum=True).compress(INNER)):
        assert outcome([*GTID, payload(INNER, data=data)]) == "same"
    assert outcome([*GTID, payload(INNER, compression=255)]) == "same"


@pytest.mark.parametrize(
    "raw",
    [
        payload(INNER, declared=len(INNER) + 1),
        payload(INNER, declared=len(INNER) - 1),
        payload(INNER, declared=0),
        payload(INNER, compression=255, declared=len(INNER) - len(E["xid"])),
        payload(INNER, compression=255, declared=len(INNER) + 27),
        payload(INNER, compression=3),
        payload(INNER, data=FRAME + b"x"),
        payload(INNER, data=FRAME + b"garbage behind the frame"),
        payload(INNER, data=FRAME + FRAME),
        payload(INNER, data=b"garbage"),
        payload(INNER, data=b""),
        payload(INNER, data=FRAME[:-1]),
        payload(INNER, data=FRAME[: len(FRAME) // 2]),
        payload(INNER, data=FRAME[:5]),
        payload(INNER, declared=1 << 40),
        payload(payload(INNER)),
        payload(E["format_description"] + INNER),
        payload(E["query_begin"] + E["rotate"] + INNER),
        payload(E["query_begin"] + sized(E["heartbeat"][:19]) + INNER),
        payload(E["query_begin"] + sized(E["heartbeat_v2"][:20]) + INNER),
        payload(E["query_begin"] + event(99, b"")),
        payload(E["query_begin"] + E["query_begin"][:9] + struct.pack("<I", 1 << 31) + bytes(20)),
        payload(INNER, compression=255)[:60],
    ],
)
def test_a_payload_that_lies_is_corrupt_in_both(raw: bytes) -> None:
    assert outcome([*GTID, sized(raw)]) == "Corrupt"


def test_a_frame_changed_by_chance_is_alike() -> None:
    chance = Random("tidemark frames")
    for frame in (FRAME, zstandard.ZstdCompressor(write_checksum=True).compress(INNER)):
        for number in range(400):
            data = bytearray(frame)
            for _ in range(chance.choice((1, 1, 3))):
                _mutate(data, chance, 0)
            _named([*GTID, payload(INNER, data=bytes(data))], f"frame {number}", Pace())


def test_a_frame_cut_anywhere_is_corrupt_in_both() -> None:
    checked = zstandard.ZstdCompressor(write_checksum=True).compress(INNER)
    for frame in (FRAME, checked):
        for size in range(len(frame)):
            assert outcome([*GTID, payload(INNER, data=frame[:size])]) == "Corrupt", size


def test_a_declared_size_over_the_limit_is_refused_before_anything_is_inflated() -> None:
    limit = len(INNER) - 1
    assert outcome([*GTID, payload(INNER)], payload_bytes_max=limit + 1) == "same"
    for raw in (payload(INNER), payload(INNER, compression=255), payload(INNER, data=b"no frame at all")):
        assert outcome([*GTID, raw], payload_bytes_max=limit) == "Corrupt"


def test_a_window_over_the_limit_is_refused() -> None:
    for window_log, wanted in ((27, "same"), (28, "Corrupt"), (31, "Corrupt")):
        compressor = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters(window_log=min(window_log, 27), hash_log=6, chain_log=6),
        ).compressobj()
        data = bytearray(compressor.compress(INNER) + compressor.flush())
        assert data[5] == (min(window_log, 27) - 10) << 3, "the window's size in the frame's head"
        data[5] = (window_log - 10) << 3
        assert outcome([*GTID, payload(INNER, data=bytes(data))]) == wanted


BOMB = """
import json, resource, sys
from tests.kernel.driving import Pace, drive
import tests.kernel.test_malformed as malformed

raws = malformed.BOMBS[sys.argv[2]]()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
told = drive(sys.argv[1], raws, Pace(block=1))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"error": told[-1][1], "grown_kb": after - before}))
"""
GROWTH_KB_MAX = 24 << 10


def zeros(size_bytes: int, head: bytes = b"") -> bytes:
    """A frame of very many zeros behind a head, made in little memory."""
    compressor = zstandard.ZstdCompressor().compressobj()
    block = bytes(1 << 20)
    return b"".join([compressor.compress(head), *(compressor.compress(block) for _ in range(size_bytes >> 20)), compressor.flush()])


def header(kind: int, size: int) -> bytes:
    return struct.pack("<IBIIIH", 1_700_000_000, kind, 1, size, 0, 0)


BOMBS: dict[str, Callable[[], list[bytes]]] = {
    "says little, inflates to a gigabyte": lambda: [*GTID, payload(E["xid"], data=zeros(1 << 30, E["xid"]))],
    "says a gigabyte, and is one of zeros": lambda: [*GTID, payload(b"", declared=1 << 30, data=zeros(1 << 30))],
    "says more than the limit": lambda: [*GTID, payload(b"", declared=1 << 50, data=zeros(1 << 28))],
    "says eight gigabytes, is cut short": lambda: [*GTID, payload(b"", declared=8 << 30, data=zeros(1 << 20, header(30, 1 << 31)))],
    "plain, an inner event of two gigabytes": lambda: [*GTID, payload(header(30, 1 << 31), declared=4 << 30, compression=255)],
    "a window of 128 MiB": lambda: [*GTID, payload(INNER, declared=10, data=wide_window())],
    "previous GTIDs without end": lambda: [*HEAD, event(35, struct.pack("<Q", (1 << 55) - 1) + bytes(1000))],
    "an interval list without end": lambda: [
        *HEAD,
        event(35, struct.pack("<Q", 1) + bytes(16) + struct.pack("<Q", (1 << 64) - 1) + b"\1" * 64),
    ],
    "a table of endless columns": lambda: [*BEGIN, E["table_map"][:39] + b"\xfe" + b"\xff" * 8 + E["table_map"][48:], E["write_rows"]],
    "a rows event of endless columns": lambda: [*MAPPED, E["write_rows"][:29] + b"\xfe" + b"\xff" * 8 + E["write_rows"][38:]],
}


def wide_window() -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, hash_log=6, chain_log=6)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(INNER) + compressor.flush()


@pytest.mark.parametrize("decoder", ["kernel", "python"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_an_error_and_takes_no_memory(decoder: str, bomb: str) -> None:
    done = subprocess.run([sys.executable, "-c", BOMB, decoder, bomb], check=True, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["error"] == "Corrupt"
    assert found["grown_kb"] < GROWTH_KB_MAX, found


# Numbers at the end of what is possible.


@pytest.mark.parametrize(
    "raws",
    [
        [event(4, struct.pack("<Q", offset) + b"binlog.000001"), E["format_description"], *(sized(raw) for raw in rest)]
        for offset in (0, 4, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
        for rest in ([E["gtid"], E["query_begin"], E["table_map"], E["write_rows"], E["xid"]], [E["rotate"], *BEGIN[1:]])
    ],
)
def test_offsets_at_the_end_of_what_is_possible_are_alike(raws: list[bytes]) -> None:
    assert outcome(raws) in ("same", "Corrupt")


@pytest.mark.parametrize("tag", ['"', "\\", "\n", "x\x00y", "UPPER", "é", "a:b", "", "_ok1"])
def test_tags_that_no_server_takes_are_alike(tag: str) -> None:
    raw = E["gtid_tagged"]
    at = raw.index(b"blue")
    text = tag.encode()
    tagged = sized(raw[: at - 1] + bytes([2 * len(text)]) + text + raw[at + 4 :])
    assert outcome([*HEAD, tagged, *AFTER["gtid_tagged"]]) in ("same", "Corrupt")


# Packets.


def packet(payload_: bytes, sequence: int = 0) -> bytes:
    """The payload as the protocol splits it."""
    parts = [payload_[at : at + PACKET_SIZE_MAX] for at in range(0, len(payload_) + 1, PACKET_SIZE_MAX)]
    return b"".join(len(part).to_bytes(3, "little") + bytes([(sequence + n) & 255]) + part for n, part in enumerate(parts))


def raw_event(size: int, filling: int = 7) -> bytes:
    return b"\0" + event(30, bytes([filling]) * (size - 19))


def cut(data: bytes, places: Sequence[int]) -> Iterator[memoryview]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    for begin, end in itertools.pairwise(marks):
        yield memoryview(data)[begin:end]


def same_packets(data: bytes, places: Sequence[int]) -> tuple[int, bytes | None, bool]:
    """How many bytes of events came out, the answer, and whether it ended in an error: the same for both."""
    from streamer.core.kernel import KernelPackets

    ours, theirs = KernelPackets(), PythonPackets()
    total = 0
    for part in cut(data, places):
        try:
            wanted: bytes | None = theirs.take(part)
        except Corrupt:
            wanted = None
        try:
            found: bytes | None = ours.take(part)
        except Corrupt:
            found = None
        assert found == wanted
        assert ours.answer == theirs.answer
        if found is None:
            return total, ours.answer, True
        total += len(found)
    return total, ours.answer, False


ANSWERS = (b"\xfe\0\0\2\0", b"\xff\x8b\x04#HY000Could not find", b"\xfe")
a_payload = st.one_of(
    st.integers(19, 200).map(raw_event),
    st.sampled_from([b"", b"\0", b"\0" * 19, b"\0" * 30, raw_event(40)[:-1], raw_event(40) + b"x", *ANSWERS]),
    st.binary(max_size=60),
)


@given(st.lists(a_payload, max_size=8), st.lists(st.integers(0, 2000), max_size=12), st.binary(max_size=6))
def test_packets_are_alike_however_the_stream_is_cut(payloads: list[bytes], places: list[int], tail: bytes) -> None:
    same_packets(b"".join(packet(item) for item in payloads) + tail, places)


@given(st.lists(st.integers(19, 300), min_size=1, max_size=8), st.lists(st.integers(0, 3000), max_size=12))
def test_whole_events_come_out_whole(sizes: list[int], places: list[int]) -> None:
    data = b"".join(packet(raw_event(size, n)) for n, size in enumerate(sizes))
    assert same_packets(data, places) == (sum(sizes), None, False)
    assert same_packets(data + packet(ANSWERS[0]) + packet(raw_event(30)), places) == (sum(sizes), ANSWERS[0], False)


LARGE = (PACKET_SIZE_MAX - 2, PACKET_SIZE_MAX - 1, PACKET_SIZE_MAX, 2 * PACKET_SIZE_MAX - 1, 2 * PACKET_SIZE_MAX + 5)


@pytest.mark.parametrize("size", LARGE)
def test_events_that_the_protocol_splits_are_joined_alike(size: int) -> None:
    # With the byte before an event, a packet of exactly 16 MiB less one has an empty one behind it.
    data = packet(raw_event(50)) + packet(raw_event(size)) + packet(raw_event(60)) + packet(ANSWERS[1])
    chance = Random(f"tidemark {size}")
    for places in ([], [60, len(data) - 3], [chance.randrange(len(data)) for _ in range(9)]):
        assert same_packets(data, places) == (110 + size, ANSWERS[1], False)


@settings(max_examples=15)
@given(st.sampled_from(LARGE), st.lists(st.integers(0, 3 * PACKET_SIZE_MAX), max_size=6), st.integers(-6, 6))
def test_events_that_the_protocol_splits_are_alike_however_cut(size: int, places: list[int], near: int) -> None:
    data = packet(raw_event(size)) + packet(raw_event(33))
    same_packets(data, [*places, PACKET_SIZE_MAX + 4 + near])
