"""`python -m benchmarks.janitor`: how long the janitor takes to list and judge a table's objects, and in how much memory; the last line of
stdout is one JSON object.

The commands are run as a person runs them, against an S3 over HTTP and the Redshift stand-in. Exit 1 when a verdict was wrong.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any

import yaml

from benchmarks import commandline, machine
from benchmarks.commandline import Conditions, say
from benchmarks.failure import Wrong
from benchmarks.figures import mb
from benchmarks.janitor import copies
from benchmarks.janitor.bucket import ACCESS_KEY, REGION, SECRET_KEY, full_bucket
from benchmarks.janitor.lake import BUCKET, PIPELINE, PREFIX, TABLE, Lake
from devstack.stack import running_stack
from devstack.warehouse import RedshiftStandIn

ATTEMPTS = 50_000
PARTS = ("orphans", "list", "delete", "copy")
DELETED = "*_e00000002_00000*"  # by the nonce, which counts here: 410 attempts
SECONDS_MAX, RSS_MB_MAX = 30, 200
ORPHANS_BESIDE = 2_500  # attempts, beside what a COPY reads
LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Run:
    """One command: wall-clock seconds, the most memory its process had, lines it printed."""

    seconds: float
    rss_bytes: int
    lines: int


@dataclass(slots=True)
class Report:
    """Runs by part."""

    conditions: Conditions
    objects: int
    runs: dict[str, list[Run]] = field(default_factory=dict)

    copy_ms: tuple[float, float] | None = None
    """Alone, and among orphans."""

    failed = False  # a wrong verdict raises Wrong

    def seconds(self, part: str) -> float | None:
        return round(median(run.seconds for run in self.runs[part]), 1) if part in self.runs else None

    def rss_mb(self) -> float:
        return mb(max((run.rss_bytes for runs in self.runs.values() for run in runs), default=0))

    def body(self) -> dict[str, Any]:
        delete = self.runs.get("delete")
        return {
            "objects": self.objects,
            "seconds": self.seconds("orphans"),
            "rss_mb": self.rss_mb(),
            "list_seconds": self.seconds("list"),
            "deleted_objects_per_s": round(2 * delete[0].lines / delete[0].seconds) if delete else None,
            "copy_ms_alone": round(self.copy_ms[0], 1) if self.copy_ms else None,
            "copy_ms_among_orphans": round(self.copy_ms[1], 1) if self.copy_ms else None,
        }

    def lines(self) -> Iterable[str]:
        yield f"{self.objects:,} objects: judged in {self.seconds('orphans')} s (bound {SECONDS_MAX}), listed in {self.seconds('list')} s"
        yield f"at most {self.rss_mb():.0f} MB of memory (bound {RSS_MB_MAX})"
        if self.copy_ms:
            yield f"COPY by manifest: {self.copy_ms[0]:.0f} ms alone, {self.copy_ms[1]:.0f} ms among {2 * ORPHANS_BESIDE:,} of orphans"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = commandline.parser("janitor", __doc__, runs=3, parts=PARTS).parse_args(argv)
    lake = Lake(max(1_000, round(ATTEMPTS * arguments.scale)))

    def measure() -> Report:
        conditions = Conditions(machine.describe(), machine.commit(), datetime.now(UTC), arguments.runs, arguments.scale, {})
        report = Report(conditions, 2 * lake.attempts)
        with running_stack(arguments.dir, ("redshift",), say=say) as stack:
            say("writing the ledger")
            lake.write_ledger(stack.redshift)
            say(f"filling the bucket with {report.objects:,} objects")
            with full_bucket(BUCKET, lake.keys(), b"PAR1" * 2) as url:
                config = _config(arguments.dir, stack.redshift, url)
                _measure(report, lake, config, arguments.only, arguments.runs)
            if "copy" in arguments.only:
                say("copying by manifest")
                report.copy_ms = copies.measure(stack, ORPHANS_BESIDE, arguments.runs, say)
        return report

    return commandline.run("janitor", arguments.save, measure)


def _measure(report: Report, lake: Lake, config: Path, parts: Sequence[str], runs: int) -> None:
    if set(parts) & {"orphans", "list"}:
        say("  the server makes its lists (does not count)")
        _run(config, ("list", "-t", TABLE), 2 * lake.attempts, 0)
    for part, command, lines, code in (
        ("orphans", ("orphans", "-t", TABLE), lake.orphans, 4),
        ("list", ("list", "-t", TABLE), 2 * lake.attempts, 0),
    ):
        if part in parts:
            for number in range(1, runs + 1):
                report.runs.setdefault(part, []).append(_run(config, command, lines, code))
                told = report.runs[part][-1]
                say(f"  {part} {number}/{runs}  {told.seconds:.1f} s, {told.rss_bytes / 1e6:.0f} MB, {told.lines:,} lines")
    if "delete" in parts:
        chosen = sum(fnmatchcase(lake.key(number).stem, DELETED) for number in lake.committed)
        say(f"  deleting {chosen:,} attempts")
        report.runs["delete"] = [_run(config, ("clean", "-t", TABLE, "--pattern", DELETED, "--yes"), chosen, 0)]


def _run(config: Path, command: Sequence[str], lines: int, code: int) -> Run:
    """Raises Wrong when it did not print what it should have."""
    with TemporaryFile() as out, TemporaryFile() as told:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "janitor", *command], env={**os.environ, "TIDEMARK_CONFIG": str(config)}, stdout=out, stderr=told
        )
        rss_bytes = 0
        while process.poll() is None:
            # Its own highest mark, which only grows. What wait4 tells is this process's, full bucket and all, before the child's.
            with suppress(ValueError, OSError):
                rss_bytes = machine.peak_rss_bytes(process.pid)
            time.sleep(LOOK_EVERY_S)
        seconds = time.monotonic() - began
        out.seek(0)
        told.seek(0)
        printed = sum(1 for _ in out)
        if process.returncode != code or printed != lines:
            raise Wrong(
                f"janitor {' '.join(command)}: exit {process.returncode}, {printed} lines instead of {lines}\n{told.read().decode()}"
            )
    return Run(seconds, rss_bytes, printed)


def _config(directory: Path, server: RedshiftStandIn, url: str) -> Path:
    settings = {
        "pipeline": PIPELINE,
        "mysql": {"host": "unused", "user": "unused", "password": "unused"},
        "kafka": {"bootstrap_servers": "unused:1", "allow_plaintext": True},
        "s3": {
            "bucket": BUCKET,
            "prefix": PREFIX,
            "endpoint_url": url,
            "region": REGION,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
        },
        "redshift": server.settings,
        "tables": {"include": ["shop.*"]},
    }
    path = directory / "tidemark.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


if __name__ == "__main__":
    sys.exit(main())
