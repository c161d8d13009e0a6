"""What every command line has in common: flags, help with examples, exit codes, types of arguments."""

import argparse
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

from contracts.table import TableId
from runtime import logs
from runtime.durations import parse_duration, parse_time
from runtime.settings import Settings, load

Value = TypeVar("Value")


class ExitCode(IntEnum):
    """DONE, also for whoever mended what it found; FOUND is for commands that only show."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    FOUND = 4


EXIT_CODES = "exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 refused for safety, 4 a showing command found something"


def parser(prog: str, description: str, examples: str) -> argparse.ArgumentParser:
    """A parser whose help ends in examples, with `--version` and the flags of `common`. Usage errors exit 2."""
    out = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=f"examples:\n{_indent(examples)}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    out.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    common(out)
    return out


def verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """A verb of such a parser; its own `--help` has examples too, and it takes the common flags as well, before or after."""
    out = verbs.add_parser(
        name,
        help=description,
        description=description,
        epilog=f"examples:\n{_indent(examples)}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    common(out)
    return out


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """What was typed. argparse hears a flag in front of a verb also where the verb does not take it, and whoever typed it would think it
    was heeded: that is wrong usage, and ends the process as argparse does."""
    args = parser.parse_args(argv)
    verbs = {
        name: out for action in parser._actions if isinstance(action, argparse._SubParsersAction) for name, out in action.choices.items()
    }
    if args.verb is not None:
        taken = {action.dest for action in verbs[args.verb]._actions}
        for action in parser._actions:
            if action.option_strings and action.dest not in taken and getattr(args, action.dest, action.default) != action.default:
                parser.error(
                    f"{'/'.join(action.option_strings)} is for {parser.prog} without a verb, and {args.verb} does not take it there;"
                    f" what it takes: {parser.prog} {args.verb} --help"
                )
    return args


def common(out: argparse.ArgumentParser) -> None:
    # SUPPRESS: a verb's absent flag must not overwrite the one given before the verb.
    out.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="the settings (default: TIDEMARK_CONFIG, else tidemark.yaml)",
    )


def json_flag(out: argparse.ArgumentParser, shown: str = "one JSON object a line", default: object = False) -> None:
    out.add_argument("--json", action="store_true", default=default, help=f"{shown} instead of text")


def start(
    args: argparse.Namespace, service: str, environ: Mapping[str, str], *, uses: Collection[str] | None = None, shows: bool = False
) -> Settings:
    """Loads the settings and sets up the logs: on stdout for a service, on stderr for a command whose stdout is its answer (`shows`).
    Raises Invalid."""
    settings = load(getattr(args, "config", None), environ, uses=uses)
    logs.configure(settings.logs.level, settings.logs.format, service, to=sys.stderr if shows else None)
    return settings


def table(text: str) -> TableId:
    """Type of `-t db.table`."""
    return _argument(TableId.parse)(text)


def duration(text: str) -> timedelta:
    """Type of `--older-than 7d`."""
    return _argument(parse_duration)(text)


def moment(text: str) -> datetime:
    """Type of `--from-timestamp T`."""
    return _argument(lambda words: parse_time(words, datetime.now(UTC)))(text)


def _argument(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    def parsed(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            # argparse drops the message of a ValueError.
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _indent(examples: str) -> str:
    return "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())


def _version() -> str:
    try:
        return version("tidemark")
    except PackageNotFoundError:
        return "(not installed)"
