"""What goes wrong: each fault is done, and undone, while traffic goes on. Afterwards everything that is to run does."""

import os
import random
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired

import orjson

from devstack.pipeline import Service
from devstack.redshift.faults import Action
from tests.chaos.followers import ask
from tests.chaos.proxy import Trap
from tests.chaos.world import SWEEP, SWEEP_MAX_S, World
from tests.stack.scenario import events

Act = Callable[[World, random.Random], bool]


@dataclass(frozen=True, slots=True)
class Fault:
    """`act` does it, and says whether it hit anything. `stops`: the services that stand still or begin anew where it hits, and so have
    something to recover from when it is over."""

    act: Act
    stops: Collection[str] = ()


STREAMER_EFFECTS = ("init", "begin", "send", "send_rows", "commit", "read", "ensure", "start", "next", "take_turn", "status", "hear")
INTERRUPTED_EFFECTS = ("abort", "recycle")
"""The streamer's when it loses its source."""
LOADER_EFFECTS = ("bump_epoch", "read_state", "ensure_target", "put", "stage", "commit", "poll", "mirror")
JANITOR_EFFECTS = ("topics", "top", "list", "snapshot", "bump_epoch", "delete")


def _points(service: str, effects: Collection[str]) -> tuple[str, ...]:
    return tuple(f"{service}.{effect}.{side}" for effect in effects for side in ("before", "after"))


CRASH_POINTS = (
    *_points("streamer", (*STREAMER_EFFECTS, *INTERRUPTED_EFFECTS)),
    *_points("loader", LOADER_EFFECTS),
    "loader.commit.merged",
)
"""Where a process kills itself."""
JANITOR_CRASH_POINTS = _points("janitor", JANITOR_EFFECTS)

_ONCE = frozenset({"init", "read", "start", "take_turn", "ensure", "abort", "recycle", "bump_epoch", "read_state", "ensure_target"})
"""Effects that come once, or seldom, in a process's life."""
_LIVES_S = 20.0
"""How long a process may live that has a crash point before it, on a machine that has much to do; then it is killed."""
_TAKES_OVER_S = 30.0
"""Much longer than the loaders' session: who stood still or died so long ago is taken for dead, and another has its shard."""
_STRIKES_S = 4.0
"""How long a trap or a rule waits for somebody to run into it."""
_HALTS_S = 60.0
_END_TXN = rb"\x00\x1a\x00[\x01-\x05].{4}\x00.[a-z]"
"""A request's API key, version, correlation id and client id. Source: Kafka protocol guide, "Request Header v1"."""
_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CUT_SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<?xml"


def crash(point: str) -> Act:
    """The streamer or the loader dies at this effect, the first, or one of the next after it began."""
    name, effect, _ = point.split(".")

    def act(world: World, chance: random.Random) -> bool:
        service = world.restart(name, crash=f"{point}:{1 if effect in _ONCE else chance.randint(1, 6)}")
        died = _dies(service, _LIVES_S, _losing_its_source(world, service) if effect in INTERRUPTED_EFFECTS else _nothing)
        (world.crashes if died else world.not_reached)[point] += 1
        world.start(name)
        return died

    return act


def crash_janitor(point: str) -> Act:
    """A janitor dies at this effect, over what a loader has left, while another loads; the next one comes to the end."""

    def act(world: World, chance: random.Random) -> bool:
        _leave_attempt(world)
        died = _dies(world.pipeline.start("janitor", *SWEEP, "--fence", crash=point), SWEEP_MAX_S)
        (world.crashes if died else world.not_reached)[point] += 1
        world.sweep()
        return died

    return act


def _nothing() -> None:
    """Nothing is done."""


def _losing_its_source(world: World, service: Service) -> Callable[[], None]:
    """Cuts off a streamer as often as it streams again; more often it would never come to open a transaction."""
    streams = 0

    def cut() -> None:
        nonlocal streams
        if (begun := len(events([service], "stream.started"))) > streams:
            streams = begun
            world.proxies["mysql"].reset()

    return cut


