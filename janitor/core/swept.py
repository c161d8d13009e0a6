"""What one sweep found and did."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from janitor.core.classify import State, Verdict


@dataclass(slots=True)
class Swept:
    """`at`: the bucket's clock when it began; `counts`: the objects it found; `sizes`: their bytes."""

    at: datetime | None = None
    tables: int = 0
    orphans: list[Verdict] = field(default_factory=list)
    expired: list[Verdict] = field(default_factory=list)
    uploads: int = 0
    counts: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    sizes: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    finished: bool = True

    def found(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            self.counts[verdict.state] += len(verdict.objects)
            self.sizes[verdict.state] += verdict.size_bytes
