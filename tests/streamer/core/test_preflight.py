"""Grants and server variables: each fault is found, and nothing else is one."""

import pytest

from contracts.table import TableId
from streamer.core.preflight import (
    Grants,
    applied_fault,
    cascade_faults,
    filter_faults,
    grant_faults,
    hides_applied,
    hides_cascades,
    keyless_faults,
    literal_databases,
    literal_tables,
    server_faults,
    unproven_keys,
    unseen_databases,
)

READY = {
    "log_bin": "ON",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL",
    "gtid_mode": "ON",
    "server_id": "1",
}
ORDERS = TableId("shop", "orders")
REPLICATION = "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `t`@`%`"
UUID = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("version", "old"), [("8.0.28", True), ("5.7.44-log", True), ("8.0.30", False), ("9.7.4", False), ("12.0.1", False)]
)
def test_a_server_whose_tables_cannot_be_read_is_refused(version: str, old: bool) -> None:
    assert [f"MySQL {version.removesuffix('-log')}" in fault.what for fault in server_faults({**READY, "version": version}, 99)] == [
        True
    ] * old


def test_a_ready_server_has_no_fault() -> None:
    assert list(server_faults(READY, 99)) == []


@pytest.mark.parametrize(
    ("name", "found", "fix"),
    [
        ("log_bin", "OFF", "my.cnf"),
        ("binlog_format", "MIXED", "SET PERSIST binlog_format = ROW"),
        ("binlog_row_image", "NOBLOB", "SET PERSIST binlog_row_image = FULL"),
        ("binlog_row_metadata", "MINIMAL", "SET PERSIST binlog_row_metadata = FULL"),
        ("gtid_mode", "ON_PERMISSIVE", "SET PERSIST gtid_mode = ON"),
    ],
)
def test_each_setting_that_loses_something_is_named_with_the_sql_that_mends_it(name: str, found: str, fix: str) -> None:
    for value in (found, ""):
        (fault,) = server_faults({**READY, name: value}, 99)
        assert fault.what.startswith(name)
        assert fix in fault.fix


def test_a_server_id_the_source_has_itself_is_refused() -> None:
    (fault,) = server_faults({**READY, "server_id": "99"}, 99)
    assert "mysql.server_id" in fault.fix


@pytest.mark.parametrize(
    "lines",
    [
        ["GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `t`@`%`"],
        [REPLICATION, "GRANT SELECT ON `shop`.* TO `t`@`%`"],
        [REPLICATION, "GRANT SELECT, INSERT ON `sh_p`.* TO `t`@`%` WITH GRANT OPTION"],
        [REPLICATION, "GRANT ALL PRIVILEGES ON `sho%`.* TO `t`@`%`"],
        ["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"],
    ],
)
def test_enough_is_enough(lines: list[str]) -> None:
    assert list(grant_faults(Grants.parse(lines), [ORDERS], ["shop"])) == []


@pytest.mark.parametrize(
    ("lines", "fixes"),
    [
        (["GRANT USAGE ON *.* TO `t`@`%`"], ["REPLICATION SLAVE ON *.*", "REPLICATION CLIENT ON *.*", "SELECT ON `shop`.`orders`"]),
        ([REPLICATION, "GRANT SELECT ON `shop`.`items` TO `t`@`%`"], ["SELECT ON `shop`.`orders`"]),
        ([REPLICATION, "GRANT SELECT (`id`, `v`) ON `shop`.`orders` TO `t`@`%`"], ["SELECT ON `shop`.`orders`"]),
        ([REPLICATION, r"GRANT SELECT ON `sh\_p`.* TO `t`@`%`"], ["SELECT ON `shop`.`orders`"]),
        (
            ["GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `t`@`%`", "REVOKE SELECT ON `shop`.* FROM `t`@`%`"],
            ["`shop`.`orders`"],
        ),
    ],
)
def test_each_missing_right_is_named_with_its_grant(lines: list[str], fixes: list[str]) -> None:
    faults = list(grant_faults(Grants.parse(lines), [ORDERS], []))
    assert len(faults) == len(fixes)
    for fault, fix in zip(faults, fixes, strict=True):
        assert fix in fault.fix
        assert fault.fix.endswith("TO `t`@`%`")


