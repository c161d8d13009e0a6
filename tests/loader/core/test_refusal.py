"""What the warehouse's refusals make of a target: whether it is parked or the loader halts, and what a person is told."""

from dataclasses import replace

import pytest

from contracts.errors import Invalid, Unfit
from loader.core.plan import Mode, StagedLoad
from loader.core.refusal import not_copied, not_done, refusal
from loader.core.target import TargetNaming, target_table
from tests.loader.core.reading import ORDERS, SCHEMA

LOAD = StagedLoad(target_table(ORDERS, SCHEMA, TargetNaming(), None), "tidemark_staged_0", "s3://lake/a.manifest", 3)


@pytest.mark.parametrize(
    ("code", "said", "refused"),
    [
        ("XX000", "the warehouse: Spectrum Scan Error … has an incompatible Parquet schema", True),
        ("XX000", "the warehouse: Value out of range for 2 bytes.", True),
        ("22003", "overflow", True),
        ("23502", "a NULL", True),
        ("XX000", "Spectrum Scan Error … Not Found: HTTP response error code: 404", False),
        ("XX000", "Spectrum Scan Error … S3ServiceException:SlowDown,Status 503", False),
        ("XX000", "S3 Query Exception (Fetch)", False),
        ("XX000", "Disk Full", False),
        ("57014", "canceled", False),
        ("53200", "out of memory", False),
    ],
)
def test_a_load_is_refused_for_its_rows_where_the_words_say_so(code: str, said: str, refused: bool) -> None:
    assert (not_copied(LOAD, code, said) is not None) == refused


def test_a_table_loaded_by_key_is_parked_and_events_halt_the_loader() -> None:
    parked = not_copied(LOAD, "22003", "overflow")
    assert isinstance(parked, Unfit)
    assert parked.fields == {"topic": ORDERS, "table": "shop.orders", "manifest": "s3://lake/a.manifest"}
    events = not_copied(replace(LOAD, target=replace(LOAD.target, mode=Mode.APPEND)), "22003", "overflow")
    assert events is not None
    assert not isinstance(events, Unfit)
    assert events.message.endswith("and start the loader again (overflow)")


@pytest.mark.parametrize("statement", ['ALTER TABLE "shop"."orders" ADD COLUMN a INT', 'SELECT 1 FROM "shop"."orders" LIMIT 1'])
def test_a_right_that_was_taken_halts_the_loader_wherever_it_is_missed(statement: str) -> None:
    at_commit = refusal(LOAD.target, "42501", "permission denied", ())
    altering = not_done(LOAD.target, statement, "42501", "must be owner of relation orders")
    assert type(at_commit) is type(altering) is Invalid
    assert at_commit.fields == altering.fields == {"topic": ORDERS, "table": "shop.orders"}
    fix = 'Give the right back (ALTER TABLE "shop"."orders" OWNER TO the loader\'s user), and start the loader again'
    assert at_commit.message == f"table shop.orders doesn't take the rows of shop.orders: permission denied. {fix}"
    assert altering.message == f"table shop.orders can't follow shop.orders: {statement}: must be owner of relation orders. {fix}"


def test_what_stands_in_the_way_of_an_alteration_parks_the_table() -> None:
    assert isinstance(not_done(LOAD.target, 'ALTER TABLE "shop"."orders" DROP COLUMN a', "2BP01", "a view depends on it"), Unfit)
