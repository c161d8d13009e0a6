from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.progress import Barrier, Position, Standing, TableState, shard_of
from contracts.signals import Signal
from tests.contracts.specimens import ASKED, BARRIER, EVENTS_SIGNAL, GTID_SET, KEYS_SIGNAL, POSITION, READING, RENEWING, SIGNAL

COUNTS = st.integers(0, 2**63 - 1)
STANDINGS = st.dictionaries(st.text(), st.builds(Standing, st.sampled_from(TableState), COUNTS), max_size=3)


@given(COUNTS, COUNTS, st.booleans(), st.dictionaries(st.text(), COUNTS, max_size=3), STANDINGS, st.data())
def test_a_barrier_survives_encoding(
    n: int, ts: int, partial: bool, seqs: dict[str, int], standings: dict[str, Standing], data: st.DataObject
) -> None:
    renewing = data.draw(st.frozensets(st.sampled_from(sorted(seqs)))) if seqs else frozenset()
    barrier = Barrier(n, GTID_SET, ts, partial, seqs, standings, renewing)
    assert Barrier.decode(barrier.encode()) == barrier


def test_a_barrier_of_the_first_version_takes_each_reading_for_a_whole_one() -> None:
    data = replace(RENEWING, renewing=frozenset({"tm.shop.items"})).encode()
    assert b'"v":1' in data
    assert Barrier.decode(data).renewing == {"tm.shop.items"}


def decoded(head: bytes, **topics: bytes) -> Position | None:
    return Position.decode({Position.KEY: head, **{topic.encode(): data for topic, data in topics.items()}})


@given(COUNTS)
def test_a_next_seq_survives_encoding(n: int) -> None:
    position = replace(POSITION, next_seqs={"t": n})
    assert decoded(position.encode(), t=position.encode_topic("t")) == position


def test_a_position_between_transactions_has_nothing_in_progress() -> None:
    found = decoded(POSITION.encode())
    assert found is not None
    assert found.in_progress == POSITION.in_progress
    data = POSITION.encode().partition(b',"in_progress"')[0] + b',"in_progress":null}'
    found = decoded(data)
    assert found is not None
    assert found.in_progress is None


@pytest.mark.parametrize("old", [b'"v":', b'"n":12', b'"gtid_set"', b'"commit_ts_us"', b'{"v"'])
def test_progress_of_another_version_or_form_is_refused(old: bytes) -> None:
    for data, decode in ((BARRIER.encode(), Barrier.decode), (RENEWING.encode(), Barrier.decode), (POSITION.encode(), decoded)):
        with pytest.raises(ValueError, match=r"."):
            decode(data.replace(old, b'["w":2' if old == b'{"v"' else b'"w":2'))


READING_RECORD = READING.encode_topic("tm.shop.orders")
ASKED_RECORD = ASKED.encode_topic("tm.shop.orders")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"{}", b'{"v":1}', b'{"v":1,"next_seq":"7"}', b'{"v":2,"next_seq":7,"x":1}', b'{"v":3,"next_seq":7}'),
        *(
            READING_RECORD.replace(old, new)
            for old, new in ((b'"since_us"', b'"x"'), (b"snapshotting", b"x"), (b'"3432"', b'"343"'), (b"18", b"x"))
        ),
        *(ASKED_RECORD.replace(b"[0,2]", signals) for signals in (b"[]", b"null", b'["0"]', b"[true]")),
    ],
)
def test_what_is_no_record_of_a_topic_is_refused(data: bytes) -> None:
    assert data not in (READING_RECORD, ASKED_RECORD)
    with pytest.raises(ValueError, match=r"."):
        decoded(POSITION.encode(), t=data)


def test_topics_without_a_position_are_refused_and_nothing_at_all_is_no_position() -> None:
    assert Position.decode({}) is None
    with pytest.raises(ValueError, match="no position"):
        Position.decode({b"t": POSITION.encode_topic("t")})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        SIGNAL.encode().replace(b'"v":1', b'"v":2'),
        *(
            SIGNAL.encode().replace(old, new)
            for old, new in (
                (b'"id":"7f"', b'"id":7'),
                (b"snapshot", b"x"),
                (b'["shop","orders"]', b'["shop"]'),
                (b'["shop","orders"]', b'["shop",1]'),
                (b'"where"', b'"were"'),
                (b'"where":"id > ', b'"resync":true,"where":"id > '),
                (b'"snapshot"', b'"pause"'),
                (b'"snapshot"', b'"reread"'),
            )
        ),
        *(
            KEYS_SIGNAL.encode().replace(old, new)
            for old, new in (
                (b'"reread"', b'"snapshot"'),
                (b'"keys":[', b'"keys":[1,'),
                (b'"keys":[', b'"keys":["[1]",'),
                (b'"key_form"', b'"where"'),
            )
        ),
        *(
            EVENTS_SIGNAL.encode().replace(old, new, 1)
            for old, new in (
                (b'"emit"', b'"snapshot"'),
                (b'"events":[', b'"events":[1,'),
                (b'"events":[', b'"events":[[null,{}],'),
                (b'["shop","orders"]', b'["shop","items"]'),
                (b'"op":"u"', b'"op":"r"'),
                (b'"schema":"' + EVENTS_SIGNAL.schema.encode(), b'"schema":"another'),
                (b'"events"', b'"event"'),
            )
        ),
    ],
)
def test_what_is_no_signal_is_refused(data: bytes) -> None:
    assert data not in (SIGNAL.encode(), KEYS_SIGNAL.encode(), EVENTS_SIGNAL.encode())
    with pytest.raises(ValueError, match=r"."):
        Signal.decode(data)


@pytest.mark.parametrize(("topic", "shards", "shard"), [("tm.shop.orders", 4, 1), ("tm.shop.items", 4, 0), ("tm.shop.orders", 1, 0)])
def test_a_table_stays_in_its_shard_from_release_to_release(topic: str, shards: int, shard: int) -> None:
    assert shard_of(topic, shards) == shard


@given(st.text(), st.integers(1, 64))
def test_a_shard_is_one_the_pipeline_has(topic: str, shards: int) -> None:
    assert 0 <= shard_of(topic, shards) < shards


def test_a_configured_shard_is_taken_or_refused() -> None:
    assert shard_of("t", 3, 2) == 2
    for wrong in (3, -1):
        with pytest.raises(ValueError, match="shards 0 to 2"):
            shard_of("t", 3, wrong)
