"""The dump connection's bytes: GTID sets as the command carries them, packets as the server frames them."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from contracts.errors import Corrupt, Gone, Invalid, Unavailable
from contracts.position import GtidSet
from runtime.sections import Mysql
from streamer.core.gtids import parse_previous
from streamer.edges.dump import MysqlBinlog, encode_gtid_set

SOON = timedelta(seconds=5)
UUIDS = st.sampled_from([f"{letter * 8}-1111-2222-3333-444444444444" for letter in "abc"])
TAGS = st.sampled_from(["", "t", "_tag_2", "x" * 32])
RUNS = st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**6)).map(lambda run: (run[0], run[0] + run[1])), min_size=1, max_size=4)


@given(st.dictionaries(st.tuples(UUIDS, TAGS), RUNS, max_size=6))
def test_an_encoded_gtid_set_says_what_the_set_says(intervals: dict[tuple[str, str], list[tuple[int, int]]]) -> None:
    gtids = GtidSet.of(intervals)
    assert parse_previous(encode_gtid_set(gtids)).gtids == gtids


def test_a_set_without_tags_has_the_form_every_server_reads() -> None:
    encoded = encode_gtid_set(GtidSet.parse("aaaaaaaa-1111-2222-3333-444444444444:1-5:9"))
    assert encoded.hex() == (
        "0100000000000000" "aaaaaaaa111122223333444444444444" "0200000000000000"
        "0100000000000000" "0600000000000000" "0900000000000000" "0a00000000000000"
    )  # fmt: skip


def raw(size: int) -> bytes:
    """An event of so many bytes, by its own account too."""
    return bytes(9) + size.to_bytes(4, "little") + (bytes(range(256)) * (size // 256 + 1))[: size - 13]


class Wire:
    """A dump connection whose other end the test holds."""

    def __init__(self) -> None:
        ours, self.server = socket.socketpair()
        settings = Mysql.model_validate({"host": "h", "user": "u", "password": SecretStr("p"), "allow_plaintext": True})
        self.binlog = MysqlBinlog(settings, 7, "tidemark-p")
        self.binlog._connection = SimpleNamespace(_sock=ours, _force_close=ours.close)
        self.binlog._heard = float("inf")

    def say(self, *packets: bytes) -> None:
        data = b"".join(len(packet).to_bytes(3, "little") + b"\0" + packet for packet in packets)
        threading.Thread(target=self.server.sendall, args=(data,), daemon=True).start()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.server.close()
    made.binlog.close()


def test_events_come_whole_and_none_when_the_server_is_silent(wire: Wire) -> None:
    wire.say(b"\0" + raw(20), b"\0" + raw(333))
    assert take(wire, 353) == raw(20) + raw(333)
    assert wire.binlog.next(timedelta(0)) is None


def take(wire: Wire, size: int) -> bytes:
    """So many bytes of events, however they are received."""
    found = b""
    while len(found) < size:
        found += wire.binlog.next(timedelta(seconds=30)) or b""
    return found


@pytest.mark.parametrize("size", [0xFF_FFFE, 0xFF_FFFF, 0xFF_FFFF + 5, 2 * 0xFF_FFFF])
def test_an_event_over_several_packets_is_joined(wire: Wire, size: int) -> None:
    payload = b"\0" + raw(size - 1)
    parts = [payload[at : at + 0xFF_FFFF] for at in range(0, size + 1, 0xFF_FFFF)]
    wire.say(*parts, b"\0" + raw(77))
    assert take(wire, size - 1 + 77) == raw(size - 1) + raw(77)


@pytest.mark.parametrize(
    ("packet", "error", "words"),
    [
        (b"\xff" + (1236).to_bytes(2, "little") + b"#HY000the missing transactions are 1-9", Gone, "the missing transactions are 1-9"),
        (
            b"\xff"
            + (1236).to_bytes(2, "little")
            + b"#HY000A slave with the same server_uuid/server_id as this slave has connected to the",
            Unavailable,
            "another streamer of this pipeline",
        ),
        (b"\xff" + (1227).to_bytes(2, "little") + b"#42000Access denied", Invalid, "GRANT REPLICATION SLAVE"),
        (b"\xff" + (1158).to_bytes(2, "little") + b"#08S01Got an error", Unavailable, "1158"),
        (b"\xfe\0\0\2\0", Unavailable, "ended"),
        (b"\x07what", Corrupt, "0x07"),
        (b"\0" + bytes(18), Corrupt, "a packet of 18 bytes"),
        (b"\0" + raw(30)[:-1], Corrupt, "says it has 30"),
        (b"", Corrupt, "empty packet"),
    ],
)
def test_what_is_no_event_is_said_for_what_the_caller_does_next(wire: Wire, packet: bytes, error: type[Exception], words: str) -> None:
    wire.say(packet)
    with pytest.raises(error, match=words):
        wire.binlog.next(SOON)


def test_a_closed_connection_and_one_without_heartbeats_are_lost(wire: Wire) -> None:
    wire.binlog._heard = float("-inf")
    with pytest.raises(Unavailable, match="not even a heartbeat"):
        wire.binlog.next(timedelta(0))
    other: Any = Wire()
    other.server.close()
    with pytest.raises(Unavailable, match="closed the connection"):
        other.binlog.next(SOON)
