"""`streamer check`: everything the streamer needs, looked at and left as it is."""

from collections.abc import Callable, Iterator

from contracts.errors import PipelineError
from runtime.settings import Settings
from streamer.core.continuity import check_continuity
from streamer.core.preflight import Fault
from streamer.edges.mysql import MysqlServer
from streamer.edges.topics import KafkaPositions, KafkaTopics
from streamer.service.source import source_faults, source_warnings
from streamer.wiring import choices


def check(settings: Settings) -> Iterator[tuple[str, list[Fault]]]:
    """What was looked at, in order, and the faults it has, warnings among them."""
    yield "settings", []  # they would not be here else
    yield "MySQL", list(_caught("MySQL", lambda: _mysql_faults(settings)))
    yield "Kafka", list(_caught("Kafka", lambda: _kafka_faults(settings)))


def _caught(what: str, look: Callable[[], Iterator[Fault]]) -> Iterator[Fault]:
    """The faults found, the last of them what kept us from looking further."""
    try:
        yield from look()
    except PipelineError as error:
        yield Fault(error.message, f"mend this, then run `streamer check` again to see the rest of {what}")


def _mysql_faults(settings: Settings) -> Iterator[Fault]:
    server = MysqlServer(settings.mysql)
    try:
        status = server.status()
        yield from source_faults(choices(settings), settings.server_id("streamer"), status, server)
        yield from source_warnings(choices(settings), server)
        position = KafkaPositions(settings.kafka, settings.topics).peek()
        if position is not None:
            check_continuity(position.gtid_set, status.executed, status.purged)
        elif status.purged and settings.streamer.snapshot == "never":
            yield Fault(
                f"the server has purged binlogs ({status.purged}), and this pipeline has no position yet",
                "set streamer.snapshot: initial, or stream a server whose binlogs are whole",
            )
    finally:
        server.close()


def _kafka_faults(settings: Settings) -> Iterator[Fault]:
    admin = KafkaTopics(settings.kafka, settings.topics)
    brokers = admin.brokers()
    if brokers < settings.kafka.replication_factor:
        yield Fault(
            f"kafka.replication_factor is {settings.kafka.replication_factor}, and the cluster has {brokers} broker(s)",
            f"set kafka.replication_factor: {brokers}, or add brokers",
        )
    wanted = {settings.topics.progress: settings.state_shards, settings.topics.position: 1, settings.topics.schemas: 1}
    for topic in admin.row_topics():
        wanted[topic] = 1
    for topic, partitions in wanted.items():
        if (found := admin.partitions(topic)) not in (None, partitions):
            yield Fault(f"topic {topic} has {found} partitions and must have {partitions}", "start a new pipeline under another name")
