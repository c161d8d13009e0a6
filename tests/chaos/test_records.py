"""The count of what is on Kafka tells a record that is in no entry of the ledger, one that is in two, and a seq that doesn't follow."""

import orjson
import pytest

from tests.chaos.records import Entry, Records

TOPIC = "t"
OFFSETS = (0, 1, 3, 4, 6)
"""Of five records; what lies between are the ends of Kafka's transactions."""


def value(seq: int) -> bytes:
    return orjson.dumps({"source": {"seq": seq}})


@pytest.fixture
def records() -> Records:
    made = Records("", "")
    assert [made.add(TOPIC, offset, value(seq)) for seq, offset in enumerate(OFFSETS)] == [[]] * len(OFFSETS)
    return made


@pytest.mark.parametrize(
    ("entries", "wrong", "unentered"),
    [
        ([(TOPIC, 0, 3, 2), (TOPIC, 3, 7, 3)], "", 0),
        ([(TOPIC, 0, 2, 2), (TOPIC, 3, 7, 3)], "", 0),
        ([(TOPIC, 0, 3, 2)], "", 3),
        ([(TOPIC, 0, 3, 2), (TOPIC, 4, 7, 2)], "1 records lie before offset 4", 0),
        ([(TOPIC, 0, 4, 3), (TOPIC, 3, 7, 3)], "-1 records lie before offset 3", 0),
        ([(TOPIC, 0, 3, 2), (TOPIC, 3, 7, 4)], "3 records from 3 to 7, the ledger says 4", 0),
    ],
)
def test_the_ledger_is_held_against_the_records(records: Records, entries: list[Entry], wrong: str, unentered: int) -> None:
    found = records.audit(entries)
    assert (wrong in found[0] and len(found) == 1) if wrong else not found
    assert records.unentered == unentered


def test_an_audit_goes_on_where_the_last_one_ended(records: Records) -> None:
    first, second = (TOPIC, 0, 3, 2), (TOPIC, 3, 7, 3)
    assert records.audit([first]) == []
    assert records.audit([first, second]) == []
    assert (records.unentered, records.count) == (0, 5)


@pytest.mark.parametrize("seq", [3, 4, 6])
def test_a_seq_that_does_not_follow_is_named(records: Records, seq: int) -> None:
    assert records.add(TOPIC, 7, value(seq)) == [f"t offset 7: seq {seq}, not 5"]
