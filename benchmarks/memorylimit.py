"""What a service's settings allow it in memory, and what its peak says to that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import mb
from runtime.settings import Settings

MEMORY_BYTES_MAX = int(Settings.model_fields["memory_bytes_max"].default)


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """`memory_bytes_max` as it is unless set, and `beside_bytes`, what the process may take for itself."""

    beside_bytes: int

    @property
    def bytes(self) -> int:
        return MEMORY_BYTES_MAX + self.beside_bytes

    def verdict(self, rss_bytes: int) -> str:
        under = "under" if rss_bytes <= self.bytes else "OVER"
        return f"{rss_bytes / 1e6:,.0f} MB, {under} memory_bytes_max + {self.beside_bytes / 1e6:.0f} MB = {self.bytes / 1e6:,.0f} MB"

    def body(self, peaks: Mapping[str, int]) -> dict[str, Any]:
        """Of the JSON object; `peaks` in bytes, by what the service did."""
        return {
            "rss_mb_max": mb(max(peaks.values())) if peaks else None,
            "rss_mb": {name: mb(value) for name, value in peaks.items()},
            "rss_mb_limit": mb(self.bytes),
            "rss_under_limit": max(peaks.values()) <= self.bytes if peaks else None,
        }
