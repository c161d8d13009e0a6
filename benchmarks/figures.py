"""Runs to figures, the same way in every benchmark."""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Protocol, TypeVar

NOISY_PERCENT = 25.0  # of one core: more than this of others' work, and a run says little


def noisy(other_percent: float) -> str:
    """What a run's line says of the others on the machine."""
    return f"other {other_percent:.0f} %{' NOISY' if other_percent > NOISY_PERCENT else ''}"


def median_known(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None when none is."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def median_of(values: Iterable[float | None], digits: int = 2) -> float | None:
    """The same, rounded."""
    found = median_known(values)
    return None if found is None else round(found, digits)


class Paced(Protocol):
    """A run with a writer. `held`: whether it held its rate."""

    @property
    def held(self) -> bool: ...


Run = TypeVar("Run", bound=Paced)


def steady(runs: Sequence[Run]) -> list[Run]:
    """The runs whose writer held its rate; none when most did not, for then the figures would be a choice."""
    held = [run for run in runs if run.held]
    return held if 2 * len(held) > len(runs) else []


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of them do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def mb(size_bytes: int) -> float:
    return round(size_bytes / 1e6, 1)
