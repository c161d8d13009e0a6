"""What people ask of a running streamer, by records of the topic `signals`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from contracts.table import TableId


class Ask(StrEnum):
    SNAPSHOT = "snapshot"  # read the rows of a table again
    PAUSE = "pause"  # go on with that later
    RESUME = "resume"
    STOP = "stop"  # leave it as it is


@dataclass(frozen=True, slots=True)
class Signal:
    """`id`: whatever the asker recognises it by in the log. `where`: only rows for which this SQL condition holds. `resync`: rows of the
    target that the table has no more go: it is emptied before the first row."""

    id: str
    ask: Ask
    table: TableId
    where: str | None = None
    resync: bool = False

    def __post_init__(self) -> None:
        if self.resync and self.where is not None:
            raise ValueError("a resync empties the target, so it reads all rows: it goes without a condition")
        if self.ask is not Ask.SNAPSHOT and (self.resync or self.where is not None):
            raise ValueError(f"{self.ask.value} takes neither a condition nor resync")

    def encode(self) -> bytes:
        body: dict[str, Any] = {"v": 1, "id": self.id, "ask": self.ask.value, "table": [self.table.database, self.table.name]}
        if self.where is not None:
            body["where"] = self.where
        if self.resync:
            body["resync"] = True
        return orjson.dumps(body)

    @classmethod
    def decode(cls, data: bytes) -> "Signal":
        """Raises ValueError on any other version or form."""
        body = orjson.loads(data)
        if not isinstance(body, dict) or body.get("v") != 1:
            raise ValueError(f"signal of unknown version: {data[:80]!r}; this release reads version 1")
        if unknown := body.keys() - {"v", "id", "ask", "table", "where", "resync"}:
            raise ValueError(f"signal with unknown {', '.join(sorted(unknown))}")
        try:
            database, name = body["table"]
            where, resync = body.get("where"), body.get("resync", False)
            for value, kind in ((body["id"], str), (database, str), (name, str), (where or "", str), (resync, bool)):
                if not isinstance(value, kind):
                    raise TypeError(f"{value!r:.80} is not {kind.__name__}")
            return cls(body["id"], Ask(body["ask"]), TableId(database, name), where, resync)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a signal: {type(error).__name__} {error}") from error
