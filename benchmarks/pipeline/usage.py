"""Who used the processor, and what that says about what is in the way."""

from benchmarks import machine
from benchmarks.figures import noisy
from benchmarks.window import Window

FULL_PERCENT = 90.0  # of all cores: more is full, for the scheduler needs some
ONE_CORE_PERCENT = 85.0  # a process that mostly runs one thread


def per_million(window: Window, rows: int) -> dict[str, float]:
    """CPU seconds of each process a million rows, the largest first."""
    return {name: round(seconds / rows * 1e6, 2) for name, seconds in sorted(window.servers_s.items(), key=lambda item: -item[1])}


def percent_of_core(window: Window) -> dict[str, float]:
    """The largest first."""
    return {name: 100 * seconds / window.wall_s for name, seconds in sorted(window.servers_s.items(), key=lambda item: -item[1])}


def told(window: Window) -> str:
    """The same for a run's line."""
    used = ", ".join(f"{name} {percent:.0f}" for name, percent in percent_of_core(window).items())
    return f"CPU, percent of a core: {used}  {noisy(window.other_percent)}"


def bottleneck(window: Window) -> str:
    """In words: full cores, or one process that fills one, or neither, and then somebody waits."""
    cores, used = machine.cores(), percent_of_core(window)
    total = sum(used.values())
    shares = ", ".join(f"{name} {100 * percent / total:.0f} %" for name, percent in list(used.items())[:3])
    busy = f"{cores} cores {min(100.0, window.busy_percent):.0f} % busy, {window.other_percent:.0f} % of one by others"
    largest, percent = next(iter(used.items()))
    if window.busy_percent >= FULL_PERCENT:
        return f"cpu: {busy}; largest shares of the rest: {shares}"
    if percent >= ONE_CORE_PERCENT:
        return f"{largest}: it fills {percent:.0f} % of one core; {busy}; shares: {shares}"
    return f"waiting: {busy}; the busiest process fills {percent:.0f} % of one core; shares: {shares}"