def _dies(service: Service, patience_s: float, meanwhile: Callable[[], None] = _nothing) -> bool:
    """Whether it kills itself, with that done now and then; else it is killed."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        meanwhile()
        try:
            return service.wait(0.2) == -signal.SIGKILL
        except TimeoutExpired:
            pass
    service.kill9()
    return False


def killed(name: str) -> Act:
    def act(world: World, chance: random.Random) -> bool:
        time.sleep(chance.uniform(0, 1))
        running = world.services[name].running()
        world.restart(name)
        return running

    return act


def zombie(world: World, chance: random.Random) -> bool:
    """The loader stands still until another has its shard, and wakes."""
    owner = world.services["loader"]
    os.kill(owner.process.pid, signal.SIGSTOP)
    try:
        world.start("loader-2")
        taken = _within(_TAKES_OVER_S, lambda: world.owner() == "loader-2")
    finally:
        os.kill(owner.process.pid, signal.SIGCONT)
    time.sleep(chance.uniform(0, 2))
    second = world.services.pop("loader-2")
    second.kill9()
    return taken


def paused(name: str) -> Act:
    def act(world: World, chance: random.Random) -> bool:
        service = world.services[name]
        os.kill(service.process.pid, signal.SIGSTOP)
        time.sleep(chance.uniform(0.5, 3))
        os.kill(service.process.pid, signal.SIGCONT)
        return service.running()

    return act


def reset(server: str) -> Act:
    """Every connection to a server is cut, some times in a row."""

    def act(world: World, chance: random.Random) -> bool:
        proxy = world.proxies[server]
        hit = _within(_STRIKES_S, lambda: proxy.reset() > 0)  # to S3 there is one only while something is put
        for _ in range(chance.randint(0, 3)):
            time.sleep(chance.uniform(0, 0.5))
            proxy.reset()
        return hit

    return act


def stalled(server: str) -> Act:
    def act(world: World, chance: random.Random) -> bool:
        proxy = world.proxies[server]
        before = proxy.held
        proxy.stall()
        time.sleep(chance.uniform(0.5, 3))
        held = proxy.held > before
        if chance.random() < 0.5:
            proxy.reset()
        proxy.flow()
        return held

    return act


def slow(server: str) -> Act:
    def act(world: World, chance: random.Random) -> bool:
        proxy = world.proxies[server]
        before = proxy.held
        proxy.delay(chance.uniform(0.01, 0.1))
        time.sleep(2)
        proxy.flow()
        return proxy.held > before

    return act


def trapped(server: str, trap: Trap, times: int = 1) -> Act:
    """The next requests of a kind are cut, or answered in the server's place."""

    def act(world: World, chance: random.Random) -> bool:
        proxy = world.proxies[server]
        before = proxy.trapped
        for _ in range(times):
            proxy.trap(trap)
        _within(_STRIKES_S, lambda: proxy.trapped >= before + times)
        proxy.disarm()
        return proxy.trapped > before

    return act


def refused(action: Action, statement: str) -> Act:
    """The warehouse does this at the next statement of a kind."""

    def act(world: World, chance: random.Random) -> bool:
        since = world.journal.stat().st_size
        world.rules.add(action, statement=statement, seconds=2 if action in ("hang", "delay") else 0)
        struck = _within(_STRIKES_S, lambda: _struck(world.journal, since, action))
        world.rules.clear()
        return struck

    return act


def _struck(journal: Path, since: int, action: Action) -> bool:
    """Whether a statement met a rule with that action, of those the warehouse has entered behind the first bytes."""
    with journal.open("rb") as lines:
        lines.seek(since)
        return any(orjson.loads(line)["fault"] == action for line in lines if line.endswith(b"\n"))


def server_killed(server: str) -> Act:
    def act(world: World, chance: random.Random) -> bool:
        held = world.source if server == "mysql" else world.stack.servers[server]
        running = held.alive()
        held.kill9()
        time.sleep(chance.uniform(0, 1))
        held.start()
        return running

    return act


def rotated(world: World, chance: random.Random) -> bool:
    """The binlog goes on in new files, and those that were read are purged."""
    oldest = _binlogs(world)[0]
    for _ in range(3):
        ask(world.source, "FLUSH BINARY LOGS")
        time.sleep(0.3)
    newest, wanted = ask(world.source, "SHOW BINARY LOG STATUS")[0][0], world.executed()
    world.recovered()
    world.standby.wait_for(wanted)
    world.oracle.wait_until_received(wanted)
    ask(world.source, f"PURGE BINARY LOGS TO '{newest}'")
    return oldest not in _binlogs(world)