def test_a_database_whose_tables_cannot_even_be_seen_is_named() -> None:
    (fault,) = grant_faults(Grants.parse([REPLICATION]), [], ["shop"])
    assert fault.fix == "GRANT SELECT ON `shop`.* TO `t`@`%`"
    assert literal_databases(["shop.*", "a*.x", "b.c", "d.e*"]) == {"shop", "d"}
    assert literal_tables(["shop.*", "a*.x", "b.c", "d.e*"]) == {TableId("b", "c")}


def test_a_single_granted_table_of_a_database_is_enough_for_it() -> None:
    assert list(grant_faults(Grants.parse([REPLICATION, "GRANT SELECT ON `shop`.`orders` TO `t`@`%`"]), [ORDERS], ["shop"])) == []


def test_a_database_of_which_some_tables_may_be_seen_is_told_with_what_would_show_all() -> None:
    some = Grants.parse([REPLICATION, "GRANT SELECT ON `shop`.`orders` TO `t`@`%`", "GRANT SELECT ON `whole`.* TO `t`@`%`"])
    (told,) = unseen_databases(some, ["whole", "shop"])
    assert "tables of shop" in told.what
    assert told.fix == "GRANT SELECT ON `shop`.* TO `t`@`%`"


def test_a_merged_table_without_a_key_is_told_how_to_get_one() -> None:
    (fault,) = keyless_faults([TableId("we`ird", "t")])
    assert "ALTER TABLE `we``ird`.`t` ADD PRIMARY KEY" in fault.fix


@pytest.mark.parametrize(
    ("unique", "proven"), [([], False), ([("c",)], False), ([("b",)], True), ([("c",), ("b", "a")], True), ([("a", "b", "c")], False)]
)
def test_a_configured_key_is_proven_by_a_unique_key_within_it(unique: list[tuple[str, ...]], proven: bool) -> None:
    told = list(unproven_keys({ORDERS: ("a", "b")}, {ORDERS: unique}))
    assert [doubt.warning for doubt in told] == ([] if proven else ["key.unproven"])
    for doubt in told:
        assert "SELECT `a`, `b`, COUNT(*) FROM `shop`.`orders` GROUP BY 1, 2 HAVING COUNT(*) > 1" in doubt.fix


@pytest.mark.parametrize(
    ("version", "native", "hidden"),
    [
        ("9.7.4", "OFF", False),
        ("9.6.0", "OFF", False),
        ("9.5.0", "OFF", True),
        ("8.4.6-log", "OFF", True),
        ("9.7.4", "ON", True),
        ("", "OFF", True),
    ],
)
def test_cascades_are_in_the_binlog_from_9_6_on_unless_the_engine_does_them(version: str, native: str, hidden: bool) -> None:
    assert hides_cascades({**READY, "version": version, "innodb_native_foreign_keys": native}) is hidden


def test_a_table_changed_by_hidden_cascades_is_named_with_the_ways_out() -> None:
    (fault,) = cascade_faults([ORDERS])
    assert "shop.orders" in fault.what
    assert "9.6" in fault.fix
    assert "tables.exclude" in fault.fix


def test_every_filter_of_the_binlog_is_named_with_the_option_to_take_out() -> None:
    faults = list(filter_faults(["binlog-do-db = shop", "binlog-ignore-db = a,b"]))
    assert ["binlog-do-db = shop" in faults[0].what, "binlog-ignore-db = a,b" in faults[1].what] == [True, True]
    assert [fault.fix.split()[1] for fault in faults] == ["binlog-do-db", "binlog-ignore-db"]
    assert list(filter_faults([])) == []


@pytest.mark.parametrize(
    ("variables", "hidden"),
    [
        ({"log_replica_updates": "ON"}, False),
        ({"log_replica_updates": "OFF"}, True),
        ({}, True),
    ],
)
def test_a_replica_logs_what_it_applies_only_when_it_says_so(variables: dict[str, str], hidden: bool) -> None:
    assert hides_applied(variables) is hidden
    assert "log_replica_updates = ON" in applied_fault().fix
