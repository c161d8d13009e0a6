"""Commit times read by the kernel and in Python: the same, whatever the bytes."""

from random import Random

import pytest

from contracts.errors import Corrupt
from streamer.core.commits import CommitScan, CommitsMet, Met, commits_met
from streamer.core.events import Type
from tests.fakes.clock import Time
from tests.streamer.binlog import COMMIT_US, Source, Table, event, format_description, query

kernel = pytest.importorskip("streamer.core.kernel")

ORDERS = Table("orders")
COUNT = 12


def block(rng: Random) -> bytes:
    """A file's head, then transactions, DDL and events in between that nobody here looks at."""
    source = Source(Time())
    for number in range(COUNT):
        if rng.random() < 0.2:
            source.raw(query("ALTER TABLE orders ADD COLUMN w INT"))
        else:
            source.commit([event(Type.ROWS_QUERY, b"\0" + bytes(rng.randrange(80))), *ORDERS.insert((number, 0))])
    return format_description() + b"".join(item for _, events in source.transactions for item in events)


def outcome(met: CommitsMet, data: bytes, since_us: int) -> tuple[object, ...]:
    scan = CommitScan(since_us, met)
    try:
        scan.take(data)
    except Corrupt:
        return ("corrupt",)
    return scan.first_us, scan.count, scan.reached, scan.before


@pytest.mark.parametrize("seed", range(20))
def test_the_same_is_found_for_every_moment(seed: int) -> None:
    data = block(Random(seed))
    found = set()
    for since_us in range(COMMIT_US, COMMIT_US + (COUNT + 2) * 1000, 500):
        expected = outcome(commits_met, data, since_us)
        assert outcome(kernel.kernel_commits_met, data, since_us) == expected
        found.add(expected[1])
    assert found == set(range(COUNT + 1))


@pytest.mark.parametrize("seed", range(20))
def test_damaged_bytes_are_refused_by_both_or_by_none(seed: int) -> None:
    rng = Random(seed)
    data = block(rng)
    refused = 0
    for _ in range(200):
        damaged = bytearray(data[: rng.randrange(len(data))] if rng.random() < 0.5 else data)
        for _ in range(rng.choice((0, 1, 3))):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        one, other = (outcome(met, bytes(damaged), COMMIT_US + 5_000) for met in (kernel.kernel_commits_met, commits_met))
        assert one == other
        refused += one == ("corrupt",)
    assert 20 < refused < 200


def test_reading_stops_before_what_only_the_stream_can_tell() -> None:
    head = format_description()
    assert kernel.kernel_commits_met(head, 0, 0) == commits_met(head, 0, 0) == Met(0, None, [], reached=False)
