"""Whatever is read, damaged or not, and wherever it is cut: both ways of collecting changes come to the same batches or the same error."""

from dataclasses import replace
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.envelope import Op, Row
from loader.core.plan import Mode
from loader.core.records import Record
from tests.decoders import needs_kernel
from tests.loader.core.collecting import loaded_alike, sent
from tests.loader.core.damages import HOWS, OTHER, BytesChanged, Damage, skipped_changed
from tests.loader.core.rowmaker import ORDERS
from tests.loader.core.runmaker import Run

pytestmark = needs_kernel

BYTES = st.sampled_from(list(b'"\\{}[]:,0159-.eEnx \n\0\x7f\x80\xff')) | st.integers(0, 255)
DAMAGES = st.sampled_from(OTHER) | st.builds(BytesChanged, st.integers(0, 2000), st.sampled_from(HOWS), BYTES)
SKIPPED = st.builds(skipped_changed, st.integers(0, 500), st.sampled_from(list(b"0159-.eEnx \n\0\x7f\x80\xff")))
QUIET = settings(max_examples=200)
WIDE = replace(ORDERS, columns=(ORDERS.columns[0], replace(ORDERS.columns[1], length=4000), ORDERS.columns[2]))
SEEDS = st.integers(0, 2**32)


@QUIET
@given(SEEDS)
def test_any_changes_cut_anywhere_come_to_the_same(seed: int) -> None:
    assert Run(seed).told().error is None


@QUIET
@given(SEEDS, DAMAGES)
def test_a_damaged_record_comes_to_the_same(seed: int, damage: Damage) -> None:
    Run(seed, damage).told()


@QUIET
@given(SEEDS, SKIPPED)
def test_damage_in_what_is_not_loaded_changes_nothing_or_is_corrupt(seed: int, damage: Damage) -> None:
    ours, theirs = Run(seed, damage).told_by_each()
    if theirs.error is None or ours.error is not None:
        assert ours == theirs
    else:
        assert theirs.error[0] == "Corrupt"
        assert ours == Run(seed).told()


@pytest.mark.long
@settings(QUIET, max_examples=1_500)
@given(SEEDS, st.none() | DAMAGES)
def test_very_many_runs_come_to_the_same(seed: int, damage: Damage | None) -> None:
    Run(seed, damage).told()


@pytest.mark.parametrize("mode", Mode)
def test_a_file_of_several_row_groups_and_pages_comes_to_the_same(mode: Mode) -> None:
    chance, records = Random(str(mode)), list[Record]()
    for at in range(30_000):
        name = "\0" if at % 997 == 0 else None if at % 11 == 0 else chance.choice("abcdef") * 2000
        row: Row = {"id": chance.randrange(300_000), "name": name, "total": f"{at % 999}.25"}
        records.append(sent(at, chance.choice((Op.CREATE, Op.UPDATE, Op.DELETE)), row, schema=WIDE))
    found = loaded_alike(records, schemas=[WIDE], mode=mode)
    parquet = found.parts[0].encoded.parquet
    assert parquet is not None
    assert found.left
    assert pq.ParquetFile(pa.BufferReader(parquet)).num_row_groups > 1
