"""More than one loader: shards spread over processes that come, leave, freeze and die; a hot standby; and a zombie that may not commit."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import ConsumerGroupState, KafkaException
from redshift_connector.core import Connection

from demo.shop import TABLES
from devstack.pipeline import Pipeline, Service, wait_until
from devstack.redshift.faults import FaultRules
from devstack.stack import Stack
from tests.marks import long
from tests.stack.scenario import assert_equal, assert_ledger_tiles, events, frozen, has_ledger, logs, query, shop_pipeline, traffic

pytestmark = pytest.mark.stack

TAKEOVER_LIMIT_S = 30
LATE_S = 8
"""How long the server sits on the zombie's statement: time to freeze it there."""

CONFLICTS_MAX = 2
"""Serialization failures of a whole run: shards share no table they write, so there is no reason for any; a storm has hundreds."""


@pytest.fixture
def warehouse(warehouse: Connection, stack: Stack) -> Iterator[Connection]:
    yield warehouse
    FaultRules(stack.redshift.faults_path).clear()


class Watch:
    """What the warehouse says of a pipeline's shards."""

    def __init__(self, warehouse: Connection, pipeline: Pipeline) -> None:
        self._warehouse = warehouse
        self._pipeline = pipeline
        self.schema = f"tidemark_{pipeline.name}"

    def there(self) -> bool:
        return has_ledger(self._warehouse, self.schema)

    def commit_nos(self) -> dict[int, int]:
        return dict(query(self._warehouse, f"SELECT shard, commit_no FROM {self.schema}.fence"))

    def owners(self) -> dict[int, str]:
        return dict(query(self._warehouse, f"SELECT shard, owner FROM {self.schema}.fence"))

    def epoch(self) -> int:
        return int(query(self._warehouse, f"SELECT epoch FROM {self.schema}.fence_0")[0][0])

    def batches_of(self, epoch: int) -> int:
        return int(query(self._warehouse, f"SELECT COUNT(*) FROM {self.schema}.ledger WHERE epoch = {epoch}")[0][0])

    def until_owned_by(self, *names: str) -> None:
        """Until the shards are shared by exactly these loaders, and each has been committed."""
        self._until(lambda: self.there() and set(self.owners().values()) == set(names), f"the shards are not shared by {names}")
        self.until_all_commit()

    def until_all_commit(self) -> None:
        before = self.commit_nos()
        self._until(lambda: all(now > before[shard] for shard, now in self.commit_nos().items()), "a shard stands still")

    def _until(self, done: Callable[[], bool], complaint: str) -> None:
        try:
            wait_until(done, TAKEOVER_LIMIT_S, complaint)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{logs(self._pipeline)}") from error

    def until_none_commits(self, still_s: float = 3) -> None:
        """Until a commit is held up: each barrier, one a second at least, would bring one."""
        seen, since = self.commit_nos(), time.monotonic()
        while time.monotonic() - since < still_s:
            if (now := self.commit_nos()) != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.1)


def start(pipeline: Pipeline, name: str) -> Service:
    return pipeline.start("loader", "--instance", name)


def elected(pipeline: Pipeline, shard: int = 0) -> dict[str, bool]:
    """The members of the loaders' group, each with whether the shard was given to it; none while they are being asked."""
    group = f"tidemark-{pipeline.name}-loader"
    admin = pipeline.stack.kafka.admin()
    try:
        described = admin.describe_consumer_groups([group])[group].result(10)
    except KafkaException:  # no such group yet
        return {}
    if described.state != ConsumerGroupState.STABLE:
        return {}
    return {
        member.group_instance_id: shard in [place.partition for place in member.assignment.topic_partitions] for member in described.members
    }


def owner_and_standby(pipeline: Pipeline, watch: Watch) -> tuple[Service, str]:
    """Two loaders, and whom Kafka has elected: the owner, at work, and the standby's name."""
    loaders = {name: start(pipeline, name) for name in ("first", "second")}

    found: dict[str, bool] = {}

    def settled() -> bool:
        found.clear()
        found.update(elected(pipeline))
        return len(found) == len(loaders) and any(found.values())

    wait_until(settled, TAKEOVER_LIMIT_S, "the standby does not join")
    owner, standby = sorted(loaders, key=lambda name: not found[name])
    watch.until_owned_by(owner)
    return loaders[owner], standby


def conflicts(pipeline: Pipeline) -> list[str]:
    """What the loaders said of serialization failures."""
    said = events(pipeline.services, "commit.retried", "shard.restarted")
    return [event["message"] for event in said if "1023" in event["message"]]


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("shards", [2, 4])
def test_loaders_that_come_leave_freeze_and_die_lose_and_double_nothing(
    stack: Stack, warehouse: Connection, tmp_path: Path, shards: int
) -> None:
    name = f"machines_{shards}"
    spread = {f"{name}.{table}": {"shard": number % shards} for number, table in enumerate(TABLES)}
    settings: dict[str, Any] = {"state_shards": shards, "tables": {"override": spread}, "batch": {"seconds": 0.5}}
    names = [f"loader-{number}" for number in range(shards)]
    with shop_pipeline(stack, tmp_path, name, **settings) as (pipeline, shop):
        watch = Watch(warehouse, pipeline)
        pipeline.start("streamer")
        loaders = {each: start(pipeline, each) for each in names[1:]}
        with traffic(shop, pause_s=0.01):
            watch.until_owned_by(*names[1:])
            loaders[names[0]] = start(pipeline, names[0])  # comes late
            watch.until_owned_by(*names)
            assert loaders[names[1]].stop() == 0  # leaves, and comes again
            watch.until_owned_by(*(each for each in names if each != names[1]))
            loaders[names[1]] = start(pipeline, names[1])
            watch.until_owned_by(*names)
            with frozen(loaders[names[0]]):  # is taken for dead, and wakes
                watch.until_owned_by(*names[1:])
            watch.until_owned_by(*names)
            loaders[names[-1]].kill9()  # dies, and another takes its place
            start(pipeline, names[-1])
            watch.until_all_commit()
            watch.until_owned_by(*names)
        assert assert_equal(pipeline, timeout_s=120) > 500
        assert_ledger_tiles(warehouse, pipeline)
        assert {row[0] for row in query(warehouse, f"SELECT DISTINCT shard FROM {watch.schema}.offsets")} == set(range(shards))
        refused = conflicts(pipeline)
        assert len(refused) <= CONFLICTS_MAX, refused
        bumps = query(warehouse, f"SELECT shard, epoch, commit_no FROM {watch.schema}.fence ORDER BY shard")
        print(f"{shards} shards: (shard, epoch, commit_no) {bumps}; {len(refused)} serialization failures")


