"""`python -m tests.fuzz --seeds N` runs seeds 0 to N - 1, `--seed S` only that one, both N seeds from S on. The statements of a seed that
fails are printed, and the command that runs it again; the last line is one JSON object. Exit code 1 when anything was unequal."""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import orjson

from devstack.stack import Stack, running_stack
from tests.fuzz.driver import fuzz, told
from tests.fuzz.script import script


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seeds", type=int, metavar="N", help="how many (default 20, or 1 with --seed)")
    parser.add_argument("--seed", type=int, metavar="S", help="the first")
    parser.add_argument("--show", action="store_true", help="print the statements and run nothing")
    parser.add_argument("--stack", type=Path, metavar="DIR", help="use the stack that runs in this directory instead of one of its own")
    options = parser.parse_args()
    first = options.seed or 0
    count = options.seeds if options.seeds is not None else 20 if options.seed is None else 1
    seeds = range(first, first + count)
    if options.show:
        for seed in seeds:
            print(told(script(seed), ()))
        return 0
    say = partial(print, flush=True)
    with tempfile.TemporaryDirectory(prefix="tidemark-fuzz-") as folder:
        if options.stack:
            report = fuzz(Stack.attach(options.stack), Path(folder), seeds, say)
        else:
            with running_stack(Path(folder) / "stack") as stack:
                report = fuzz(stack, Path(folder), seeds, say)
    last = {
        "seeds": report.seeds,
        "ddl_statements": report.ddl_statements,
        "rows_compared": report.rows_compared,
        "unequal": len(report.unequal),
    }
    print(orjson.dumps(last).decode())
    return 1 if report.unequal else 0


if __name__ == "__main__":
    sys.exit(main())
