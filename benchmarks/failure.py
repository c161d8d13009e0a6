"""What stops a benchmark."""


class Wrong(Exception):
    """What was measured is not what it should be, so the figures mean nothing."""