@pytest.mark.parametrize("end", long("kill9", "sigterm"))
def test_the_hot_standby_takes_over(stack: Stack, warehouse: Connection, tmp_path: Path, end: str) -> None:
    with shop_pipeline(stack, tmp_path, f"standby_{end}", batch={"seconds": 0.2}) as (pipeline, shop):
        watch = Watch(warehouse, pipeline)
        pipeline.start("streamer")
        with traffic(shop, pause_s=0.02):
            owner, standby = owner_and_standby(pipeline, watch)
            went = time.monotonic()
            if end == "kill9":
                owner.kill9()
            else:
                assert owner.stop() == 0
            wait_until(lambda: watch.owners() == {0: standby}, TAKEOVER_LIMIT_S, "the standby stands by")
            owned_s = time.monotonic() - went
            watch.until_all_commit()
            print(f"{end}: the standby owned the shard after {owned_s:.1f} s and had committed after {time.monotonic() - went:.1f} s")
        assert assert_equal(pipeline) > 100
        assert_ledger_tiles(warehouse, pipeline)


HELD_UP: dict[str, dict[str, Any]] = {
    "before": {"statement": "pg_last_copy_count", "nth": len(TABLES)},
    "behind": {"statement": "INSERT INTO .*ledger"},
}
"""At which statement the zombie is held up: the last of its staging, so that the compare-and-set comes next when it wakes; or behind that,
with the fence's lock in its hands."""


@pytest.mark.parametrize("side", long(*HELD_UP))
def test_a_zombie_commits_nothing_whichever_side_of_the_fence_it_froze(
    stack: Stack, warehouse: Connection, tmp_path: Path, side: str
) -> None:
    name = f"zombie_{side}"
    settings: dict[str, Any] = {"batch": {"seconds": 0.2}, "redshift": {"schema": f"tidemark_{name}", "lock_patience_seconds": 2}}
    with shop_pipeline(stack, tmp_path, name, **settings) as (pipeline, shop):
        watch = Watch(warehouse, pipeline)
        pipeline.start("streamer")
        with traffic(shop, pause_s=0.02):
            owner, standby = owner_and_standby(pipeline, watch)
            FaultRules(stack.redshift.faults_path).add("delay", **HELD_UP[side], seconds=LATE_S)
            watch.until_none_commits()
            with frozen(owner):
                epoch, heard = watch.epoch(), len(losses(owner))
                watch.until_owned_by(standby)
                batches = watch.batches_of(epoch)
            wait_until(lambda: len(losses(owner)) > heard, 60, "the zombie does not notice")
            watch.until_all_commit()
            assert watch.batches_of(epoch) == batches
        assert assert_equal(pipeline) > 100
        assert watch.batches_of(epoch) == batches
        assert_ledger_tiles(warehouse, pipeline)


@pytest.mark.long
def test_two_loaders_that_kafka_both_calls_the_owner_are_kept_apart_by_the_fence_alone(
    stack: Stack, warehouse: Connection, tmp_path: Path
) -> None:
    """Each in a consumer group of its own: neither is ever told of the other, but by the warehouse."""
    with shop_pipeline(stack, tmp_path, "rivals", batch={"seconds": 0.2}) as (pipeline, shop):
        watch = Watch(warehouse, pipeline)
        pipeline.start("streamer")
        first = start(pipeline, "first")
        config = pipeline.config()
        elsewhere = tmp_path / "elsewhere.yaml"
        elsewhere.write_text(yaml.safe_dump({**config, "kafka": {**config["kafka"], "group_id": "elsewhere"}}))
        with traffic(shop, pause_s=0.02):
            watch.until_owned_by("first")
            second = pipeline.start("loader", "--config", str(elsewhere), "--instance", "second")
            for _ in range(3):
                watch.until_owned_by("second")
                watch.until_owned_by("first")
            assert second.stop() == 0
            watch.until_owned_by("first")
        assert assert_equal(pipeline) > 100
        assert_ledger_tiles(warehouse, pipeline)
        fenced = [event for event in events([first, second], "shard.restarted") if event["error"] == "Fenced"]
        assert len(fenced) >= 5
        print(f"{watch.epoch()} epochs, {len(fenced)} times fenced, {watch.commit_nos()[0]} commits")


def losses(loader: Service) -> list[str]:
    """What the loader said whenever it learned that the shard isn't its own any more."""
    return [event["event"] for event in events([loader], "shard.lost", "shard.restarted")]
