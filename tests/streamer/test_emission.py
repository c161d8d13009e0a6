"""What is sent of a window's row events at a time: all of them, in order, ended where a moment tells what was sent from what was not."""

from collections.abc import Iterator
from random import Random

import pytest

from contracts.signals import RowEvent
from contracts.table import Column, Kind, TableId, TableSchema
from streamer.core import emission
from streamer.core.emission import Emission, Emissions

SCHEMAS = [TableSchema(TableId("shop", name), (Column("id", Kind.INT, nullable=False),), ("id",)) for name in ("a", "b")]

Transaction = tuple[int, list[list[tuple[TableSchema, bytes]]]]
"""When it was committed, and its events as the decoder gives them, step by step."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emission, "EVENTS_MAX", 4)
    monkeypatch.setattr(emission, "EVENTS_BYTES_MAX", 40)


def history(rng: Random, *, backstep: bool, rows_max: int = 9) -> list[Transaction]:
    made: list[Transaction] = []
    commit_us = number = 0
    for _ in range(rng.randrange(40)):
        commit_us += rng.choice((1, 1, 5)) if not backstep else rng.choice((-3, 0, 1, 5))
        steps = []
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            step = []
            for _ in range(rng.randrange(rows_max)):
                number += 1
                step.append((rng.choice(SCHEMAS), b"%d" % number * rng.choice((1, 1, 1, 30))))
            steps.append(sorted(step, key=lambda item: item[0].table))
        made.append((commit_us, steps))
    return made


def emitted(transactions: list[Transaction]) -> Iterator[Emission]:
    found = Emissions({schema.table for schema in SCHEMAS})
    for commit_us, steps in transactions:
        for step in steps:
            for schema in SCHEMAS:
                if records := [{"key": None, "value": value} for of, value in step if of is schema]:
                    found.take(schema, records, commit_us)
            yield from found.due()
        found.ended(commit_us)
        yield from found.due()
    yield from found.rest()


def values(transactions: list[Transaction], table: TableId) -> list[bytes]:
    return [value for _, steps in transactions for step in steps for schema, value in step if schema.table == table]


def sent(emissions: list[Emission], table: TableId) -> list[bytes]:
    return [event.value for each in emissions if each.table == table for event in each.events]


@pytest.mark.parametrize("backstep", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_every_event_is_sent_once_and_a_moment_tells_what_was_sent_by_then(seed: int, backstep: bool) -> None:
    transactions = history(Random(seed), backstep=backstep)
    found = list(emitted(transactions))
    for schema in SCHEMAS:
        assert sent(found, schema.table) == values(transactions, schema.table)
    for number, each in enumerate(found, start=1):
        assert 1 <= len(each.events) <= 4
        assert len(each.events) == 1 or sum(event.size_bytes for event in each.events) <= 40
        if each.before_us is not None:
            behind = next((place for place, (commit_us, _) in enumerate(transactions) if commit_us >= each.before_us), len(transactions))
            for schema in SCHEMAS:
                assert sent(found[:number], schema.table) == values(transactions[:behind], schema.table), each.before_us
    assert not found or found[-1].before_us is not None


@pytest.mark.parametrize("seed", range(20))
def test_while_time_goes_on_what_is_sent_of_small_transactions_ends_with_one(seed: int) -> None:
    transactions = history(Random(seed), backstep=False, rows_max=2)
    assert all(sum(map(len, steps)) <= 4 for _, steps in transactions)
    unnamed = 0
    for each in emitted(transactions):
        unnamed = 0 if each.before_us is not None else unnamed + len(each.events)
        assert unnamed <= 8, "one group of transactions, of both tables"
    assert unnamed == 0


def test_of_a_transaction_larger_than_what_is_sent_no_more_is_held_than_a_step() -> None:
    found = Emissions({schema.table for schema in SCHEMAS})
    for number in range(100):
        found.take(SCHEMAS[0], [{"key": b"%d" % number, "value": b"v"}] * 3, 7)
        list(found.due())
        assert found._part.count + found._whole.count <= 4
    found.ended(7)
    found.take(SCHEMAS[0], [{"key": None, "value": b"next"}], 9)
    found.ended(9)
    (last,) = found.due()
    assert (last.events[-1], last.before_us) == (RowEvent(b"99", b"v"), 8), "its end is told as soon as the next one has begun"
    assert [event.value for each in found.rest() for event in each.events] == [b"next"]
