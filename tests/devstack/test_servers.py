"""What each server is told: pure parts of MySQL, Java and the stack's plan."""

import json
from pathlib import Path

import pytest

from contracts.errors import Invalid
from devstack.cli import main
from devstack.java import major_version
from devstack.mysql import SOCKET_PATH_BYTES_MAX, configuration, fixed_at_birth, socket_path
from devstack.stack import SERVERS, Stack
from devstack.warehouse import open_to_others
from runtime import settings


@pytest.fixture(autouse=True)
def _native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_STACK", "native")


def test_mysql_keeps_every_commit_by_default_and_any_setting_can_be_overridden() -> None:
    plain = configuration(Path("/d"), Path("/r"), 3306, Path("/s"), 7, {})
    assert (plain["sync-binlog"], plain["innodb-flush-log-at-trx-commit"], plain["server-id"]) == (1, 1, 7)
    chosen = configuration(
        Path("/d"), Path("/r"), 3306, Path("/s"), 7, {"sync_binlog": 0, "binlog-row-metadata": "MINIMAL", "lower_case_table_names": 1}
    )
    assert (chosen["sync-binlog"], chosen["binlog-row-metadata"], chosen["lower-case-table-names"]) == (0, "MINIMAL", 1)
    assert "sync_binlog" not in chosen


def test_a_setting_that_is_fixed_at_initialisation_needs_its_own_data_directory() -> None:
    assert fixed_at_birth({"port": 1, "lower-case-table-names": 1})
    assert not fixed_at_birth(configuration(Path("/d"), Path("/r"), 3306, Path("/s"), 1, {}))


def test_a_socket_in_a_deep_directory_gets_a_path_that_fits() -> None:
    assert socket_path(Path("/srv/stack")) == Path("/srv/stack/mysqld.sock")
    deep, other = Path("/" + "deep/" * 30), Path("/" + "deeq/" * 30)
    assert len(str(socket_path(deep))) <= SOCKET_PATH_BYTES_MAX
    assert socket_path(deep) != socket_path(other)


@pytest.mark.parametrize(
    ("banner", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("sh: java", None),
    ],
)
def test_javas_major_version_is_read_from_old_and_new_banners(banner: str, major: int | None) -> None:
    assert major_version(banner) == major


def test_the_stand_in_brings_the_s3_it_copies_from(tmp_path: Path) -> None:
    assert set(Stack.plan(tmp_path, {"redshift"}).servers) == {"s3", "redshift"}


def test_a_server_the_stack_was_not_asked_for_is_absent_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no kafka"):
        _ = Stack.plan(tmp_path, {"s3"}).kafka


def test_an_unknown_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="redis"):
        Stack.plan(tmp_path, {"redis"})


def test_a_stack_keeps_its_ports_and_refuses_another(tmp_path: Path) -> None:
    state = {"version": 1, "engine": "native", "ports": {"s3": 21234}, "mysql_settings": {}}
    (tmp_path / "stack.json").write_text(json.dumps(state))
    grown = Stack.plan(tmp_path, {"mysql"}, ports={"mysql": 21235})
    assert (grown.s3.port, grown.mysql.port) == (21234, 21235)
    with pytest.raises(Invalid, match="21234"):
        Stack.plan(tmp_path, {"s3"}, ports={"s3": 21236})


def test_a_state_file_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"version": 99}')
    with pytest.raises(Invalid, match="version 99"):
        Stack.attach(tmp_path)


def test_settings_of_mysql_are_refused_where_docker_runs_it(tmp_path: Path) -> None:
    state = {"version": 1, "engine": "docker", "ports": {"mysql": 21234}, "mysql_settings": {}}
    (tmp_path / "stack.json").write_text(json.dumps(state))
    with pytest.raises(Invalid, match="TIDEMARK_STACK=native"):
        Stack.plan(tmp_path, {"mysql"}, mysql_settings={"sync_binlog": 0})


def test_a_closed_folder_anywhere_above_is_seen(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    assert not open_to_others(inner)
    assert open_to_others(Path("/usr/bin"))


def test_asking_for_a_stack_that_is_not_there_exits_2_and_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--dir", str(tmp_path / "none")]) == 2
    assert "python -m devstack up" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--only", "mysql,redis"], ["--port", "mysql=0"], ["--port", "redis=1"]])
def test_a_misspelt_flag_exits_2_before_anything_starts(flags: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["up", "--dir", str(tmp_path / "s"), *flags])
    assert stopped.value.code == 2
    assert not (tmp_path / "s").exists()


def test_the_variables_of_env_are_settings_of_the_services(tmp_path: Path) -> None:
    stack = Stack.plan(tmp_path / "stack", SERVERS)
    file = tmp_path / "tidemark.yaml"
    file.write_text("pipeline: shop\nmysql: {user: u, password: p}\ns3: {bucket: lake}\ntables: {include: ['shop.*']}\n")
    loaded = settings.load(str(file), stack.environment())
    assert (loaded.mysql.port, loaded.kafka.bootstrap_servers) == (stack.mysql.port, stack.kafka.bootstrap_servers)
    assert (loaded.s3.endpoint_url, loaded.redshift.ssl_ca) == (stack.s3.endpoint_url, str(stack.redshift.ca_file))
