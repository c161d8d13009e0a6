"""The fake warehouse's transactions are no stricter than Redshift's, and as strict where the protocol leans on them."""

import pytest

from tests.fakes.versions import Conflict, Ended, Isolation, Store, Transaction

EVERY_LEVEL = pytest.mark.parametrize("isolation", list(Isolation))


def store_with(isolation: Isolation, **rows: int) -> Store:
    store = Store(isolation)
    t = store.begin()
    for key, value in rows.items():
        store.insert(t, "t", key, value)
    store.commit(t)
    return store


def update(store: Store, t: Transaction, key: str, value: int | None) -> None:
    store.lock(t, "t")
    for number, _ in store.find(t, "t", key):
        store.write(t, "t", number, key, value)


@EVERY_LEVEL
def test_a_transaction_reads_what_was_committed_before_its_first_statement(isolation: Isolation) -> None:
    store = store_with(isolation, a=1)
    reader, writer = store.begin(), store.begin()
    assert [value for _, value in store.find(reader, "t", "a")] == [1]
    update(store, writer, "a", 2)
    store.commit(writer)
    assert [value for _, value in store.find(reader, "t", "a")] == [1]
    assert store.now("t") == [2]


def test_write_skew_is_legal_under_snapshot_isolation_and_not_under_serializable() -> None:
    for isolation, refused in ((Isolation.SNAPSHOT, False), (Isolation.SERIALIZABLE, True)):
        store = Store(isolation)
        first, second = store.begin(), store.begin()
        for t, mine, theirs in ((first, "x", "y"), (second, "y", "x")):
            assert list(store.scan(t, theirs)) == []
            store.insert(t, mine, "k", 1)
        store.commit(first)
        if refused:
            with pytest.raises(Conflict):
                store.commit(second)
        else:
            store.commit(second)
            assert (store.now("x"), store.now("y")) == ([1], [1])


@EVERY_LEVEL
def test_a_row_changed_since_the_snapshot_is_not_written(isolation: Isolation) -> None:
    store = store_with(isolation, a=1)
    late, early = store.begin(), store.begin()
    store.find(late, "t", "a")
    update(store, early, "a", 2)
    store.commit(early)
    with pytest.raises(Conflict):
        update(store, late, "a", 3)


def test_who_waited_for_the_lock_with_its_first_statement_sees_what_it_waited_for() -> None:
    store = store_with(Isolation.SNAPSHOT, a=1)
    first, second = store.begin(), store.begin()
    update(store, first, "a", 2)
    assert not store.lockable(second, "t")
    store.commit(first)
    assert store.lockable(second, "t")
    update(store, second, "a", 3)
    store.commit(second)
    assert store.now("t") == [3]


def test_a_snapshot_taken_before_the_wait_is_too_old_after_it() -> None:
    store = store_with(Isolation.SNAPSHOT_BEFORE_WAIT, a=1)
    first, second = store.begin(), store.begin()
    update(store, first, "a", 2)
    assert not store.lockable(second, "t")
    store.commit(first)
    with pytest.raises(Conflict):
        update(store, second, "a", 3)


@EVERY_LEVEL
def test_nothing_is_unique(isolation: Isolation) -> None:
    assert sorted(store_with(isolation, a=1).now("t") + store_with(isolation, a=1).now("t")) == [1, 1]
    store = store_with(isolation, a=1)
    t = store.begin()
    store.insert(t, "t", "a", 1)
    store.commit(t)
    assert store.now("t") == [1, 1]


@EVERY_LEVEL
def test_what_was_rolled_back_left_nothing_and_can_do_no_more(isolation: Isolation) -> None:
    store = store_with(isolation, a=1)
    t = store.begin()
    update(store, t, "a", None)
    store.rollback(t)
    assert store.now("t") == [1]
    assert store.lockable(store.begin(), "t")
    with pytest.raises(Ended):
        store.commit(t)
