"""Where this host gets its Debian packages from: its own apt sources, in both formats apt knows.

Source: sources.list(5), "THE DEB AND DEB-SRC TYPES: GENERAL FORMAT", "ONE-LINE-STYLE FORMAT", "DEB822-STYLE FORMAT".
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from contracts.errors import Invalid

MIRROR_VARIABLE = "TIDEMARK_DEBIAN_MIRROR"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One repository a host installs from: base address, suite, components."""

    uri: str
    suite: str
    components: tuple[str, ...]


def parse_one_line(text: str) -> list[AptSource]:
    """Sources of a `.list` file: `deb [options] uri suite component…`."""
    sources = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match:
            uri, suite, components = match.groups()
            sources.append(AptSource(uri, suite, tuple(components.split())))
    return sources


def parse_deb822(text: str) -> list[AptSource]:
    """Sources of a `.sources` file: stanzas of `Field: value`, every URI with every suite. `Enabled: no` and deb-src stanzas give none."""
    sources = []
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", lines):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[name] = fields.get(name, "") + " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        components = tuple(fields.get("components", "").split())
        sources += [
            AptSource(uri, suite, components) for uri in fields.get("uris", "").split() for suite in fields.get("suites", "").split()
        ]
    return sources


def host_sources(etc: Path = Path("/etc/apt")) -> list[AptSource]:
    """Every binary source configured on this host, in the order apt reads them."""
    sources: list[AptSource] = []
    parts = sorted((etc / "sources.list.d").glob("*"))
    for file in [etc / "sources.list", *parts]:
        if not file.is_file():
            continue
        text = file.read_text(errors="replace")
        if file.suffix == ".list":
            sources += parse_one_line(text)
        elif file.suffix == ".sources":
            sources += parse_deb822(text)
    return sources


def debian_mirror(sources: list[AptSource], environ: Mapping[str, str] = os.environ) -> str:
    """The Debian archive this host uses; TIDEMARK_DEBIAN_MIRROR wins. Raises Invalid where none is configured.

    The archive is the source whose path ends in `debian` and that has component `main`: third-party repositories and the
    security archive, which carries no unstable suite, are told apart by that."""
    if chosen := environ.get(MIRROR_VARIABLE):
        return chosen
    for source in sources:
        path = urlsplit(source.uri).path.rstrip("/")
        if path.endswith("/debian") and "main" in source.components:
            return source.uri
    raise Invalid(
        "no Debian archive among this host's apt sources; set "
        f"{MIRROR_VARIABLE} to the address of one (it ends in /debian), or start a Docker engine and unset TIDEMARK_STACK"
    )
