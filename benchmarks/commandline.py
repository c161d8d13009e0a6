"""What the benchmarks' command lines share: parts to choose from, progress on stderr, one JSON object as the last line of stdout."""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import confluent_kafka
import orjson

from benchmarks import machine
from benchmarks.failure import Wrong
from benchmarks.servers import Servers
from contracts.errors import PipelineError
from devstack.versions import Versions

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of what, when and how a benchmark's figures are."""

    machine: str
    commit: str
    at: datetime
    runs: int
    scale: float
    versions: Mapping[str, str]

    @classmethod
    def now(cls, servers: Servers, runs: int, scale: float) -> "Conditions":
        return cls(machine.describe(), machine.commit(), datetime.now(UTC), runs, scale, _versions(servers))

    def body(self) -> dict[str, Any]:
        """The end of the JSON object."""
        return {
            "machine": self.machine,
            "versions": dict(self.versions),
            "commit": self.commit,
            "date": self.at.isoformat(timespec="seconds"),
            "runs": self.runs,
            "scale": self.scale,
        }


class Report(Protocol):
    """What a benchmark measured."""

    conditions: Conditions

    @property
    def failed(self) -> bool: ...

    def body(self) -> dict[str, Any]:
        """The JSON object but for its conditions. Every key is always there."""

    def lines(self) -> Iterable[str]:
        """The same for a person."""


def parser(name: str, about: str | None, *, runs: int, parts: Sequence[str]) -> argparse.ArgumentParser:
    """The options every benchmark has. Its servers and logs lie in `.devstack/bench-<name>`."""
    found = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about, allow_abbrev=False)
    found.add_argument("--runs", type=int, default=runs, help=f"of each measurement (default {runs})")
    found.add_argument("--only", type=_choice(parts), default=tuple(parts), metavar="PART,…", help=f"of {', '.join(parts)} (default all)")
    found.add_argument("--scale", type=float, default=1.0, help="of rows and times; 0.1 for a quick look (default 1)")
    found.add_argument("--save", action="store_true", help=f"also write the JSON to {RESULTS.name}/<date>-{name}.json")
    directory = Path(f".devstack/bench-{name}")
    found.add_argument("--dir", type=Path, default=directory, help=f"for servers and logs (default {directory})")
    return found


def _choice(parts: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def chosen(text: str) -> tuple[str, ...]:
        found = tuple(part.strip() for part in text.split(",") if part.strip())
        if unknown := set(found) - set(parts):
            raise argparse.ArgumentTypeError(f"nothing is called {sorted(unknown)[0]!r}; there are {', '.join(parts)}")
        return found

    return chosen


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)


def run(name: str, save: bool, measure: Callable[[], Report]) -> int:
    """Measures, tells, and returns the exit code: 1 when what was measured is wrong."""
    try:
        report = measure()
    except Wrong as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except PipelineError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    say("")
    for text in report.lines():
        say(text)
    body = report.body() | report.conditions.body()
    if save:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{report.conditions.at:%Y-%m-%d}-{name}.json"
        path.write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n")
        say(f"saved as {path}")
    print(orjson.dumps(body).decode(), flush=True)
    return 1 if report.failed else 0


def _versions(servers: Servers) -> dict[str, str]:
    with servers.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        mysql = str(cursor.fetchone()[0])
    return {"mysql": mysql, "kafka": Versions.load().kafka.version, "librdkafka": str(confluent_kafka.libversion()[0])}
