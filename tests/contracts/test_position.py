from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.position import Gtid, GtidSet
from tests.contracts.specimens import OTHER, SERVER

SERVERS = st.sampled_from([SERVER, OTHER])
TAGS = st.sampled_from(["", "a", "night_job", "_" + "z" * 31])
GTIDS = st.builds(Gtid, SERVERS, st.integers(1, 12), TAGS)
SETS = st.frozensets(GTIDS, max_size=25)


def set_of(gtids: Iterable[Gtid]) -> GtidSet:
    """The set by its slowest definition: one transaction after another."""
    found = GtidSet()
    for gtid in gtids:
        found = found.with_gtid(gtid)
    return found


def members(gtids: GtidSet) -> frozenset[Gtid]:
    return frozenset(Gtid(server, n, tag) for (server, tag), runs in gtids for a, b in runs for n in range(a, b))


@given(SETS)
def test_a_set_holds_exactly_the_transactions_put_into_it(gtids: frozenset[Gtid]) -> None:
    found = set_of(gtids)
    assert members(found) == gtids
    assert found.count() == len(gtids)
    assert all(gtid in found for gtid in gtids)


@given(SETS, SETS)
def test_union_difference_and_subset_are_those_of_sets(a: frozenset[Gtid], b: frozenset[Gtid]) -> None:
    left, right = set_of(a), set_of(b)
    assert members(left.union(right)) == a | b
    assert members(left.minus(right)) == a - b
    assert left.is_subset(right) == (a <= b)
    assert left.union(right) == right.union(left)
    assert left.minus(right).union(right) == left.union(right)


@given(st.lists(GTIDS, max_size=25), st.randoms())
def test_equal_sets_print_alike_however_they_were_made(gtids: list[Gtid], random: object) -> None:
    shuffled = sorted(gtids, key=lambda _: random.random())  # type: ignore[attr-defined]  # hypothesis types it as object
    assert str(set_of(gtids)) == str(set_of(shuffled))
    assert hash(set_of(gtids)) == hash(set_of(shuffled))


@given(SETS)
def test_a_set_survives_printing_and_parsing(gtids: frozenset[Gtid]) -> None:
    found = set_of(gtids)
    assert GtidSet.parse(str(found)) == found
    assert GtidSet.parse(str(found).upper().replace(",", " ,\n")) == found


@given(GTIDS)
def test_a_gtid_survives_printing_and_parsing(gtid: Gtid) -> None:
    assert Gtid.parse(str(gtid)) == gtid


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("", ""),
        (f"{SERVER}:1-5:5-9:11", f"{SERVER}:1-9:11"),
        (f"{SERVER}:2:1", f"{SERVER}:1-2"),
        (f"{SERVER}:1,{SERVER}:2", f"{SERVER}:1-2"),
        (f"{SERVER}:1-3:tag:4-4:other:1", f"{SERVER}:1-3:other:1:tag:4"),
        (f"{SERVER}:tag:1,{OTHER}:7", f"{OTHER}:7,{SERVER}:tag:1"),
    ],
)
def test_mysqls_spellings_are_read_and_printed_in_one_way(text: str, printed: str) -> None:
    assert str(GtidSet.parse(text)) == printed


@pytest.mark.parametrize(
    "text", ["x:1", f"{SERVER}:0", f"{SERVER}:5-4", f"{SERVER}:-1", f"{SERVER}:1-", f"{SERVER}:9tag:1", f"{SERVER}::1"]
)
def test_what_is_not_a_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        GtidSet.parse(text)


@pytest.mark.parametrize("text", ["", SERVER, f"{SERVER}:", f"{SERVER}:1-2", f"{SERVER}:Täg:1", "x:1", f"{SERVER}:a:b:1"])
def test_what_is_not_a_gtid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Gtid.parse(text)
