import subprocess
from pathlib import Path

import pytest

from contracts.errors import Invalid, Unavailable
from devstack import postgres
from devstack.postgres import Postgres, find_binaries, major


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 15),
        ("postgres (PostgreSQL) 18.4", 18),
        ("postgres (PostgreSQL) 19beta1", 19),
        ("", 0),
    ],
)
def test_the_major_version_is_read_from_what_postgres_prints(text: str, number: int) -> None:
    assert major(text) == number


def folder_of(tmp_path: Path, name: str, version: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    for program in ("postgres", "initdb"):
        (folder / program).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        (folder / program).chmod(0o755)
    return folder


def test_the_first_folder_that_is_new_enough_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [
        tmp_path / "none",
        folder_of(tmp_path, "old", "14.9"),
        folder_of(tmp_path, "new", "16.1"),
        folder_of(tmp_path, "newer", "17.0"),
    ]
    monkeypatch.setattr(postgres, "candidate_folders", lambda: folders)
    assert find_binaries() == tmp_path / "new"


def test_without_a_postgresql_the_error_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "candidate_folders", lambda: [folder_of(tmp_path, "old", "14.9")])
    with pytest.raises(Invalid, match=r"14\.9.*apt-get install postgresql"):
        find_binaries()


def test_a_long_data_directory_gets_a_short_socket_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find_binaries", lambda: tmp_path)
    near, far = Postgres(Path("/srv/d")), Postgres(Path("/srv") / ("d" * 90))
    assert near.socket_directory == Path("/srv/d/run")
    assert len(str(far.socket_directory)) < 60
    assert far.socket_directory == Postgres(Path("/srv") / ("d" * 90)).socket_directory


def test_what_a_killed_server_left_behind_is_not_taken_for_readiness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "STARTED_WITHIN_SECONDS", 0.3)
    server = Postgres(tmp_path)
    server.cluster.mkdir()
    (server.cluster / "postmaster.pid").write_text("\n".join(["1", "data", "0", "5432", "sockets", "", "", "ready", ""]))
    with subprocess.Popen(["sleep", "30"], text=False) as starting:
        server._process = starting
        with pytest.raises(Unavailable, match="not ready within"):
            server._wait_until_ready()
