"""The steps of the stream, in order, some of them read ahead."""

from collections import deque
from datetime import timedelta

from contracts.errors import PipelineError
from contracts.position import BinlogPosition
from streamer.core.closing import ClosePolicy
from streamer.core.decoder import Chunk, Decoder, Step
from streamer.ports import BinlogSource, Clock

_AHEAD_BYTES = 16 << 20


class Reading:
    """A decoder and the dump connection it is fed from."""

    def __init__(self, binlog: BinlogSource, clock: Clock, decoder: Decoder, policy: ClosePolicy) -> None:
        self._binlog = binlog
        self._clock = clock
        self._policy = policy
        self._steps: deque[Step] = deque()
        self._rows = 0  # in `_steps`
        self._size_bytes = 0
        self._failure: PipelineError | None = None
        self.decoder = decoder

    @property
    def drained(self) -> bool:
        """Nothing was read ahead: the decoder stands where the last step ended."""
        return not self._steps

    def passed(self, place: BinlogPosition) -> bool:
        """Whether every event before this place was given out as a step, or had nothing in it that is one."""
        return self.drained and not self.decoder.position.is_before(place)

    def next(self, close_at: int, stop_at: int) -> Step | None:
        """As Decoder.next; what was read ahead comes as it was cut then."""
        if not self._steps:
            if self._failure is not None:
                raise self._failure
            return self.decoder.next(close_at, stop_at)
        step = self._steps.popleft()
        if isinstance(step, Chunk):
            self._rows -= step.rows
            self._size_bytes -= step.size_bytes
        return step

    def receive(self, patience: timedelta) -> bool:
        """Feeds the decoder with what the server sends; False when that is nothing for so long. Raises as BinlogSource.next."""
        events = self._binlog.next(patience)
        if events is None:
            return False
        self.decoder.feed(events, self._clock.now())
        return True

    def ahead(self) -> bool:
        """Reads one step ahead, or receives for it; False when there is no more to be done now. What it runs into is raised by `next`,
        behind the steps before it."""
        if self._failure is not None or self._rows >= self._policy.rows_max or self._size_bytes >= _AHEAD_BYTES:
            return False
        if self._steps and not isinstance(self._steps[-1], Chunk):
            return False  # to be answered before the decoder goes on
        try:
            step = self.decoder.next(self._policy.rows_max - self._rows, self._policy.split_rows)
            if step is None:
                return self.receive(timedelta(0))
        except PipelineError as error:
            self._failure = error
            return False
        self._steps.append(step)
        if isinstance(step, Chunk):
            self._rows += step.rows
            self._size_bytes += step.size_bytes
        return True
