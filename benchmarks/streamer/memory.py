"""How much memory: the peak of the streamer's process, beside what its settings allow."""

from collections.abc import Mapping
from typing import Any

from benchmarks.memorylimit import MemoryLimit
from benchmarks.servers import Servers
from benchmarks.streamer.throughput import line, run_ours, write
from benchmarks.workloads import Workload

LIMIT = MemoryLimit(beside_bytes=100_000_000)


def measure(servers: Servers, workload: Workload, settings: Mapping[str, Any]) -> int:
    """The peak in bytes over one run of `workload`, whose records are read back. Raises Wrong."""
    write(servers, workload)
    measured, _ = run_ours(servers, workload, f"{workload.name}-ours", settings, check=True)
    servers.say(f"  {line(measured)}")
    return measured.rss_peak_bytes
