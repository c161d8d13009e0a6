"""Keys in any number: sorted, each once, on disk when they are more than memory is to hold."""

import sqlite3
from collections.abc import Iterator, Sequence

KEY_OVERHEAD_BYTES = 120  # of a small bytes object in a set


class SqliteKeys:
    """A KeyStore. SQLite's file of its own has no name, so it is gone with the process; it lies where TMPDIR says."""

    def __init__(self, memory_bytes_max: int) -> None:
        self._new: dict[str, set[bytes]] = {}
        self._new_bytes = 0
        self._new_bytes_max = memory_bytes_max // 2
        self._numbers: dict[str, int] = {}
        self._database = sqlite3.connect("", isolation_level=None)
        for pragma in (f"cache_size = -{memory_bytes_max // 4 // 1024}", "journal_mode = OFF", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE keys (topic INTEGER, key BLOB, PRIMARY KEY (topic, key)) WITHOUT ROWID")

    def add(self, topic: str, keys: Sequence[bytes]) -> None:
        held = self._new.setdefault(topic, set())
        before = len(held)
        held.update(keys)
        if len(held) > before:
            self._new_bytes += sum(map(len, keys)) + KEY_OVERHEAD_BYTES * (len(held) - before)
        if self._new_bytes > self._new_bytes_max:
            self._write()

    def count(self, topic: str) -> int:
        self._write()
        found = self._database.execute("SELECT COUNT(*) FROM keys WHERE topic = ?", (self._number(topic),))
        return int(found.fetchone()[0])

    def batches(self, topic: str, keys_max: int, size_bytes_max: int) -> Iterator[tuple[bytes, ...]]:
        self._write()
        batch: list[bytes] = []
        size_bytes = 0
        for (key,) in self._database.execute("SELECT key FROM keys WHERE topic = ? ORDER BY key", (self._number(topic),)):
            if batch and (len(batch) >= keys_max or size_bytes + len(key) > size_bytes_max):
                yield tuple(batch)
                batch, size_bytes = [], 0
            batch.append(key)
            size_bytes += len(key)
        if batch:
            yield tuple(batch)

    def close(self) -> None:
        self._database.close()

    def _number(self, topic: str) -> int:
        return self._numbers.setdefault(topic, len(self._numbers))

    def _write(self) -> None:
        self._database.execute("BEGIN")
        for topic, keys in self._new.items():
            number = self._number(topic)
            self._database.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", ((number, key) for key in sorted(keys)))
        self._database.execute("COMMIT")
        self._new.clear()
        self._new_bytes = 0
