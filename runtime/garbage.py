"""Python's collector of cycles, where records come and go by the thousand and are in none."""

import gc

THRESHOLD = 100_000
"""Objects made before it looks. At the usual 700, a poll's worth, it took a tenth of a loader's CPU."""


def look_rarely() -> None:
    """From now on; what is there already is not looked at again."""
    gc.freeze()
    gc.set_threshold(THRESHOLD, 50, 100)
