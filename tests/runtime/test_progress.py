"""How far something long is, for a person and for a log."""

import os
from contextlib import ExitStack
from datetime import timedelta
from io import RawIOBase

import pytest
from structlog.testing import capture_logs

from runtime import logs, progress
from runtime.progress import gauge
from streamer.edges.terminal import ReadingShown
from streamer.ports import Tally


def drained(terminal: RawIOBase) -> str:
    """All that was written to it."""
    os.set_blocking(terminal.fileno(), False)
    return b"".join(iter(lambda: terminal.read(1 << 16) or b"", b"")).decode()


def shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch, tallies: list[Tally]) -> str:
    """What stands there after a reading, and a line of the log in between."""
    ours, theirs = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with os.fdopen(ours, "rb", 0) as terminal, os.fdopen(theirs, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        logs.configure("info", "json", "streamer", to=stderr)
        with ExitStack() as whole:
            reading = ReadingShown(whole)
            for tally in tallies:
                reading.observe(tally)
                progress.log.info("table.met")
        stderr.flush()
        return drained(terminal)


def test_a_terminal_shows_the_rows_read_while_there_are_tables_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    said = shown_on_a_terminal(monkeypatch, [Tally(rereads=1, read=1200), Tally(rereads=1, read=34), Tally()])
    assert "reading tables, rows" in said
    assert "/s" in said
    assert said.count('"event":"table.met"') == 3
    assert "reading" not in shown_on_a_terminal(monkeypatch, [Tally(read=0)])


def test_a_bar_shows_the_share_done(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with os.fdopen(ours, "rb", 0) as terminal, os.fdopen(theirs, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        with gauge("reading rows again, keys", "backfill.advanced") as shown:
            shown.at(50, 200)
        stderr.flush()
        said = drained(terminal)
    assert "25%" in said
    assert "50/200" in said


def test_where_there_is_no_terminal_a_log_line_says_so_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as lines, gauge("keys", "backfill.advanced") as shown:
        shown.at(1, 4)
        monkeypatch.setattr(progress, "LOG_EVERY", timedelta())
        shown.at(2, 4)
        shown.at(3, None)
    assert [(line["event"], line["done"], line.get("share")) for line in lines] == [
        ("backfill.advanced", 2, 0.5),
        ("backfill.advanced", 3, None),
    ]
