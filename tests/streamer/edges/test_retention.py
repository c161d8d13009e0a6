"""What a topic keeps, raised on a real broker that also refuses."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.cimpl import NewTopic
from structlog.testing import capture_logs

from contracts.errors import Unavailable
from contracts.topics import Topics
from devstack.kafka import KafkaBroker
from runtime.sections import Kafka
from streamer.edges.topics import KafkaTopics

pytestmark = pytest.mark.stack
HOUR_MS = 3_600_000
AUTHORIZED = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    made = KafkaBroker(tmp_path_factory.mktemp("retention"), settings=AUTHORIZED)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def topics(broker: KafkaBroker, hours: int = 168) -> KafkaTopics:
    section = {"bootstrap_servers": broker.bootstrap_servers, "allow_plaintext": True, "replication_factor": 1, "retention_hours": hours}
    return KafkaTopics(Kafka.model_validate(section), Topics("p"))


def make(broker: KafkaBroker, topic: str, **config: str) -> str:
    admin = broker.admin()
    settings = {name.replace("_", "."): value for name, value in config.items()}
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1, config=settings)])[topic].result()
    deadline = time.monotonic() + 10
    while topics(broker).partitions(topic) is None:  # the broker hears of it after the controller
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return topic


def told(broker: KafkaBroker, topic: str, kept_ms: int) -> dict[str, str]:
    """What is set for a topic, by whoever made or altered it, once it keeps so much."""
    admin, deadline = broker.admin(), time.monotonic() + 10
    while True:
        (future,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
        found = {name: str(entry.value) for name, entry in future.result().items() if entry.source == 1}  # DYNAMIC_TOPIC_CONFIG
        if found.get("retention.ms") == str(kept_ms) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_little_of_a_compacted_topic_is_there_to_be_read(broker: KafkaBroker) -> None:
    topics(broker).ensure("p.position", partitions=1, compacted=True)
    admin = broker.admin()
    (future,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, "p.position")]).values()
    found = {name: str(entry.value) for name, entry in future.result().items()}
    assert found["cleanup.policy"] == "compact"
    assert int(found["segment.ms"]) <= 600_000
    assert int(found["segment.bytes"]) <= 32 << 20


def test_what_keeps_less_than_the_setting_keeps_as_much_and_nothing_else_of_it_changes(broker: KafkaBroker) -> None:
    short = make(broker, "p.s.short", retention_ms=str(HOUR_MS), retention_bytes="-1", max_message_bytes="1234567")
    default = make(broker, "p.s.default")
    with capture_logs() as logged:
        topics(broker, 169).keep([short, default])
    assert told(broker, short, 169 * HOUR_MS) == {
        "retention.ms": str(169 * HOUR_MS),
        "retention.bytes": "-1",
        "max.message.bytes": "1234567",
    }
    assert told(broker, default, 169 * HOUR_MS) == {"retention.ms": str(169 * HOUR_MS)}
    raised = [(line["topic"], line["before_hours"], line["hours"]) for line in logged if line["event"] == "retention.raised"]
    assert sorted(raised) == [(default, 168, 169), (short, 1, 169)]


@pytest.mark.parametrize("kept_ms", [-1, 168 * HOUR_MS, 169 * HOUR_MS, 2**63 - 1])
def test_what_keeps_as_much_or_more_is_left(broker: KafkaBroker, kept_ms: int) -> None:
    topic = make(broker, f"p.s.long{kept_ms}", retention_ms=str(kept_ms))
    with capture_logs() as logged:
        topics(broker).keep([topic])
    assert told(broker, topic, kept_ms) == {"retention.ms": str(kept_ms)}
    assert logged == []


def test_a_topic_that_is_gone_hides_no_other(broker: KafkaBroker) -> None:
    topic = make(broker, "p.s.there", retention_ms=str(HOUR_MS))
    with capture_logs() as logged:
        topics(broker).keep(["p.s.gone", topic])
    assert told(broker, topic, 168 * HOUR_MS) == {"retention.ms": str(168 * HOUR_MS)}
    assert [line["event"] for line in logged] == ["retention.raised"]


@pytest.mark.parametrize("right", [AclOperation.ALTER_CONFIGS, AclOperation.DESCRIBE_CONFIGS])
def test_a_right_that_lacks_is_told_once_with_the_command_for_whoever_has_it(broker: KafkaBroker, right: AclOperation) -> None:
    denied = make(broker, f"p.s.denied{right.value}", retention_ms=str(HOUR_MS))
    other = make(broker, f"p.s.other{right.value}", retention_ms=str(HOUR_MS))
    acls = [
        AclBinding(ResourceType.TOPIC, denied, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission)
        for operation, permission in ((AclOperation.ALL, AclPermissionType.ALLOW), (right, AclPermissionType.DENY))
    ]
    admin = broker.admin()
    for future in admin.create_acls(acls).values():
        future.result()
    made = topics(broker)
    with capture_logs() as logged:
        for _ in range(2):
            made.keep([denied, other])
    assert told(broker, other, 168 * HOUR_MS) == {"retention.ms": str(168 * HOUR_MS)}
    (warning,) = (line for line in logged if line["log_level"] == "warning")
    assert (warning["event"], warning["topic"]) == ("retention.not_raised", denied)
    assert f"kafka-configs.sh --bootstrap-server {broker.bootstrap_servers} --alter" in warning["advice"]
    assert f"--entity-name {denied} --add-config retention.ms={168 * HOUR_MS}" in warning["advice"]


def test_a_broker_that_does_not_answer_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.edges.retention._TIMEOUT_SECONDS", 1.0)
    with pytest.raises(Unavailable):
        topics(KafkaBroker(tmp_path, port=1)).keep(["p.s.t"])
