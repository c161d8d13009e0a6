"""How much memory: the peak of the streamer's process, beside what its settings allow."""

from collections.abc import Mapping
from typing import Any

from benchmarks.servers import Servers
from benchmarks.streamer.throughput import line, run_ours, write
from benchmarks.workloads import Workload
from runtime.settings import Settings

MEMORY_BYTES_MAX = int(Settings.model_fields["memory_bytes_max"].default)
BESIDE_BYTES = 100_000_000  # what the process may take for itself
LIMIT_BYTES = MEMORY_BYTES_MAX + BESIDE_BYTES


def measure(servers: Servers, workload: Workload, settings: Mapping[str, Any]) -> int:
    """The peak in bytes over one run of `workload`, whose records are read back. Raises Wrong."""
    write(servers, workload)
    measured, _ = run_ours(servers, workload, f"{workload.name}-ours", settings, check=True)
    servers.say(f"  {line(measured)}")
    return measured.rss_peak_bytes


def verdict(rss_bytes: int) -> str:
    under = "under" if rss_bytes <= LIMIT_BYTES else "OVER"
    return f"{rss_bytes / 1e6:,.0f} MB, {under} memory_bytes_max + 100 MB = {LIMIT_BYTES / 1e6:,.0f} MB"
