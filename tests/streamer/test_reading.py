"""The steps of the stream, some of them read ahead."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from contracts.errors import Corrupt, PipelineError, Unavailable
from contracts.position import BinlogPosition, GtidSet
from contracts.table import TableId
from streamer.core.closing import ClosePolicy
from streamer.core.decoder import Chunk, Records, Step, Unrouted
from streamer.core.route import Route
from streamer.core.schemas import TableMap
from streamer.service.reading import Reading
from tests.fakes.clock import FakeClock, Time

NOW = timedelta(0)
TABLE = TableMap(1, TableId("s", "t"), b"")


def chunk(rows: int, size_bytes: int = 10) -> Chunk:
    return Chunk([Records("t", [{"key": None, "value": b"v"}] * rows, size_bytes)], None, False, None)


class Scripted:
    """A decoder that gives these steps for each block it is fed, and a dump connection that sends so many blocks."""

    def __init__(self, blocks: Sequence[Sequence[Step | PipelineError]]) -> None:
        self.blocks = list(blocks)
        self.steps: list[Step | PipelineError] = []
        self.asked: list[tuple[int, int]] = []

    def next(self, close_at: int, stop_at: int) -> Step | None:
        self.asked.append((close_at, stop_at))
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, PipelineError):
            raise step
        return step

    def feed(self, events: bytes, now: datetime) -> None:
        self.steps = list(self.blocks.pop(0))

    def use(self, table: TableMap, way: Route, next_seq: int) -> None: ...
    def ignore(self, table: TableMap) -> None: ...
    def forget(self, topic: str) -> None: ...
    def began(self) -> None: ...
    def ended(self) -> None: ...

    @property
    def position(self) -> BinlogPosition:
        return BinlogPosition("b.1", 4)


class Dump:
    def __init__(self, decoder: Scripted, error: PipelineError | None = None) -> None:
        self.decoder = decoder
        self.error = error

    def start(self, executed: GtidSet) -> str:
        return ""

    def next(self, timeout: timedelta) -> bytes | None:
        if self.decoder.blocks:
            return b"events"
        if self.error is not None:
            raise self.error
        return None

    def close(self) -> None: ...


def reading(*blocks: Sequence[Step | PipelineError], error: PipelineError | None = None, rows_max: int = 100) -> tuple[Reading, Scripted]:
    decoder = Scripted(blocks)
    return Reading(Dump(decoder, error), FakeClock(Time()), decoder, ClosePolicy(rows_max=rows_max, split_rows=1000)), decoder


def all_ahead(made: Reading) -> None:
    for _ in range(100):
        if not made.ahead():
            return
    raise AssertionError("there is no end to it")


def test_what_was_read_ahead_comes_first_and_in_order() -> None:
    first, second, third = chunk(1), chunk(2), chunk(3)
    made, _ = reading([first, second], [third])
    all_ahead(made)
    assert [made.next(100, 1000) for _ in range(4)] == [first, second, third, None]


def test_nothing_is_read_past_a_step_that_wants_an_answer() -> None:
    asking = Unrouted(TABLE, None)
    made, decoder = reading([chunk(1), asking, chunk(2)])
    all_ahead(made)
    assert len(decoder.steps) == 1
    assert [made.next(1, 1), made.next(1, 1)] == [chunk(1), asking]
    assert len(decoder.steps) == 1


@pytest.mark.parametrize("error", [Corrupt("bytes"), Unavailable("gone")])
def test_an_error_comes_behind_the_steps_before_it(error: PipelineError) -> None:
    made, _ = reading([chunk(1), error])
    all_ahead(made)
    assert made.next(1, 1) == chunk(1)
    with pytest.raises(type(error)):
        made.next(1, 1)


def test_a_lost_connection_is_told_when_it_matters() -> None:
    made, _ = reading([chunk(1)], error=Unavailable("lost"))
    all_ahead(made)
    assert made.next(1, 1) == chunk(1)
    with pytest.raises(Unavailable, match="lost"):
        made.next(1, 1)


def test_reading_ahead_stops_at_a_transactions_worth_of_rows_or_many_bytes_and_goes_on_once_they_are_taken() -> None:
    made, decoder = reading([chunk(60), chunk(60), chunk(60)])
    all_ahead(made)
    assert [close for close, _ in decoder.asked if close != 100] == [40]
    assert len(decoder.steps) == 1
    made.next(1, 1)
    assert made.ahead()

    made, decoder = reading([chunk(1, 20 << 20), chunk(1)])
    all_ahead(made)
    assert len(decoder.steps) == 1
