"""What goes wrong: each fault is done, and undone, while traffic goes on. Afterwards everything that is to run does."""

import os
import random
import signal
import time
from collections.abc import Callable
from subprocess import TimeoutExpired

from devstack.redshift.faults import Action
from tests.chaos.followers import ask
from tests.chaos.proxy import Trap
from tests.chaos.world import World

Fault = Callable[[World, random.Random], None]

STREAMER_EFFECTS = ("init", "begin", "send", "send_rows", "commit", "read", "ensure", "start", "next", "take_turn", "status")
LOADER_EFFECTS = ("bump_epoch", "read_state", "ensure_target", "put", "stage", "commit", "poll", "mirror")
CRASH_POINTS = (
    *(f"streamer.{effect}.{side}" for effect in STREAMER_EFFECTS for side in ("before", "after")),
    *(f"loader.{effect}.{side}" for effect in LOADER_EFFECTS for side in ("before", "after")),
    "loader.commit.merged",
)
"""Where a process kills itself."""

_LIVES_S = 6.0
"""How long a process may live that has a crash point before it; then it is killed."""
_FROZEN_S = 12.0
"""Longer than the loaders' session: who stands still so long is taken for dead."""
_HALTS_S = 60.0
_END_TXN = rb"\x00\x1a\x00[\x01-\x05].{4}\x00.[a-z]"
"""A request's API key, version, correlation id and client id. Source: Kafka protocol guide, "Request Header v1"."""
_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CUT_SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<?xml"


def crash(point: str) -> Fault:
    """The process dies at this effect, the first, or one of the next after it began."""

    def fault(world: World, chance: random.Random) -> None:
        name = point.partition(".")[0]
        once = point.split(".")[1] in ("init", "read", "start", "bump_epoch", "read_state", "take_turn", "ensure_target", "ensure")
        dying = world.restart(name, crash=f"{point}:{1 if once else chance.randint(1, 6)}")
        try:
            if dying.wait(_LIVES_S) == -signal.SIGKILL:
                world.crashes[point] += 1
        except TimeoutExpired:
            dying.kill9()
        world.start(name)

    return fault


def killed(name: str) -> Fault:
    def fault(world: World, chance: random.Random) -> None:
        time.sleep(chance.uniform(0, 1))
        world.restart(name)

    return fault


def zombie(world: World, chance: random.Random) -> None:
    """The loader stands still until another has its shard, and wakes."""
    owner = world.services["loader"]
    os.kill(owner.process.pid, signal.SIGSTOP)
    world.start("loader-2")
    time.sleep(_FROZEN_S)
    os.kill(owner.process.pid, signal.SIGCONT)
    time.sleep(chance.uniform(0, 2))
    second = world.services.pop("loader-2")
    second.kill9()


def paused(name: str) -> Fault:
    def fault(world: World, chance: random.Random) -> None:
        process = world.services[name].process
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(chance.uniform(0.5, 3))
        os.kill(process.pid, signal.SIGCONT)

    return fault


def reset(server: str) -> Fault:
    """Every connection to a server is cut, some times in a row."""

    def fault(world: World, chance: random.Random) -> None:
        for _ in range(chance.randint(1, 4)):
            world.proxies[server].reset()
            time.sleep(chance.uniform(0, 0.5))

    return fault


def stalled(server: str) -> Fault:
    def fault(world: World, chance: random.Random) -> None:
        world.proxies[server].stall()
        time.sleep(chance.uniform(0.5, 3))
        if chance.random() < 0.5:
            world.proxies[server].reset()
        world.proxies[server].flow()

    return fault


def slow(server: str) -> Fault:
    def fault(world: World, chance: random.Random) -> None:
        world.proxies[server].delay(chance.uniform(0.01, 0.1))
        time.sleep(2)
        world.proxies[server].flow()

    return fault


def trapped(server: str, trap: Trap, times: int = 1) -> Fault:
    """The next requests of a kind are cut, or answered in the server's place."""

    def fault(world: World, chance: random.Random) -> None:
        proxy = world.proxies[server]
        before = proxy.trapped
        for _ in range(times):
            proxy.trap(trap)
        deadline = time.monotonic() + 4
        while proxy.trapped < before + times and time.monotonic() < deadline:
            time.sleep(0.05)
        proxy.disarm()

    return fault


def refused(action: Action, statement: str) -> Fault:
    """The warehouse does this at the next statement of a kind."""

    def fault(world: World, chance: random.Random) -> None:
        world.rules.add(action, statement=statement, seconds=2 if action in ("hang", "delay") else 0)
        time.sleep(3)
        world.rules.clear()

    return fault


def server_killed(server: str) -> Fault:
    def fault(world: World, chance: random.Random) -> None:
        held = world.source if server == "mysql" else world.stack.servers[server]
        held.kill9()
        time.sleep(chance.uniform(0, 1))
        held.start()

    return fault


def rotated(world: World, chance: random.Random) -> None:
    """The binlog goes on in new files, and those that were read are purged."""
    for _ in range(3):
        ask(world.source, "FLUSH BINARY LOGS")
        time.sleep(0.3)
    newest, wanted = ask(world.source, "SHOW BINARY LOG STATUS")[0][0], world.executed()
    world.recovered()
    world.standby.wait_for(wanted)
    world.oracle.wait_until_received(wanted)
    ask(world.source, f"PURGE BINARY LOGS TO '{newest}'")


def failed_over(world: World, chance: random.Random) -> None:
    time.sleep(chance.uniform(0, 1))
    world.fail_over()


def failed_over_with_loss(world: World, chance: random.Random) -> None:
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


def swept(world: World, chance: random.Random) -> None:
    """The loader dies, and a janitor takes what it has left while its successor loads."""
    world.restart("loader")
    done = world.sweep()
    assert done.returncode in (0, 1, 3), done.stderr


FAULTS: dict[str, tuple[Fault, ...]] = {
    "crash_point": tuple(crash(point) for point in CRASH_POINTS),
    "kill9": (killed("streamer"), killed("loader")),
    "zombie": (zombie,),
    "sigstop": (paused("streamer"), paused("loader")),
    "reset": tuple(reset(server) for server in ("mysql", "kafka", "s3", "redshift")),
    "stall": tuple(stalled(server) for server in ("mysql", "kafka", "s3", "redshift")),
    "slow": tuple(slow(server) for server in ("mysql", "kafka", "s3", "redshift")),
    "s3_503": (trapped("s3", Trap(b"PUT /", answer=_BUSY), times=4),),
    "s3_truncated": (trapped("s3", Trap(b"PUT /", forwarded=True, answer=_CUT_SHORT), times=2),),
    "s3_lost_answer": (trapped("s3", Trap(b"PUT /", forwarded=True), times=2),),
    "kafka_commit_cut": (trapped("kafka", Trap(_END_TXN)), trapped("kafka", Trap(_END_TXN, forwarded=True))),
    "commit_cut": (refused("drop_before", "^COMMIT"), refused("drop_after", "^COMMIT"), refused("delay", "^COMMIT")),
    "warehouse_error": (refused("error_1023", "INSERT INTO"), refused("drop_before", "^COPY"), refused("hang", "DELETE FROM")),
    "broker_kill9": (server_killed("kafka"),),
    "mysqld_kill9": (server_killed("mysql"),),
    "rotation_and_purge": (rotated,),
    "failover": (failed_over,),
    "failover_with_loss": (failed_over_with_loss,),
    "janitor": (swept,),
}
"""By kind. Each cycle does one."""
