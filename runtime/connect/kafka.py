"""Kafka, as librdkafka is told about it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from contracts.errors import Invalid, Unavailable
from runtime.sections import Kafka

REACH_TIMEOUT_SECONDS = 10.0
"""How long a start waits for a broker before it calls the setting wrong."""

_NO_ANSWER = {KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}

_SILENT = logging.getLogger("tidemark.reach")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def client_config(settings: Kafka) -> dict[str, Any]:
    """What every client has in common: where, how, who. Source: librdkafka, CONFIGURATION.md."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "client.id": "tidemark",
        "socket.keepalive.enable": True,
    }
    if settings.security_protocol != "PLAINTEXT":
        config["ssl.endpoint.identification.algorithm"] = "https"
        config["enable.ssl.certificate.verification"] = True
        if settings.ssl_ca:
            config["ssl.ca.location"] = settings.ssl_ca
    if settings.sasl_mechanism and settings.sasl_username is not None and settings.sasl_password is not None:
        config["sasl.mechanism"] = settings.sasl_mechanism
        config["sasl.username"] = settings.sasl_username
        config["sasl.password"] = settings.sasl_password.get_secret_value()
    return config


class Admin:
    """An admin client that is made when it is needed first, and anew after it got no answer: one that outlived a killed broker can be deaf
    for good."""

    def __init__(self, make: Callable[[], AdminClient]) -> None:
        self._make = make
        self._made: AdminClient | None = None

    @contextmanager
    def client(self) -> Iterator[AdminClient]:
        """To ask by. No answer is Unavailable, or a KafkaException that says so; it passes through."""
        if self._made is None:
            self._made = self._make()
        try:
            yield self._made
        except Unavailable:
            self._made = None
            raise
        except KafkaException as exception:
            if exception.args[0].code() in _NO_ANSWER:
                self._made = None
            raise


def require_brokers(settings: Kafka) -> AdminClient:
    """A client of a cluster that answers. Raises Invalid naming the setting: a service that starts without brokers has a wrong address
    more often than a broken cluster, and whoever restarts it tries again."""
    admin = AdminClient(client_config(settings), logger=_SILENT)
    try:
        admin.list_topics(timeout=REACH_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise Invalid(
            f"no Kafka broker answers at {settings.bootstrap_servers} ({error.args[0].str()}): start it, or mend kafka.bootstrap_servers"
            " or its TLS and SASL settings"
        ) from error
    return admin
