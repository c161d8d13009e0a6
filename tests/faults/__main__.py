"""`python -m tests.faults` brings every fault about on servers of its own, runs the commands that mend it, and prints the table. Exit code
1 when one went otherwise than promised."""

import sys
import tempfile
from functools import partial
from pathlib import Path

from devstack.stack import running_stack
from tests.faults.matrix import matrix


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="tidemark-faults-") as folder, running_stack(Path(folder) / "stack") as stack:
        return 1 if matrix(stack, Path(folder), partial(print, flush=True)) else 0


if __name__ == "__main__":
    sys.exit(main())
