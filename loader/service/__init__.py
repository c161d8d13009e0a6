"""The loop: ASSIGN, SEEK, POLL, then cut, write, stage, COMMIT and ACK, for every shard the group gives this process.

What waits for bucket or warehouse is done beside the loop, so the next micro-batch is read while one is committed. Commits of a process
follow one another, and one micro-batch at most waits for the one before it.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import structlog

from contracts.ledger import TopicOffset
from contracts.topics import Topics
from loader.committer import Committer
from loader.core.cut import CutPolicy
from loader.core.lane import OpenRun
from loader.ports import Clock, Membership, ShardLog, Warehouse, Worker
from loader.service.shard import ShardLoader


class Loader:
    """Every shard the group gives this process. `step` does one turn, so whoever drives it decides when to stop: anywhere is safe."""

    def __init__(
        self,
        *,
        owner: str,
        topics: Topics,
        policy: CutPolicy,
        membership: Membership,
        open_log: Callable[[int], ShardLog],
        warehouse: Warehouse,
        destinations: OpenRun,
        committer: Committer,
        worker: Worker,
        clock: Clock,
        jitter: Callable[[], float],
        captured: Callable[[TopicOffset], bool] = lambda _: True,
    ) -> None:
        """`owner`: this process, as people know it. `open_log`: a new reader of a shard. `jitter`: a random number in [0, 1). `captured`:
        whether a table that was loaded is one of the pipeline's still."""
        self._membership = membership
        self._warehouse = warehouse
        self._worker = worker
        self._open_log = open_log
        self._begin = partial(
            ShardLoader,
            owner=owner,
            topics=topics,
            policy=policy,
            membership=membership,
            warehouse=warehouse,
            destinations=destinations,
            committer=committer,
            worker=worker,
            clock=clock,
            jitter=jitter,
            captured=captured,
        )
        self._log = structlog.get_logger()
        self._shards: dict[int, ShardLoader] = {}

    @property
    def shards(self) -> dict[int, ShardLoader]:
        """The shards held now."""
        return dict(self._shards)

    @property
    def at_work(self) -> bool:
        """Whether every shard held is taken in the warehouse; a standby has none to take."""
        return all(shard.tenure is not None for shard in self._shards.values())

    def step(self, timeout: timedelta) -> bool:
        """One turn of each shard, reading for up to `timeout` in all. True when anything moved; False means there is nothing to do
        right now. Raises Gone, Corrupt, Invalid, Refused: a person must look."""
        self._follow(self._membership.poll(timedelta(0) if self._shards else timeout))
        moved = False
        for shard in self._shards.values():
            moved |= shard.step(timeout / len(self._shards))
        return moved

    def close(self) -> None:
        """Abandons every open batch and leaves the group. What was read and is not committed will be read again."""
        self._follow(frozenset(), "is given up: this loader stops")
        self._worker.close()
        self._membership.close()
        self._warehouse.close()

    def _follow(self, assigned: frozenset[int], why: str = "was given to another loader") -> None:
        for shard in self._shards.keys() - assigned:
            self._log.info("shard.lost", shard=shard)
            self._shards.pop(shard).close(why)
        for shard in sorted(assigned - self._shards.keys()):
            self._shards[shard] = self._begin(shard, log=self._open_log(shard))
