"""librdkafka's errors in our own words."""

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException

from contracts.errors import Fenced, Invalid, PipelineError, Unavailable

FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
REFUSED = {
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "grant WRITE and DESCRIBE on this transactional id",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant READ, WRITE and DESCRIBE on the pipeline's topics",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "grant CREATE on the pipeline's topics",
    KafkaError.INVALID_TRANSACTION_TIMEOUT: "lower kafka.transaction_timeout_seconds to the broker's transaction.max.timeout.ms",
    KafkaError._AUTHENTICATION: "correct kafka.sasl_username and kafka.sasl_password",
    KafkaError.SASL_AUTHENTICATION_FAILED: "correct kafka.sasl_username and kafka.sasl_password",
    KafkaError.INVALID_REPLICATION_FACTOR: "set kafka.replication_factor to at most the number of brokers",
    KafkaError.TOPIC_EXCEPTION: "two topics may not differ only in . and _ (tables a_b.c and a.b_c): put one into tables.exclude",
    KafkaError.POLICY_VIOLATION: "the cluster's topic policy forbids what the pipeline's topics need",
}


def translated(exception: KafkaException, what: str) -> PipelineError:
    error: KafkaError = exception.args[0]
    kind: Callable[..., PipelineError] = Unavailable
    advice = ""
    if error.code() in FENCED:
        kind, advice = Fenced, "; another streamer of this pipeline has taken over"
    elif error.code() in REFUSED:
        kind, advice = Invalid, f"; {REFUSED[error.code()]}"
    return kind(f"{what}: {error.str()}{advice}", code=error.name())
