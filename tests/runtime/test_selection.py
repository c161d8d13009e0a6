import pytest

from contracts.table import TableId
from runtime.selection import TablePattern, TableSelection


@pytest.mark.parametrize(
    ("include", "exclude", "table", "captured"),
    [
        (("shop.orders",), (), "shop.orders", True),
        (("shop.orders",), (), "shop.orders2", False),
        (("shop.*",), (), "shop.orders", True),
        (("shop.*",), (), "shop2.orders", False),
        (("shop_*.orders",), (), "shop_eu.orders", True),
        (("shop.*",), ("shop.tmp_*",), "shop.tmp_1", False),
        (("shop.*",), ("shop.tmp_*",), "shop.orders", True),
        (("shop.*", "crm.people"), (), "crm.people", True),
        (("shop.Orders",), (), "shop.orders", False),
        (("shop.a?c",), (), "shop.abc", False),
        (("shop.a[b]c",), (), "shop.abc", False),
        (("shop.a[b]c",), (), "shop.a[b]c", True),
        (("*.*",), (), "mysql.user", False),
        (("*.*",), (), "shop.orders", True),
        ((), (), "shop.orders", False),
    ],
)
def test_captured_is_what_is_included_and_not_excluded(
    include: tuple[str, ...], exclude: tuple[str, ...], table: str, captured: bool
) -> None:
    assert TableSelection.of(include, exclude).captures(TableId.parse(table)) is captured


def test_a_star_does_not_reach_over_the_dot_between_database_and_table() -> None:
    assert not TableSelection.of(("s*.o",)).captures(TableId("s", "x.o"))
    assert TableSelection.of(("s.*",)).captures(TableId("s", "x.o\n"))


@pytest.mark.parametrize("pattern", ["orders", ".orders", "shop.", "*"])
def test_a_pattern_without_database_and_table_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"write db\.table"):
        TablePattern(pattern)


def test_asking_for_the_servers_own_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="never captured"):
        TablePattern("mysql.user")
