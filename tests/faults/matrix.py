"""The faults, one after the other, and what became of each."""

from collections.abc import Callable, Collection
from pathlib import Path

from devstack.stack import Stack
from tests.faults.faults import FAULTS, Fault
from tests.faults.scene import Halt, scene

DETECTED_SECONDS_MAX = 10.0


def suffer(stack: Stack, directory: Path, number: int, fault: Fault) -> Halt | None:
    """Brings it about, compares how it halts with what is promised, runs the commands that mend it, and compares every row."""
    directory.mkdir(parents=True, exist_ok=True)
    with scene(stack, directory, f"fault{number}") as made:
        halt = fault.produce(made)
        if fault.repair is not None:
            assert halt is not None
            assert (halt.fault, halt.exit_code) == (fault.label, fault.exit_code), halt
            assert all(word in halt.message for word in fault.names), halt.message
            made.trade(10)
            fault.repair(made)
        made.trade(10)
        made.equal()
        return halt


def row(fault: Fault, halt: Halt | None) -> str:
    if halt is None:
        return f"| {fault.name} | goes on | | | |"
    return f"| {fault.name} | {halt.service}, {halt.seconds:.1f} s | {halt.message} | `{halt.fault}` | {halt.exit_code} |"


def matrix(stack: Stack, directory: Path, only: Collection[int], say: Callable[[str], object]) -> int:
    """Says the table; how many faults went otherwise than promised. `only`: numbers of faults, none for all."""
    say("| fault | detected by, in | message | `tidemark_halted` | exit |")
    say("|---|---|---|---|---|")
    wrong = 0
    for number, fault in enumerate(FAULTS):
        if only and number not in only:
            continue
        try:
            halt = suffer(stack, directory / str(number), number, fault)
        except (AssertionError, TimeoutError) as error:
            wrong += 1
            say(f"| {fault.name} | WRONG: {error} | | | |")
        else:
            wrong += halt is not None and halt.seconds > DETECTED_SECONDS_MAX
            say(row(fault, halt))
    return wrong
