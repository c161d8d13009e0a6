"""Runs to figures, the same way in every benchmark."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

NOISY_PERCENT = 25.0  # of one core: more than this of others' work, and a run says little


def noisy(other_percent: float) -> str:
    """What a run's line says of the others on the machine."""
    return f"other {other_percent:.0f} %{' NOISY' if other_percent > NOISY_PERCENT else ''}"


def median_of(values: Iterable[float | None], digits: int = 2) -> float | None:
    """Of those that are known; None when none is."""
    known = [value for value in values if value is not None]
    return round(median(known), digits) if known else None


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of them do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def mb(size_bytes: int) -> float:
    return round(size_bytes / 1e6, 1)
