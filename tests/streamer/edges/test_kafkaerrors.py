"""An error that waiting cannot mend halts; any other is waited out."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from contracts.errors import Fenced, Invalid, PipelineError, Unavailable
from streamer.edges.kafkaerrors import translated


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        (KafkaError.TOPIC_EXCEPTION, Invalid, "tables.exclude"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Invalid, "grant"),
        (KafkaError.PRODUCER_FENCED, Fenced, "another streamer"),
        (KafkaError._TRANSPORT, Unavailable, "p.a.b_c"),
    ],
)
def test_each_error_says_whether_to_wait_to_stop_or_to_mend(code: int, kind: type[PipelineError], advice: str) -> None:
    error = translated(KafkaException(KafkaError(code)), "topic p.a.b_c could not be made")
    assert type(error) is kind
    assert advice in error.message
