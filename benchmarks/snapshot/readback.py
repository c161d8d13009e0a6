"""What a topic says of a table in the end: the keys that are there when every record has been followed."""

import orjson

from benchmarks.failure import Wrong
from benchmarks.streamer.readback import committed_messages
from contracts.envelope import Op

PRIME = 1_000_003
_TAIL_BYTES = 40  # `"op":"r","ts_ms":1764409000000}` stands at the end
_ABSENT, _PRESENT = 0, 1


class Kept:
    """Follows records of a table whose key is one positive number. `read`: by SELECT; `streamed`: changes, and `lag_s_max` the longest of
    them from the row's own `changed_at` to its record's timestamp."""

    def __init__(self) -> None:
        self._is_there = bytearray()
        self.read = 0
        self.streamed = 0
        self.lag_s_max = 0.0

    def follow(self, key: bytes, value: bytes, made_ms: int) -> None:
        number = int(key.removeprefix(b'{"id":').removesuffix(b"}"))
        if number >= len(self._is_there):
            self._is_there.extend(bytes(max(number + 1 - len(self._is_there), 1 << 16)))
        op = value[value.rindex(b'"op":"', len(value) - _TAIL_BYTES) + 6 :][:1].decode()
        self._is_there[number] = _ABSENT if op == Op.DELETE else _PRESENT
        if op == Op.READ:
            self.read += 1
            return
        self.streamed += 1
        after = orjson.loads(value)["after"]
        if after is not None:
            self.lag_s_max = max(self.lag_s_max, made_ms / 1e3 - after["changed_at"] / 1e6)

    @property
    def rows(self) -> int:
        return self._is_there.count(_PRESENT)

    @property
    def digest(self) -> int:
        """As a SELECT of SUM(id * id % PRIME) gives it."""
        return sum(number * number % PRIME for number, there in enumerate(self._is_there) if there)


def read(bootstrap_servers: str, topic: str) -> Kept:
    """Reads a topic to its end as a loader does. Raises Wrong for a record without key."""
    kept = Kept()
    for message in committed_messages(bootstrap_servers, topic):
        key, value = message.key(), message.value()
        if key is None or value is None:
            raise Wrong(f"topic {topic}: a record without key or value at offset {message.offset()}")
        kept.follow(key, value, message.timestamp()[1])
    return kept
