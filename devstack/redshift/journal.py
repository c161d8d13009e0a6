"""The statement journal: one JSON line per statement, for counting commits and for checking SQL against a grammar."""

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One statement as the client sent it. `outcome` is "ok" or the error's SQLSTATE, `error` its message (and detail);
    `fault` the action of the fault rule it met, if any; `rows` the number of its command tag, for COPY the rows loaded."""

    ts: str
    session: int
    verb: str
    sql: str
    outcome: str
    rows: int
    elapsed_ms: float
    error: str = ""
    fault: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"


class JournalWriter:
    """Appends entries, each flushed before the next statement runs. Without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8") if path else None
        self._guard = threading.Lock()

    def write(self, entry: Entry) -> None:
        if self._file is None:
            return
        line = json.dumps(asdict(entry), ensure_ascii=False)
        with self._guard:
            self._file.write(line + "\n")
            self._file.flush()


def stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read_journal(path: Path) -> Iterator[Entry]:
    """The entries so far, oldest first. A last line cut short by a kill is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield Entry(**json.loads(line))
