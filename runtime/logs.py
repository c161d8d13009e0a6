"""Logs: one JSON object a line, or coloured text for a person. Events are `noun.verb`, fields as in the glossary, never row values."""

import logging
import re
import sys
from typing import Any, Literal, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

TEXT_LENGTH_MAX = 4000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def configure(level: str, format: Literal["json", "console"], service: str, *, to: TextIO | None = None) -> None:
    """Sends every log line to `to` (default: stdout). Libraries' own lines pass from `warning` up, whatever `level`: their debug lines hold
    credentials and row values."""
    stream = to if to not in (None, sys.stderr) else cast(TextIO, _Standing("stdout" if to is None else "stderr"))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _stamp(service),
    ]
    last: list[Processor] = [structlog.processors.format_exc_info, _escape]
    if format == "json":
        last.append(structlog.processors.JSONRenderer(serializer=_dumps))
    else:
        last.append(structlog.dev.ConsoleRenderer(colors=stream.isatty()))
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    foreign = logging.StreamHandler(stream)
    foreign.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [foreign]
    root.setLevel(logging.WARNING)


class _Standing:
    """Whatever stands for this stream of the process when a line is written: another one while a progress bar is shown."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name

    def write(self, text: str) -> int:
        return int(getattr(sys, self._name).write(text))

    def flush(self) -> None:
        getattr(sys, self._name).flush()

    def isatty(self) -> bool:
        return bool(getattr(sys, self._name).isatty())


def _stamp(service: str) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, "service": service}

    return stamp


def escape(text: str) -> str:
    """Control and direction characters as `\\xNN` and `\\uNNNN`, long text cut: a value can neither forge a line nor colour a terminal."""
    whole = text.encode("utf-8", "backslashreplace").decode()  # lone surrogates have no UTF-8
    safe = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}" if ord(match[0]) < 256 else f"\\u{ord(match[0]):04x}", whole)
    return safe if len(safe) <= TEXT_LENGTH_MAX else f"{safe[:TEXT_LENGTH_MAX]}…"


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # A traceback keeps its lines: JSON escapes them, and a person wants to read them.
    return {escape(key): _plain(value) if key != "exception" else value for key, value in event.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and -(2**63) <= value < 2**64):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {escape(str(key)): _plain(item) for key, item in value.items()}
    return escape(str(value))


def _dumps(event: EventDict, **_: Any) -> str:
    return orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS, default=str).decode(errors="replace")
