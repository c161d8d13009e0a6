from devstack.redshift.names import LongNames, folded, quoted, stored


def test_ascii_letters_fold_and_others_stay() -> None:
    assert folded("ÄpfelID", quoted=True, case_sensitive=False) == "Äpfelid"


def test_a_name_is_cut_at_127_bytes_between_characters() -> None:
    assert folded("a" * 200, quoted=False, case_sensitive=False) == "a" * 127
    assert folded("é" * 100, quoted=True, case_sensitive=False) == "é" * 63


def test_a_name_over_63_bytes_is_kept_under_a_hash_of_its_own() -> None:
    one, two = "c" * 100 + "1", "c" * 100 + "2"
    assert len(stored(one).encode()) <= 63
    assert stored(one) != stored(two)
    assert stored(one) == stored(one)


def test_short_names_are_kept_as_they_are() -> None:
    assert stored("orders") == "orders"
    assert quoted('a"b') == '"a""b"'


def test_the_real_name_of_a_hashed_one_is_remembered() -> None:
    names = LongNames()
    names.note("x" * 90)
    names.note("short")
    assert names.real(stored("x" * 90)) == "x" * 90
    assert names.all() == {stored("x" * 90): "x" * 90}
