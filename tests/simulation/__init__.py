"""The real loader, janitor and streamer against the fakes, in schedules no cluster would show twice: every switch, kill, pause and lost
answer comes out of a seed. `audit.py` says what must hold after every commit, `mutants.py` what the tests must be able to catch."""
