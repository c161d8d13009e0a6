"""Which of a topic's records a target has to hold: all that are loaded, but for those passed over while its table was parked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.ledger import TopicOffset
from contracts.progress import TableState
from tests.simulation.published import Published


@dataclass
class Following:
    """One topic, from commit to commit. `parked_at`: the first seq passed over, while it is parked; `passed`: the seqs passed over before,
    half-open; `may_park`: something keeps the table from following, or did, or a person wants it left alone."""

    may_park: bool = False
    next_seq: int = 0
    parked_at: int | None = None
    passed: list[tuple[int, int]] = field(default_factory=list)

    def take(self, offset: TopicOffset, loaded: Sequence[Published]) -> str:
        """The next commit; what is wrong with it, or nothing. `loaded`: every record below its next seq."""
        wrong = ""
        if offset.state is TableState.PARKED:
            if self.parked_at is None:
                self.parked_at = self.next_seq
                wrong = "" if self.may_park else f"is parked for no reason: {offset.because}"
        elif self.parked_at is not None:
            emptied = next((record.seq for record in reversed(loaded) if record.op == "t"), -1)
            if emptied < self.parked_at:
                wrong = f"was parked at seq {self.parked_at} and goes on at {offset.next_seq} without a TRUNCATE"
            else:
                self.passed.append((self.parked_at, emptied))
            self.parked_at = None
        self.next_seq = offset.next_seq
        return wrong

    def held(self, loaded: Sequence[Published]) -> Sequence[Published]:
        """Those of the records that count for the target."""
        until = len(loaded) if self.parked_at is None else self.parked_at
        if not self.passed and until >= len(loaded):
            return loaded
        return [r for r in loaded if r.seq < until and not any(start <= r.seq < stop for start, stop in self.passed)]
