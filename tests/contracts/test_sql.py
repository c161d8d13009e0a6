import re

import pytest
import sqlfluff
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import Invalid
from contracts.sql import folded, qualified, quote

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(lambda name: len(name.encode()) <= 127)


@given(NAMES)
def test_a_quoted_name_reads_back_as_the_folded_name(name: str) -> None:
    inside = re.fullmatch(r'"((?:[^"]|"")+)"', quote(name))
    assert inside
    assert inside[1].replace('""', '"') == folded(name)


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
