"""The real loader, janitor and streamer against the fakes, in schedules no cluster would show twice: every switch, kill, pause and lost answer
comes out of a seed. What must hold after every commit is in `audit.py`; what the tests must be able to catch, in `mutants.py`."""
