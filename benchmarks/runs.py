"""One run: a process of its own that writes its result to a file, and what its log says beside."""

import subprocess
from pathlib import Path

import orjson

from benchmarks.failure import Wrong
from devstack.pipeline import Pipeline

ROWS_PER_S_MIN = 300  # whoever is slower has stopped


def finish(pipeline: Pipeline, module: str, *arguments: str, result: Path, rows: int) -> Path:
    """Runs `module` to its end over `rows` rows; its `result`. Raises Wrong when it fails or takes too long."""
    service = pipeline.start(module, *arguments, "--result", str(result))
    try:
        code = service.wait(120 + rows / ROWS_PER_S_MIN)
    except subprocess.TimeoutExpired:
        service.kill9()
        raise Wrong(f"{module} did not finish {rows:,} rows in time; its log, {service.log}, ends:\n{service.tail()}") from None
    except BaseException:
        service.kill9()
        raise
    if code != 0 or not result.exists():
        raise Wrong(f"{module} ended with {code}; its log, {service.log}, ends:\n{service.tail()}")
    return result


def decoder(pipeline: Pipeline, logs: str = "*.log") -> str:
    """What a service's log names as its `decoder`: `kernel` or `python`; `unknown` when it names none."""
    found = "unknown"
    for log in sorted(pipeline.directory.glob(logs)):
        found = _named(log) or found
    return found


def _named(log: Path) -> str | None:
    for text in log.read_text(errors="replace").splitlines():
        if '"decoder"' in text:
            try:
                return str(orjson.loads(text)["decoder"])
            except (orjson.JSONDecodeError, KeyError):
                continue
    return None
