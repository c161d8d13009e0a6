"""What `loader plan` reads before it says what would be committed."""

import secrets
from datetime import timedelta

import pytest

from contracts.errors import Gone
from contracts.ledger import Fence, TopicOffset
from contracts.position import GtidSet
from contracts.progress import TableState
from contracts.topics import Topics
from loader.committer import Committer
from loader.core.cut import CutPolicy
from loader.core.plan import CommitPlan, TargetTable
from loader.core.records import Record, Records
from loader.ports import ShardState
from loader.rehearsal import Paper, PaperClock, PaperMembership, PaperStore, PaperWarehouse, PaperWorker, rehearse
from loader.service import Loader
from tests.loader.actors import Journal, Log, Store, encode_all
from tests.loader.core.reading import NOW, ORDERS, PROGRESS, barrier, open_run, row

AGE_MAX = timedelta(milliseconds=500)


class Slow(Log):
    """A topic of rows that delivers nothing for some polls."""

    def __init__(self, rows: list[Record], *, polls: int = 0) -> None:
        super().__init__(Journal(), {PROGRESS: [barrier(0)[0], barrier(1, orders=6)[0]], ORDERS: rows})
        self.polls = polls

    def poll(self, records_max: int, timeout: timedelta) -> list[Records]:
        self.polls -= 1
        assert self.polls > -100, "nobody says that they are gone"
        self.hold(frozenset({ORDERS} if self.polls > 0 else ()))
        return super().poll(records_max, timeout)


class Warehouse:
    def read_state(self, shard: int) -> ShardState:
        held = TopicOffset(ORDERS, 0, "id-1", 5, 5, TableState.OK, 0, "shop.orders", '"shop"."orders"')
        return ShardState(Fence(0, 5, 9, "me", 0, 0, GtidSet(), False, 0), {ORDERS: held})

    def preparation(self, target: TargetTable, *, renewing: bool, afresh: bool) -> list[str]:
        return []


def planned(log: Log) -> CommitPlan | None:
    paper, clock = Paper(), PaperClock(NOW)
    warehouse = PaperWarehouse(Warehouse(), paper, schema="tidemark", iam_role="default")
    loader = Loader(
        owner="plan",
        topics=Topics("tm"),
        policy=CutPolicy(10**6, 10**9, AGE_MAX, 10**9),
        membership=PaperMembership(0),
        open_log=lambda _: log,
        warehouse=warehouse,
        destinations=open_run,
        committer=Committer(
            store=PaperStore(Store(Journal()), paper),
            warehouse=warehouse,
            encode=encode_all,
            clock=clock,
            nonce=lambda: secrets.token_hex(4),
            jitter=lambda: 0.0,
        ),
        worker=PaperWorker(),
        clock=clock,
        jitter=lambda: 0.0,
    )
    return rehearse(loader, log, paper, clock, progress=PROGRESS, age_max=AGE_MAX)


def test_rows_gone_from_the_end_of_their_topic_end_it_as_they_halt_the_loader() -> None:
    log = Slow([])
    log.low[ORDERS] = 6
    with pytest.raises(Gone, match=ORDERS):
        planned(log)


def test_rows_that_take_their_time_are_waited_for_and_planned_whole() -> None:
    plan = planned(Slow([row(5)[0]], polls=20))
    assert plan is not None
    assert ([load.entry.records for load in plan.loads], plan.fence.progress_offset) == ([1], 2)
