"""What is done about a source that moves, a topic that is made again, a table that can't follow, and rows that are gone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import loader.adoption
import loader.service.reading
import streamer.core.continuity
import streamer.service.placing
import streamer.service.source
from contracts.ledger import TopicOffset
from contracts.position import GtidSet
from contracts.progress import Position, TableState
from loader.committer import Committer
from loader.core.adoption import Found, adopted
from loader.core.cut import Cut
from loader.core.lane import Part, Start
from loader.core.plan import CommitPlan, Mode, Passed, TableLoad
from loader.core.shard import Tenure, start_of_rows
from streamer.core.decoder import Records
from streamer.service.rereading import Rereading
from tests.fakes.versions import Transaction
from tests.fakes.warehouse import FakeWarehouse, StagedRow
from tests.simulation.mutants.reading import READINGS
from tests.simulation.risks import Risks
from tests.simulation.variant import Variant


def any_history_will_do(ours: GtidSet, executed: GtidSet, purged: GtidSet) -> None:
    """Streams on from a server that lacks what is on Kafka already."""


def take_it_for_the_old_one(topic: str, topic_id: str, held: TopicOffset | None, low: int, stable_end: int) -> Start:
    """Goes by the topic's name."""
    if held is None:
        return start_of_rows(topic, topic_id, held, low, stable_end)
    return Start(topic_id, min(max(held.next_offset, low), stable_end), held.next_offset, held.next_seq)


def go_on_without_them(held: TopicOffset, found: Found, since_us: int, *, keyed: bool, lost: bool = False) -> TopicOffset:
    """Goes on behind what was lost, as if nothing were."""
    now = adopted(held, found, since_us, keyed=keyed, lost=lost)
    return replace(now, state=held.state, because="")


_form = Committer._form
_plan = Tenure.plan


def follow_once_it_fits(self: Committer, tenure: Tenure, part: Part, topic_id: str) -> tuple[TableLoad | Passed, dict[str, bytes]]:
    """A parked table goes on with the first rows that fit, without those that were passed over."""
    held = tenure.offsets.get(part.topic)
    if held is not None and held.state is TableState.PARKED:
        tenure = replace(tenure, offsets={**tenure.offsets, part.topic: replace(held, state=TableState.OK)})
    return _form(self, tenure, part, topic_id)


def say_nothing(
    self: Tenure, cut: Cut, loads: Sequence[TableLoad], topic_ids: Mapping[str, str], at: datetime, passed: Sequence[Passed] = ()
) -> CommitPlan:
    """What is passed over of a table is not told by its state, so the next rows that fit are loaded."""
    plan = _plan(self, cut, loads, topic_ids, at, passed)
    held = {topic: row.state for topic, row in self.offsets.items()}
    said = [replace(row, state=held.get(row.topic, TableState.OK)) if row.state is TableState.PARKED else row for row in plan.offsets]
    return replace(plan, offsets=tuple(said))


class SoftDeletesLost(FakeWarehouse):
    """Deletes from a soft_delete table as from any other."""

    def _insert(self, t: Transaction, table: str, staged: list[StagedRow], mode: Mode) -> None:
        super()._insert(t, table, [row for row in staged if not row.deleted], mode)


class SoftDeletesUnmarked(FakeWarehouse):
    """Keeps the rows of a soft_delete table whose source is emptied as they are."""

    def _mark_all(self, t: Transaction, table: str) -> None:
        return


class GoneRowsKept(FakeWarehouse):
    """Takes a row that was looked for by its key in vain for one that did not change."""

    def _mark_keys(self, t: Transaction, table: str, staged: list[StagedRow]) -> None:
        return


_encode_topic = Position.encode_topic
_took = Rereading.took


def forget_keys(self: Position, topic: str) -> bytes:
    """Keys that were asked for are known in memory only."""
    return _encode_topic(replace(self, asked={}), topic)


def strike_nothing_by_key(self: Rereading, topic: str, keys: Collection[bytes | None], now: datetime) -> None:
    """What the stream takes strikes the rows of whole tables that are read, and not those that are read by their keys."""
    by_keys = [(chunk, set(chunk.struck)) for chunk in self._chunks.get(topic, ()) if chunk.keys is not None]
    _took(self, topic, keys, now)
    for chunk, struck in by_keys:
        chunk.struck = struck


def no_gone_records(*_: object, **__: object) -> Records:
    """Says nothing of keys that no row has any more."""
    return Records("", [], 0)


MOVING = Risks(moving=1, losing=1, haste=0.3, asking=0, obstructing=0, parking=0, recreating=0)
"""For what takes a server that lacks what was streamed."""

OBSTRUCTED = Risks(obstructing=0.04, parking=0.01, asking=0.03, recreating=0)
RECREATED = Risks(recreating=0.02, haste=0.2, obstructing=0, parking=0)

MUTANTS: Sequence[Variant] = (
    Variant(
        "failover: GTID sets not compared",
        shows=("GTID_SET",),
        patches=(
            (streamer.service.source, "check_continuity", any_history_will_do),
            (streamer.core.continuity, "check_continuity", any_history_will_do),
        ),
        risks=MOVING,
        streams=True,
    ),
    Variant(
        "topic made again taken for the old one",
        shows=("HALT",),
        patches=((loader.service.reading, "start_of_rows", take_it_for_the_old_one),),
        risks=RECREATED,
        streams=True,
    ),
    Variant(
        "topic made again: table not parked for what it lost",
        shows=("I1_LOST",),
        patches=((loader.adoption, "adopted", go_on_without_them),),
        risks=RECREATED,
        streams=True,
    ),
    Variant(
        "parked table goes on without its TRUNCATE",
        shows=("PARKED",),
        patches=((Committer, "_form", follow_once_it_fits),),
        risks=OBSTRUCTED,
        streams=True,
    ),
    Variant(
        "parked table not told", shows=("I1_LOST", "I1_OTHER"), patches=((Tenure, "plan", say_nothing),), risks=OBSTRUCTED, streams=True
    ),
    Variant("soft_delete: rows deleted are lost", shows=("I1_LOST",), warehouse=SoftDeletesLost),
    Variant("soft_delete: TRUNCATE marks nothing", shows=("I1_OTHER",), warehouse=SoftDeletesUnmarked),
    Variant(
        "keys read: in memory only",
        shows=("UNREAD",),
        patches=((Position, "encode_topic", forget_keys),),
        risks=Risks(kill=0.05, asking=0.05),
        streams=True,
    ),
    Variant(
        "keys read: nothing is struck",
        shows=("STALE",),
        patches=((Rereading, "took", strike_nothing_by_key),),
        risks=READINGS,
        streams=True,
    ),
    Variant(
        "keys read: rows that are gone not told",
        shows=("UNREAD",),
        patches=((streamer.service.placing, "gone_records", no_gone_records),),
        streams=True,
    ),
)
