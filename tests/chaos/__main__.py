"""`python -m tests.chaos --cycles N --seed S`: N faults of every kind on real servers under traffic. The last line is one JSON object; exit
code 1 when a row was lost or doubled, an orphan was left, a committed object is gone, or what was tried again and again never hit."""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import orjson

from tests.chaos.campaign import campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--cycles", type=int, default=40, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of which faults and which traffic (default: 1)")
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="where servers and logs lie; left there (default: a folder that is removed)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidemark-chaos-") as folder:
        report = campaign(options.dir or Path(folder), options.cycles, options.seed, partial(print, flush=True))
    print(orjson.dumps(report.line()).decode())
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
