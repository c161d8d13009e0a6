"""Kafka, as librdkafka is told about it."""

from typing import Any

from runtime.sections import Kafka


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
