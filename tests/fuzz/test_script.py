"""The generator alone: the same seed, the same statements; every kind of DDL is met; nobody else's database is touched."""

from collections import Counter

from tests.fuzz.script import script

KINDS = {
    "add column",
    "drop column",
    "rename column",
    "swap columns",
    "modify",
    "change",
    "several",
    "convert",
    "default charset",
    "add generated",
    "drop generated",
    "key retyped",
    "key renamed",
    "key wider",
    "key narrower",
    "truncate",
    "rename",
    "rename back",
    "rename out",
    "rename in",
    "exchange of names",
    "create",
    "create like",
    "as select",
    "drop",
    "re-create",
    "drop database",
    "truncate partition",
    "drop partition",
    "add partition",
    "reorganize partition",
    "remove partitioning",
    "exchange partition",
    "force",
    "swap",
    "elsewhere",
    "keeps rows",
}


def test_a_seed_gives_the_same_statements_for_ever() -> None:
    assert script(7) == script(7)
    assert script(7).statements != script(8).statements


def test_fifty_seeds_hold_every_kind_of_ddl() -> None:
    met: Counter[str] = Counter()
    for seed in range(50):
        met += script(seed).kinds()
    assert set(met) == KINDS


def test_a_seed_names_no_other_seeds_database() -> None:
    named = script(12, "fuzz")
    assert named.databases == ("fuzz_12", "fuzz-12")
    moved = script(12, "other")
    assert [s.sql.replace("fuzz", "other") for s in named.statements] == [s.sql for s in moved.statements]
