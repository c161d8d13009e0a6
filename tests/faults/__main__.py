"""`python -m tests.faults` brings every fault about on servers of its own, runs the commands that mend it, and prints the table. Exit code
1 when one went otherwise than promised."""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from devstack.stack import running_stack
from tests.faults.matrix import matrix


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", type=int, action="append", default=[], metavar="N", help="the Nth row, from 0; may be repeated")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory(prefix="tidemark-faults-") as folder, running_stack(Path(folder) / "stack") as stack:
        return 1 if matrix(stack, Path(folder), only, partial(print, flush=True)) else 0


if __name__ == "__main__":
    sys.exit(main())
