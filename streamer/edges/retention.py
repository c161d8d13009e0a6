"""How long Kafka keeps what the loader has not read yet, of topics that are there already.

Source: Kafka's documentation, "Topic Configs" (`retention.ms`, of which -1 is no limit) and KIP-339 (a setting altered, the others left).
"""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from contracts.errors import Unavailable
from runtime.connect.kafka import Admin

HOUR_MS = 3_600_000
_SETTING = "retention.ms"
_TIMEOUT_SECONDS = 20.0
_UNANSWERED = {KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}
_NO_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}

log = structlog.get_logger()


class Retention:
    """Of one cluster's topics, as the settings want it at least."""

    def __init__(self, admin: Admin, bootstrap_servers: str, hours: int) -> None:
        self._admin = admin
        self._bootstrap_servers = bootstrap_servers
        self._wanted_ms = hours * HOUR_MS
        self._said: set[str] = set()  # topics of which nobody need hear again that they are not altered

    def extend(self, topics: Collection[str]) -> None:
        """Raises what these keep to the setting where it is less, and never lowers it. A topic that isn't there is passed over. What the
        cluster refuses is a warning in the log, with the command for whoever may. Raises Unavailable."""
        if not topics:
            return
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
        with self._admin.client() as client:
            asked = client.describe_configs(resources, request_timeout=_TIMEOUT_SECONDS)
            kept = {topic: int(config[_SETTING].value) for topic, config in self._answers(asked)}
            self._raise(client, {topic: kept_ms for topic, kept_ms in kept.items() if 0 <= kept_ms < self._wanted_ms})

    def _raise(self, client: AdminClient, less: Mapping[str, int]) -> None:
        if not less:
            return
        wanted = ConfigEntry(_SETTING, str(self._wanted_ms), incremental_operation=AlterConfigOpType.SET)
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[wanted]) for topic in less]
        for topic, _ in self._answers(client.incremental_alter_configs(resources, request_timeout=_TIMEOUT_SECONDS)):
            log.info("retention.raised", topic=topic, before_hours=less[topic] / HOUR_MS, hours=self._wanted_ms / HOUR_MS)

    def _answers(self, asked: "Mapping[ConfigResource, Future[Any]]") -> Iterator[tuple[str, Any]]:
        """Of the topics that are there and of which the cluster refused nothing."""
        for resource, future in asked.items():
            try:
                yield resource.name, future.result(_TIMEOUT_SECONDS)
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if error.code() in _NO_TOPIC:
                    continue
                if error.code() in _UNANSWERED or error.retriable():
                    raise Unavailable(f"{_SETTING} of {resource.name} could not be had: {error.str()}", code=error.name()) from exception
                self._warn(resource.name, error)
            except TimeoutError as error:
                raise Unavailable(f"{_SETTING} of {resource.name} could not be had: no answer") from error

    def _warn(self, topic: str, error: KafkaError) -> None:
        if topic in self._said:
            return
        self._said.add(topic)
        log.warning(
            "retention.not_raised",
            topic=topic,
            message=error.str(),
            advice=f"allow this user DESCRIBE_CONFIGS and ALTER_CONFIGS, or: kafka-configs.sh --bootstrap-server {self._bootstrap_servers} "
            f"--alter --entity-type topics --entity-name {topic} --add-config {_SETTING}={self._wanted_ms}",
        )
