"""What the producer's statistics say about the transaction coordinator."""

import orjson

from streamer.edges.kafka import coordinator_counters


def statistics(**coordinator: int) -> str:
    other = {"connects": 99, "disconnects": 99, "txretries": 99, "req_timeouts": 99}
    return orjson.dumps({"brokers": {"b:9092/1": other, "TxnCoordinator": {"connects": 3, "tx": 8, **coordinator}}}).decode()


def test_only_what_goes_amiss_with_the_coordinator_counts() -> None:
    quiet = coordinator_counters(statistics())
    assert coordinator_counters(statistics(tx=9000)) == quiet
    for name in ("connects", "disconnects", "txretries", "req_timeouts"):
        assert coordinator_counters(statistics(**{name: 7})) != quiet


def test_statistics_before_a_coordinator_is_known_are_no_sign() -> None:
    assert coordinator_counters('{"brokers": {}}') == (0, 0, 0, 0)
