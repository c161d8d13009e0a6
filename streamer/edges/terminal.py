"""What the streamer shows a person who started it on a terminal."""

from contextlib import ExitStack

from runtime.progress import Gauge, gauge
from streamer.ports import Tally


class ReadingShown:
    """Rows read of tables and rows a second, while any table is being read."""

    def __init__(self, whole: ExitStack) -> None:
        """`whole`: closes what is shown when the process ends."""
        self._while_reading = whole.enter_context(ExitStack())
        self._gauge: Gauge | None = None
        self._rows = 0

    def observe(self, tally: Tally) -> None:
        if tally.rereads and self._gauge is None:
            self._gauge, self._rows = self._while_reading.enter_context(gauge("reading tables, rows", "reread.advanced")), 0
        self._rows += tally.read
        if self._gauge is not None:
            self._gauge.at(self._rows, None)
        if not tally.rereads and self._gauge is not None:
            self._while_reading.close()
            self._gauge = None
