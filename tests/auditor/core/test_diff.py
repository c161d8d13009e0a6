"""Two sides differ exactly where their rows do."""

from auditor.core.diff import Difference, Side, differences, row_digest


def found(source: list[list[str | None]], warehouse: list[list[str | None]]) -> dict[tuple[str | None, ...], Difference]:
    return {item.key: item.difference for item in differences(Side.of(source, [0]), Side.of(warehouse, [0]))}


def test_equal_sides_have_no_differences_whatever_their_order() -> None:
    assert found([["1", "a"], ["2", None]], [["2", None], ["1", "a"]]) == {}


def test_a_missing_an_extra_and_an_unequal_row_are_each_named() -> None:
    assert found([["1", "a"], ["2", "b"]], [["2", "B"], ["3", "c"]]) == {
        ("1",): Difference.MISSING,
        ("2",): Difference.UNEQUAL,
        ("3",): Difference.EXTRA,
    }


def test_a_row_twice_in_the_warehouse_is_a_difference_even_when_both_are_right() -> None:
    assert found([["1", "a"]], [["1", "a"], ["1", "a"]]) == {("1",): Difference.DUPLICATE}


def test_a_key_that_two_rows_in_mysql_have_is_a_difference_even_where_one_of_them_is_right() -> None:
    for kept in ("a", "b"):
        assert found([["1", "a"], ["1", "b"], ["2", "c"]], [["1", kept], ["2", "c"]]) == {("1",): Difference.AMBIGUOUS}


def test_null_is_not_the_empty_text_and_values_do_not_run_into_one_another() -> None:
    assert row_digest([None]) != row_digest([""])
    assert row_digest(["ab", "c"]) != row_digest(["a", "bc"])
    assert row_digest(["", None]) != row_digest([None, ""])
