"""`python -m tests.types --values N --seed S`: every type of MySQL, N random values of each column beside its edges, through the whole
pipeline. What is unequal is printed; the last line is one JSON object. Exit code 1 when anything was unequal."""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import orjson

from devstack.stack import Stack, running_stack
from tests.types.suite import Draw, examine


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.types", description=__doc__)
    parser.add_argument("--values", type=int, default=50, metavar="N", help="random values a column (default 50)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the random values (default 0)")
    parser.add_argument("--decoder", choices=("auto", "kernel", "python"), default="auto", help="of both services (default auto)")
    parser.add_argument("--stack", type=Path, metavar="DIR", help="use the stack that runs in this directory instead of one of its own")
    options = parser.parse_args()
    name = f"types{int(time.time()) % 1_000_000}"  # where others have run before
    draw = Draw(options.values, options.seed, decoder=options.decoder)
    say = partial(print, flush=True)
    with tempfile.TemporaryDirectory(prefix="tidemark-types-") as folder:
        directory = Path(folder) / "pipeline"
        if options.stack:
            report = examine(Stack.attach(options.stack), directory, draw, name, say)
        else:
            with running_stack(Path(folder) / "stack") as stack:
                report = examine(stack, directory, draw, name, say)
    for fault in report.faults:
        say(fault)
    if report.faults:
        say(f"again: python -m tests.types --values {draw.values} --seed {draw.seed} --decoder {draw.decoder}")
    say(orjson.dumps(report.line()).decode())
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
