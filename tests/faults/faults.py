"""Each fault: how it is brought about, who must halt, and the commands that mend it, as the halt's message names them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from demo.shop import TABLES
from tests.faults.scene import Halt, Scene


@dataclass(frozen=True)
class Fault:
    """`produce` returns how the service halted, None when nothing halts and the pipeline goes on. `label`: of the metric. `names`: what
    the message must name besides. `repair`: commands, run while the other service is at work."""

    name: str
    produce: Callable[[Scene], Halt | None]
    label: str
    names: Sequence[str]
    repair: Callable[[Scene], None] | None
    exit_code: int = 3


def adopt_server(scene: Scene) -> None:
    scene.run("streamer", "adopt-server")
    scene.start_streamer()


def read_again(*tables: str) -> Callable[[Scene], None]:
    """Read again and taken on, in this order: as the message has it."""

    def repair(scene: Scene) -> None:
        named = [f"--table={scene.pipeline.name}.{table}" for table in tables]
        scene.run("streamer", "snapshot", "--resync", *named)
        every = len(tables) == len(TABLES)
        scene.run("loader", "adopt-topic", *(["--all-tables"] if every else named), code=3)
        scene.run("loader", "adopt-topic", *(["--all-tables"] if every else named), "--yes")
        scene.start_loader()
        scene.wait_until_followed()

    return repair


def adopt_topic(scene: Scene) -> None:
    scene.run("loader", "adopt-topic", "-t", f"{scene.pipeline.name}.orders")
    scene.start_loader()


def adopt_warehouse(scene: Scene) -> None:
    scene.run("loader", "adopt-warehouse")
    scene.start_loader()


def restarted(scene: Scene, service: str) -> Halt:
    since = time.monotonic()
    return scene.halt(scene.start_streamer() if service == "streamer" else scene.start_loader(), since)


def clean_failover(scene: Scene) -> None:
    replica = scene.replica()
    scene.trade()
    scene.stop(scene.streamer)
    scene.wait_for_replica(replica)
    scene.sql(replica, "STOP REPLICA", "RESET REPLICA ALL")
    scene.move_to(replica)
    scene.trade()
    scene.start_streamer()


def lossy_failover(scene: Scene) -> Halt:
    replica = scene.replica()
    scene.sql(replica, "STOP REPLICA", "RESET REPLICA ALL")
    scene.lose(10)
    scene.stop(scene.streamer)
    scene.move_to(replica)
    scene.trade(10)
    return restarted(scene, "streamer")


def lossy_failover_under_the_stream(scene: Scene) -> Halt:
    """The address stays and another server answers there, as behind a proxy or a name."""
    replica = scene.replica()
    scene.sql(replica, "STOP REPLICA", "RESET REPLICA ALL")
    scene.lose(10)
    since = scene.take_address(replica)
    return scene.halt(scene.streamer, since)


def purged_binlogs(scene: Scene) -> Halt:
    scene.stop(scene.streamer)
    scene.trade(10)
    scene.source.purge_binlogs()
    return restarted(scene, "streamer")


def reset_under_the_stream(scene: Scene) -> Halt:
    since = time.monotonic()
    scene.sql(scene.source, "RESET BINARY LOGS AND GTIDS")
    scene.trade(5)
    return scene.halt(scene.streamer, since)


def reset_and_counted_up_again(scene: Scene) -> Halt:
    """Its GTIDs hold all of ours again when the streamer comes back."""
    scene.stop(scene.streamer)
    ours = scene.executed_count(scene.source)
    scene.sql(scene.source, "RESET BINARY LOGS AND GTIDS")
    while scene.executed_count(scene.source) <= ours + 5:
        scene.trade(10)
    return restarted(scene, "streamer")


def another_server(scene: Scene) -> Halt:
    scene.stop(scene.streamer)
    fresh = scene.server("fresh", 13)
    scene.open_shop(fresh)
    scene.move_to(fresh)
    return restarted(scene, "streamer")


def xa_on_a_captured_table(scene: Scene) -> Halt:
    since = time.monotonic()
    customer = "INSERT INTO customers (name, email, created_at) VALUES ('X', 'x@example.com', NOW(6))"
    scene.sql(scene.source, f"USE {scene.pipeline.name}", "XA START 'trx7'", customer, "XA END 'trx7'", "XA PREPARE 'trx7'")
    halt = scene.halt(scene.streamer, since)
    scene.sql(scene.source, "XA ROLLBACK 'trx7'")
    return halt


def adopt_server_all_the_same(scene: Scene) -> None:
    scene.run("streamer", "adopt-server", code=3)
    scene.run("streamer", "adopt-server", "--yes")
    scene.start_streamer()


def rows_expired(scene: Scene) -> Halt:
    scene.stop(scene.loader)
    scene.trade(20)
    scene.wait_until_streamed()
    scene.expire(scene.topic("orders"))
    scene.trade(20)
    return restarted(scene, "loader")


def everything_expired(scene: Scene) -> Halt:
    scene.stop(scene.loader)
    scene.trade(20)
    scene.wait_until_streamed()
    scene.expire(*scene.topics)
    scene.trade(20)
    return restarted(scene, "loader")


def topic_recreated(scene: Scene) -> Halt:
    """Everything of it had been loaded."""
    since = time.monotonic()
    scene.delete(scene.topic("orders"))
    scene.create(scene.topic("orders"))
    return scene.halt(scene.loader, since)


def topic_recreated_with_rows_unread(scene: Scene) -> Halt:
    scene.stop(scene.loader)
    scene.trade(20)
    scene.wait_until_streamed()
    scene.delete(scene.topic("orders"))
    scene.create(scene.topic("orders"))
    scene.trade(20)
    return restarted(scene, "loader")


def topic_deleted(scene: Scene) -> Halt:
    """The streamer makes it again with its next row."""
    since = time.monotonic()
    scene.delete(scene.topic("orders"))
    scene.trade(20)
    return scene.halt(scene.loader, since)


def warehouse_restored(scene: Scene) -> Halt:
    scene.stop(scene.loader)
    restore = scene.backup()
    scene.start_loader()
    scene.trade(20)
    scene.equal()
    scene.stop(scene.loader)
    restore()
    return restarted(scene, "loader")


FAULTS = (
    Fault("moved to a replica that has all", clean_failover, "", (), None, 0),
    Fault("moved to a replica that lacks transactions", lossy_failover, "transactions_lost", ("adopt-server",), adopt_server),
    Fault("such a replica takes the address over", lossy_failover_under_the_stream, "transactions_lost", ("adopt-server",), adopt_server),
    Fault("binlogs purged", purged_binlogs, "binlog_purged", ("adopt-server",), adopt_server),
    Fault("RESET while streaming", reset_under_the_stream, "transactions_lost", ("adopt-server",), adopt_server),
    Fault("RESET, then as many transactions", reset_and_counted_up_again, "history_reset", ("adopt-server",), adopt_server),
    Fault("another server, other history", another_server, "transactions_lost", ("adopt-server",), adopt_server),
    Fault("XA on a captured table", xa_on_a_captured_table, "xa", ("X'74727837'", "adopt-server --yes"), adopt_server_all_the_same),
    Fault("rows expired unread", rows_expired, "kafka_rows_gone", ("seq", "adopt-topic"), read_again("orders")),
    Fault("rows and barriers expired", everything_expired, "kafka_barriers_gone", ("adopt-topic",), read_again(*TABLES)),
    Fault("topic made again, all loaded", topic_recreated, "topic_recreated", ("adopt-topic",), adopt_topic),
    Fault("topic made again, rows unread", topic_recreated_with_rows_unread, "topic_recreated", ("adopt-topic",), read_again("orders")),
    Fault("topic deleted", topic_deleted, "topic_recreated", ("adopt-topic",), adopt_topic),
    Fault("warehouse restored from a backup", warehouse_restored, "warehouse_restored", ("adopt-warehouse",), adopt_warehouse),
)
