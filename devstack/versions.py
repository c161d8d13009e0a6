"""What `versions.toml` pins."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class DebianPin:
    """The first package is the one whose version is of the series. `alone`: those of them that come without what they depend on."""

    series: str
    suite: str
    packages: tuple[str, ...]
    download_mb: int
    alone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KafkaPin:
    version: str
    scala: str
    java_min: int
    download_mb: int


@dataclass(frozen=True, slots=True)
class Versions:
    """Every pinned version; `docker` maps a Compose service to its image."""

    mysql: DebianPin
    toolkit: DebianPin
    kafka: KafkaPin
    docker: dict[str, str]

    @classmethod
    def load(cls, file: Path = HERE / "versions.toml") -> "Versions":
        raw = tomllib.loads(file.read_text())
        return cls(_debian(raw["mysql"]), _debian(raw["toolkit"]), KafkaPin(**raw["kafka"]), raw["docker"])


def _debian(raw: dict[str, Any]) -> DebianPin:
    return DebianPin(**{**raw, "packages": tuple(raw["packages"]), "alone": tuple(raw.get("alone", ()))})


def parse_checksums(text: str) -> dict[str, str]:
    """File name → SHA-256 in hex, from the format `sha256sum` prints (two spaces between)."""
    sums = {}
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            raise ValueError(f"not a line of sha256sum: {line!r}")
        sums[name] = digest
    return sums
