from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client import Counter

from contracts.errors import Corrupt, Fenced, Gone, Invalid, PipelineError, Refused, Unavailable
from runtime.metrics import REGISTRY, Health, serve

ROWS = Counter("tidemark_test_rows", "Rows of this test.", ["topic"], registry=REGISTRY)


class Hands:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_are_served() -> None:
    ROWS.labels("shop.shop.orders").inc(3)
    with serve("127.0.0.1:0", Health()) as port:
        status, text = get(port, "/metrics")
    assert status == 200
    assert 'tidemark_test_rows_total{topic="shop.shop.orders"} 3.0' in text
    assert "process_resident_memory_bytes" in text


def test_health_follows_the_loops_beats_and_readiness_its_word() -> None:
    hands = Hands()
    health = Health(patience_seconds=60, clock=hands)
    with serve("127.0.0.1:0", health) as port:
        assert (get(port, "/healthz")[0], get(port, "/readyz")[0]) == (200, 503)
        health.ready = True
        assert get(port, "/readyz")[0] == 200
        hands.seconds = 61
        assert (get(port, "/healthz")[0], get(port, "/readyz")[0]) == (503, 503)
        health.beat()
        assert (get(port, "/healthz")[0], get(port, "/readyz")[0]) == (200, 200)
        assert get(port, "/config")[0] == 404


def test_a_taken_address_is_refused_by_name() -> None:
    with (
        serve("127.0.0.1:0", Health()) as port,
        pytest.raises(Invalid, match=rf"metrics.listen 127.0.0.1:{port}"),
        serve(f"127.0.0.1:{port}", Health()),
    ):
        pass


def test_nothing_is_served_without_an_address() -> None:
    with serve(None, Health()) as port:
        assert port == 0


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (Gone("purged", fault="binlog_purged"), "binlog_purged"),
        (Refused("no"), "refused"),
        (Corrupt("bytes"), "corrupt"),
        (Invalid("a table that was altered"), "invalid"),
    ],
)
def test_a_halt_is_a_metric_for_as_long_as_the_process_lingers(error: PipelineError, fault: str) -> None:
    seen: list[str] = []
    health = Health()
    health.ready = True
    ports: list[int] = []

    def linger() -> None:
        seen.append(get(ports[0], "/metrics")[1])
        assert get(ports[0], "/readyz")[0] == 503

    def halt() -> None:
        with serve("127.0.0.1:0", health, linger) as port:
            ports.append(port)
            raise error

    with pytest.raises(type(error)):
        halt()
    assert f'tidemark_halted{{fault="{fault}"}} 1.0' in seen[0]


@pytest.mark.parametrize("error", [Fenced("another leads"), Invalid("a setting"), Unavailable("away")])
def test_what_no_person_has_to_see_to_or_sees_at_the_start_does_not_linger(error: PipelineError) -> None:
    lingered: list[str] = []
    with pytest.raises(type(error)), serve("127.0.0.1:0", Health(), lambda: lingered.append("yes")):
        raise error
    assert lingered == []
