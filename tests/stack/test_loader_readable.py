"""What the loader promises it also promises where the kernel was not built."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.stack import Stack
from tests.stack import test_loader as loader
from tests.stack.test_loader import Scene, staged

pytestmark = pytest.mark.stack

PROMISES = [
    pytest.param(loader.test_rows_deletes_and_key_changes_arrive_once_with_the_watermark, id="rows"),
    pytest.param(loader.test_a_truncate_empties_the_table_and_rows_after_it_stay, id="truncate", marks=pytest.mark.long),
    pytest.param(loader.test_a_value_too_long_loads_as_null_and_is_kept_until_its_key_is_good_again, id="quarantine"),
    pytest.param(loader.test_a_column_more_parks_the_table_and_names_the_alter_that_mends_it, id="alter", marks=pytest.mark.long),
]


@pytest.fixture
def readable(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    with staged(stack, tmp_path, f"readable {request.node.name}", loader={"decoder": "python"}) as made:
        yield made


@pytest.mark.parametrize("promise", PROMISES)
def test_without_the_kernel(readable: Scene, promise: Callable[[Scene], None]) -> None:
    promise(readable)
    assert {event["decoder"] for event in readable.events("decoder.chosen")} == {"python"}
