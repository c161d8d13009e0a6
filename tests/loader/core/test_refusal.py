"""What becomes of a load that COPY refuses while it takes the others."""

from dataclasses import replace

import pytest

from contracts.errors import Unfit
from loader.core.plan import Mode, StagedLoad
from loader.core.refusal import not_copied
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
