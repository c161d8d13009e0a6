"""The topic of signals, where Kafka does not give it."""

from typing import Any

from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from contracts.topics import Topics
from runtime.sections import Kafka
from streamer.edges.signals import KafkaSignals


class Refusing:
    """A consumer that is told no, or nothing."""

    def __init__(self, *codes: int) -> None:
        self._codes = list(codes)

    def assign(self, _partitions: Any) -> None: ...

    def consume(self, _count: int, _timeout: float) -> list[Any]:
        return [Said(KafkaError(self._codes.pop(0)))]


class Said:
    def __init__(self, error: KafkaError) -> None:
        self._error = error

    def error(self) -> KafkaError:
        return self._error


def test_what_keeps_signals_from_being_heard_is_told_once_each() -> None:
    away, refused = KafkaError._TRANSPORT, KafkaError.TOPIC_AUTHORIZATION_FAILED
    signals = KafkaSignals(Kafka.model_validate({"bootstrap_servers": "nowhere:1", "allow_plaintext": True}), Topics("p"))
    signals._consumer = Refusing(away, refused, refused, refused)
    with capture_logs() as logged:
        assert [list(signals.hear(0)) for _ in range(4)] == [[]] * 4
    assert [(line["event"], line["code"]) for line in logged] == [
        ("signals.unheard", "_TRANSPORT"),
        ("signals.unheard", "TOPIC_AUTHORIZATION_FAILED"),
    ]
    assert "READ" in logged[1]["advice"]
