"""Whether a server's history is the one the stream came from: what a set of GTIDs proves, and what it doesn't."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import Gone, Unavailable
from contracts.position import BinlogPosition, GtidSet
from streamer.core.continuity import Watch, check_continuity, check_place, purged_at_us

UUID = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"
PLACE = BinlogPosition("binlog.000003", 900)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def gtids(text: str) -> GtidSet:
    return GtidSet.parse(f"{UUID}:{text}") if text else GtidSet()


def test_continuity_is_proved_by_sets_alone() -> None:
    ours, executed = GtidSet.parse(f"{UUID}:1-5"), GtidSet.parse(f"{UUID}:1-9")
    check_continuity(ours, executed, GtidSet.parse(f"{UUID}:1-5"))
    with pytest.raises(Gone, match=f"on Kafka already: {UUID}:5"):
        check_continuity(ours, GtidSet.parse(f"{UUID}:1-4"), GtidSet())
    with pytest.raises(Gone, match=f"not on Kafka yet: {UUID}:6-7"):
        check_continuity(ours, executed, GtidSet.parse(f"{UUID}:1-7"))


@pytest.mark.parametrize(
    ("files", "previous", "follows"),
    [
        (["binlog.000003"], "1-3", ""),
        (["binlog.000002", "binlog.000003"], "1-5", f"SET @@SESSION.GTID_NEXT= '{UUID}:6'"),
        (["binlog.000003", "binlog.000004"], "1-3", "binlog.000004;pos=4"),
        (["binlog.000004"], None, None),  # purged after we had all of it
        (["binlog.1000000"], None, None),
    ],
)
def test_a_binlog_goes_on_where_the_stream_left_it(files: list[str], previous: str | None, follows: str | None) -> None:
    check_place(PLACE, gtids("1-5"), files, None if previous is None else gtids(previous), follows)


@pytest.mark.parametrize(
    ("files", "previous", "follows"),
    [
        (["binlog.000001"], None, None),  # it counts its files from one again
        (["binlog.000001", "binlog.000002"], None, None),
        (["binlog.000003"], "1-3", None),  # no event begins there
        (["binlog.000003"], "1-7", ""),  # more happened before the file than we have
        (["binlog.000003"], "1-3", f"SET @@SESSION.GTID_NEXT= '{UUID}:4'"),  # what we have comes again
        ([], None, None),
    ],
)
def test_a_binlog_that_begins_anew_halts_though_its_gtids_hold_all_of_ours(
    files: list[str], previous: str | None, follows: str | None
) -> None:
    with pytest.raises(Gone, match=f"not the one that was streamed up to binlog.000003:900.*{UUID}:1-5.*streamer adopt-server"):
        check_place(PLACE, gtids("1-5"), files, None if previous is None else gtids(previous), follows)


def watch() -> Watch:
    return Watch(UUID, timedelta(seconds=30))


def look(made: Watch, at: float, executed: str, ours: str, *, streamed: str = "", uuid: str = UUID, under_way: bool = False) -> None:
    made.look(uuid, gtids(executed), gtids(streamed or ours), gtids(ours), NOW + timedelta(seconds=at), under_way=under_way)


def test_a_set_that_shrinks_below_ours_halts_at_once() -> None:
    made = watch()
    look(made, 0, "1-9", "1-9")
    with pytest.raises(Gone, match=f"on Kafka already: {UUID}:3-9"):
        look(made, 2, "1-2", "1-9")


def test_a_set_that_shrinks_above_ours_begins_the_stream_anew() -> None:
    made = watch()
    look(made, 0, "1-9", "1-2")
    with pytest.raises(Unavailable, match=f"{UUID}:5-9"):
        look(made, 2, "1-4", "1-2")


def test_a_server_may_wait_for_its_replicas_before_it_commits_what_it_has_sent() -> None:
    made = watch()
    for at in range(0, 90, 10):
        look(made, at, "1-5", "1-5", streamed="1-6")


def test_another_server_at_the_other_end_begins_the_stream_anew() -> None:
    with pytest.raises(Unavailable, match=OTHER):
        look(watch(), 0, "1-9", "1-9", uuid=OTHER)


def test_a_dump_that_was_level_and_sends_no_more_is_begun_anew() -> None:
    made = watch()
    look(made, 0, "1-9", "1-9")
    look(made, 2, "1-12", "1-9")
    look(made, 29, "1-12", "1-9")
    with pytest.raises(Unavailable, match=f"{UUID}:10-12"):
        look(made, 31, "1-12", "1-9")


@pytest.mark.parametrize("why", ["behind since its start", "a transaction under way", "going on"])
def test_a_dump_that_takes_its_time_is_left_alone(why: str) -> None:
    made = watch()
    if why != "behind since its start":
        look(made, 0, "1-9", "1-9")
    for number in range(1, 5):
        ours = f"1-{9 + number}" if why == "going on" else "1-9"
        look(made, number * 20, "1-30", ours, under_way=why == "a transaction under way")


@pytest.mark.parametrize(
    ("expire", "auto", "expected"), [("3600", "ON", 3_600_000_005), ("3600", None, 3_600_000_005), ("0", "ON", None), ("3600", "OFF", None)]
)
def test_what_is_next_is_kept_for_as_long_as_the_server_keeps_the_newest_we_have(
    expire: str, auto: str | None, expected: int | None
) -> None:
    assert purged_at_us(expire, auto, 5) == expected
