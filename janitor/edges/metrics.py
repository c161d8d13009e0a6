"""What a sweep leaves for Prometheus. The process ends with it, so nothing can scrape it: the figures go into a file for the textfile
collector of the node exporter, or to a Pushgateway.

Source: prometheus_client, "Node exporter textfile collector" and "Exporting to a Pushgateway".
"""

from http.client import HTTPException

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import push_to_gateway, write_to_textfile

from contracts.errors import Unavailable
from janitor.core.classify import State
from janitor.core.report import Tally
from janitor.core.swept import Swept

JOB = "tidemark_janitor"
PUSH_PATIENCE_SECONDS = 10


def publish(pipeline: str, swept: Swept | None, ended_at: float, *, textfile: str | None, gateway: str | None) -> None:
    """The figures of one sweep that ended then (seconds of the epoch); of one that was refused or failed when `swept` is None: then all
    there is is when, and that it did not succeed. Raises Unavailable when they can't be left where they belong."""
    registry = CollectorRegistry()
    _declare(registry, pipeline, swept, ended_at)
    try:
        if textfile is not None:
            write_to_textfile(textfile, registry)
    except OSError as error:
        raise Unavailable(f"janitor.metrics_textfile {textfile}: {error}; name a file in a directory that can be written") from error
    try:
        if gateway is not None:
            push_to_gateway(gateway, JOB, registry, grouping_key={"pipeline": pipeline}, timeout=PUSH_PATIENCE_SECONDS)
    except (OSError, HTTPException) as error:
        raise Unavailable(f"janitor.pushgateway_url {gateway}: {error}; is it there?") from error


def _declare(registry: CollectorRegistry, pipeline: str, swept: Swept | None, ended_at: float) -> None:
    def gauge(name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"tidemark_janitor_{name}", about, ["pipeline", *labels], registry=registry)

    gauge("last_sweep_timestamp_seconds", "When the last sweep ended.").labels(pipeline).set(ended_at)
    gauge("last_sweep_succeeded", "1 when the last sweep ended well, 0 when it was refused or stopped.").labels(pipeline).set(
        swept is not None and swept.finished
    )
    if swept is None:
        return
    objects = gauge("objects", "Objects found by the last sweep, before it deleted any.", "state")
    sizes = gauge("size_bytes", "Bytes of the objects found by the last sweep.", "state")
    for state in State:
        objects.labels(pipeline, state.value).set(swept.counts[state])
        sizes.labels(pipeline, state.value).set(swept.sizes[state])
    attempts = gauge("deleted_attempts", "Orphans and committed batches the last sweep deleted.", "state")
    freed = gauge("deleted_size_bytes", "Bytes the last sweep deleted.", "state")
    for state, gone in ((State.ORPHAN, swept.orphans), (State.COMMITTED, swept.expired)):
        tally = Tally.of(gone)
        attempts.labels(pipeline, state.value).set(tally.attempts)
        freed.labels(pipeline, state.value).set(tally.size_bytes)
    gauge("aborted_uploads", "Unfinished multipart uploads the last sweep aborted.").labels(pipeline).set(swept.uploads)
