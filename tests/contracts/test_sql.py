import re

import pytest
import sqlfluff
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import Invalid
from contracts.sql import folded, held_column, held_name, qualified, quote, unqualified

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(lambda name: len(name.encode()) <= 127)


@given(NAMES)
def test_a_quoted_name_reads_back_as_the_folded_name(name: str) -> None:
    inside = re.fullmatch(r'"((?:[^"]|"")+)"', quote(name))
    assert inside
    assert inside[1].replace('""', '"') == folded(name)


@given(NAMES, NAMES)
def test_a_qualified_name_reads_back_as_its_two(schema: str, name: str) -> None:
    assert unqualified(qualified(schema, name)) == (folded(schema), folded(name))


@given(st.text(st.sampled_from("ab\"'; -/*\\()."), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_no_name_leaves_its_quotes_for_a_parser_of_redshifts_sql(name: str) -> None:
    parsed = sqlfluff.parse(f"DROP TABLE {quote(name)}", dialect="redshift")
    assert quote(name) in tokens(parsed)


def tokens(parsed: object) -> list[str]:
    """Every token of a parse tree."""
    if isinstance(parsed, dict):
        return [token for value in parsed.values() for token in tokens(value)]
    return [token for value in parsed for token in tokens(value)] if isinstance(parsed, list) else [str(parsed)]


def test_only_ascii_letters_are_folded_as_redshift_folds_them() -> None:
    assert quote("OrdersÄÖ") == '"ordersÄÖ"'
    assert quote("IAMR:Admin", keep_case=True) == '"IAMR:Admin"'
    assert qualified("Shop", 'we"ird') == '"shop"."we""ird"'


@pytest.mark.parametrize("name", ["", "a\x00b", "a\nb", "\x7f", "\x85", "\ud800", "x" * 128, "名" * 43])
def test_a_name_redshift_could_not_hold_is_refused(name: str) -> None:
    for keep_case in (False, True):
        with pytest.raises(Invalid, match="SQL name"):
            quote(name, keep_case=keep_case)


def test_127_bytes_are_held() -> None:
    assert quote("名" * 42 + "x") == '"' + "名" * 42 + 'x"'


ANY_NAMES = st.text(min_size=1, max_size=200)


@given(ANY_NAMES)
def test_every_mysql_name_becomes_one_redshift_holds_and_always_the_same(name: str) -> None:
    held = held_name(name)
    assert quote(held) == '"' + held.replace('"', '""') + '"'
    assert not held.startswith("#")
    assert held_name(name) == held


@given(ANY_NAMES, ANY_NAMES)
def test_names_become_one_only_by_their_case(a: str, b: str) -> None:
    lower = ["".join(c.lower() if c.isascii() else c for c in name) for name in (a, b)]
    assert (held_name(a) == held_name(b)) <= (lower[0] == lower[1])


def test_a_name_that_is_cut_keeps_its_beginning_and_gets_a_hash() -> None:
    long = "名" * 64
    assert re.fullmatch("名{39}_[0-9a-f]{8}", held_name(long + "a"))
    assert held_name(long + "a") != held_name(long + "b")
    assert len(held_name(long).encode()) <= 127
    assert held_name("x" * 127) == "x" * 127


def test_a_column_of_a_system_columns_name_gets_a_hash() -> None:
    assert re.fullmatch("ctid_[0-9a-f]{8}", held_column("CTID"))
    assert held_column("Note") == "note"
