"""What the commit times of source transactions promise."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.position import GtidSet
from streamer.core.commit_times import CommitTimes, idle_time

SERVER = "11111111-2222-3333-4444-555555555555"


@given(st.lists(st.integers(0, 10_000), min_size=1))
def test_the_promise_never_falls_and_is_never_ahead_of_the_newest_time_less_the_greatest_step_back(commits: list[int]) -> None:
    times, newest, backstep, promised = CommitTimes(), 0, 0, 0
    for commit in commits:
        times = times.seen(commit)
        backstep = max(backstep, newest - commit)
        newest = max(newest, commit)
        assert (times.newest_us, times.backstep_us) == (newest, backstep)
        assert times.promised_us >= promised
        assert times.promised_us == max(promised, newest - backstep)
        promised = times.promised_us


@given(st.lists(st.lists(st.integers(0, 10_000), min_size=1), min_size=1))
def test_a_run_of_commits_promises_no_more_than_its_commits_one_by_one_and_ends_the_same(runs: list[list[int]]) -> None:
    single, joined = CommitTimes(), CommitTimes()
    for run in runs:
        backstep = max(max(run[: place + 1]) - commit for place, commit in enumerate(run))
        joined = joined.after(min(run), max(run), backstep)
        for commit in run:
            single = single.seen(commit)
        assert (joined.newest_us, joined.backstep_us) == (single.newest_us, single.backstep_us)
        assert joined.newest_us - joined.backstep_us <= joined.promised_us <= single.promised_us


def test_an_idle_clock_counts_only_when_nothing_was_executed_between_two_looks_and_all_of_it_is_ours() -> None:
    one, two = GtidSet.parse(f"{SERVER}:1"), GtidSet.parse(f"{SERVER}:1-2")
    assert idle_time(77, two, two, two) == 77
    assert idle_time(77, one, two, two) is None
    assert idle_time(77, two, two, one) is None
    assert idle_time(77, one, one, two) is None
