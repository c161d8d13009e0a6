"""When each shard is to get a barrier, whether rows touched it or not."""

from collections.abc import Collection
from datetime import datetime, timedelta


class Heartbeats:
    """When the shards of a pipeline got their last barriers. Each gets one at least every `interval`, and one soon after a partial one."""

    def __init__(self, shards: int, interval: timedelta) -> None:
        self._shards = shards
        self._interval = interval
        self._at: dict[int, datetime] = {}
        self._partial: frozenset[int] = frozenset()

    @property
    def partial(self) -> bool:
        """Whether some shard's last barrier was partial: it waits for a whole one."""
        return bool(self._partial)

    def due(self, now: datetime) -> frozenset[int]:
        """The shards whose barrier goes with the next Kafka transaction, touched or not."""
        late = (shard for shard in range(self._shards) if shard not in self._at or now - self._at[shard] >= self._interval)
        return self._partial.union(late)

    def next(self, now: datetime) -> datetime:
        """When the first shard is due; `now` while one never had a barrier."""
        return min(self._at.values()) + self._interval if len(self._at) == self._shards else now

    def sent(self, shards: Collection[int], now: datetime, *, partial: bool) -> None:
        """These shards' barriers are committed."""
        self._partial = self._partial.union(shards) if partial else self._partial.difference(shards)
        self._at.update(dict.fromkeys(shards, now))