def _binlogs(world: World) -> list[str]:
    return [str(row[0]) for row in ask(world.source, "SHOW BINARY LOGS")]


def failed_over(world: World, chance: random.Random) -> bool:
    time.sleep(chance.uniform(0, 1))
    before = world.source
    world.fail_over()
    return world.source is not before


def failed_over_with_loss(world: World, chance: random.Random) -> bool:
    """A server answers at the source's address that lacks what is on Kafka: the streamer ends, and loads nothing of the other history.
    Then the right one is there again."""
    with world.standby.lagging():
        world.recovered()
        world.divert(world.standby.server)
        streamer = world.services["streamer"]
        assert streamer.wait(_HALTS_S) == 3, streamer.tail()
        assert "adopt-server" in streamer.tail(), streamer.tail()
        world.divert(world.source)
        world.start("streamer")
    return True


def swept(world: World, chance: random.Random) -> bool:
    """The loader dies, and a janitor takes what it has left while its successor begins; it dies with an attempt in the bucket, and another
    janitor takes that while its successor loads."""
    world.restart("loader")
    world.sweep()
    left = _leave_attempt(world)
    return world.sweep() > 0 and left


def _leave_attempt(world: World) -> bool:
    """Whether the loader died between bucket and warehouse, and its successor has the shard: then what it left is an orphan."""
    died = _dies(world.restart("loader", crash="loader.stage.before:1"), _LIVES_S)
    epoch = world.epoch()
    world.start("loader")
    return _within(_TAKES_OVER_S, lambda: world.epoch() > epoch) and died


def _within(seconds: float, done: Callable[[], bool]) -> bool:
    """Whether it comes true in that time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


_CLIENTS = {"mysql": ("streamer",), "kafka": ("streamer", "loader"), "s3": ("loader",), "redshift": ("loader",)}
"""Of each server, who can't go on without it."""
FAULTS: dict[str, tuple[Fault, ...]] = {
    "crash_point": (
        *(Fault(crash(point), (point.partition(".")[0],)) for point in CRASH_POINTS),
        *(Fault(crash_janitor(point)) for point in JANITOR_CRASH_POINTS),
    ),
    "kill9": tuple(Fault(killed(name), (name,)) for name in ("streamer", "loader")),
    "zombie": (Fault(zombie, ("loader",)),),
    "sigstop": tuple(Fault(paused(name), (name,)) for name in ("streamer", "loader")),
    "reset": tuple(Fault(reset(server), clients) for server, clients in _CLIENTS.items()),
    "stall": tuple(Fault(stalled(server), clients) for server, clients in _CLIENTS.items()),
    "slow": tuple(Fault(slow(server)) for server in _CLIENTS),
    "s3_503": (Fault(trapped("s3", Trap(b"PUT /", answer=_BUSY), times=4), ("loader",)),),
    "s3_truncated": (Fault(trapped("s3", Trap(b"PUT /", forwarded=True, answer=_CUT_SHORT), times=2), ("loader",)),),
    "s3_lost_answer": (Fault(trapped("s3", Trap(b"PUT /", forwarded=True), times=2), ("loader",)),),
    "kafka_commit_cut": tuple(Fault(trapped("kafka", Trap(_END_TXN, forwarded=forwarded)), ("streamer",)) for forwarded in (False, True)),
    "commit_cut": tuple(Fault(refused(action, "^COMMIT"), ("loader",)) for action in ("drop_before", "drop_after", "delay")),
    "warehouse_error": (
        Fault(refused("error_1023", "INSERT INTO"), ("loader",)),
        Fault(refused("drop_before", "^COPY"), ("loader",)),
        Fault(refused("hang", "DELETE FROM"), ("loader",)),
    ),
    "broker_kill9": (Fault(server_killed("kafka"), _CLIENTS["kafka"]),),
    "mysqld_kill9": (Fault(server_killed("mysql"), _CLIENTS["mysql"]),),
    "rotation_and_purge": (Fault(rotated),),
    "failover": (Fault(failed_over, ("streamer",)),),
    "failover_with_loss": (Fault(failed_over_with_loss, ("streamer",)),),
    "janitor": (Fault(swept),),
}
"""By kind. Each cycle does one."""
