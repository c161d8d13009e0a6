"""Each fault on real servers: halted by the right service within ten seconds, with a message that names what is missing and what mends it;
and mended by that, every row equal."""

from pathlib import Path

import pytest

from devstack.stack import Stack
from tests.faults.faults import FAULTS, Fault
from tests.faults.matrix import suffer

pytestmark = [pytest.mark.stack, pytest.mark.long]


@pytest.mark.parametrize(("number", "fault"), enumerate(FAULTS), ids=[fault.name for fault in FAULTS])
def test_a_fault_halts_by_name_and_is_mended_by_the_command_it_names(stack: Stack, tmp_path: Path, number: int, fault: Fault) -> None:
    suffer(stack, tmp_path / "pipeline", number, fault)
