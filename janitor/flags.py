"""The verbs and flags of `janitor`."""

import argparse
import re
from collections.abc import Sequence

from janitor.core.classify import State
from runtime import command

SWEEP = """
janitor                                            one sweep of every table, for a cron job
janitor --dry-run                                  what a sweep would remove
janitor orphans -t shop.orders                     show what interrupted loads left, with the proof
janitor orphans -t shop.orders --older-than 1h     remove it
janitor list -t shop.orders | grep 20250814_15     objects of the sessions of one hour
janitor clean -t shop.orders --older-than 7d       remove objects of committed batches too
"""
ORPHANS = """
janitor orphans -t shop.orders                     show, delete nothing; exit 4 when there are any
janitor orphans --all-tables --older-than 1h       remove those stored longer ago than an hour
janitor orphans -t shop.orders --all --fence       even the newest attempt: the running loader has to start over
"""
LIST = """
janitor list -t shop.orders | grep 20250814_15
janitor list -t shop.orders --state in-flight
janitor list --all-tables --state foreign --json
"""
CLEAN = """
janitor clean -t shop.orders --older-than 7d --dry-run
janitor clean -t shop.orders --pattern '*20250814_15*'
"""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was typed; ends the process with what is wrong with it, or with the help asked for."""
    parser = _parser()
    args = command.parse(parser, argv)
    if args.verb == "orphans" and args.fence and not args.all and args.older_than is None:
        parser.error("orphans: --fence makes the running loader start over; it goes with --all or --older-than")
    if args.verb == "clean" and args.older_than is None and args.pattern is None:
        parser.error("clean: say what: --older-than 7d, --pattern '*20250814_15*' or both")
    return args


def _parser() -> argparse.ArgumentParser:
    out = command.parser("janitor", "Shows and removes what interrupted loads left in the bucket, and what is long since loaded.", SWEEP)
    _deleting(out)
    command.json_flag(out)
    verbs = out.add_subparsers(dest="verb", metavar="orphans | list | clean | check", title="verbs (none: one sweep of every table)")
    orphans = command.verb(verbs, "orphans", "show or remove what interrupted loads left in the bucket", ORPHANS)
    _which(orphans)
    how = orphans.add_mutually_exclusive_group()
    how.add_argument("--older-than", type=command.duration, metavar="AGE", help="delete what was stored longer ago than this: 1h")
    how.add_argument("--all", action="store_true", help="delete whatever its age")
    orphans.add_argument("--fence", action="store_true", help="first bump the epoch, so that the newest attempt is provable too")
    listing = command.verb(verbs, "list", "list objects with their state and its proof", LIST)
    _which(listing)
    listing.add_argument("--state", choices=[state.value for state in State])
    listing.add_argument("--session", metavar="STAMP", type=_stamp, help="sessions that began then: 20250814, 20250814_15, 20250814_150312")
    clean = command.verb(verbs, "clean", "remove objects, of committed batches too", CLEAN)
    _which(clean)
    clean.add_argument("--older-than", type=command.duration, metavar="AGE", help="what was stored longer ago than this: 7d")
    clean.add_argument("--pattern", metavar="GLOB", help="what has such a name: '*20250814_15*'")
    check = command.verb(verbs, "check", "see whether bucket, deleting and ledger work, changing nothing", "janitor check")
    for verb in (orphans, clean):
        _deleting(verb, default=argparse.SUPPRESS)
    for verb in (orphans, listing, clean, check):
        command.json_flag(verb, default=argparse.SUPPRESS)
    return out


def _which(out: argparse.ArgumentParser) -> None:
    which = out.add_mutually_exclusive_group(required=True)
    which.add_argument("-t", "--table", type=command.table, action="append", metavar="DB.TABLE", help="this table; may be repeated")
    which.add_argument("--all-tables", action="store_true", help="every table of the pipeline")


def _deleting(out: argparse.ArgumentParser, default: object = None) -> None:
    # A verb's absent flag must not overwrite the one given before the verb.
    off = default if default is argparse.SUPPRESS else False
    out.add_argument("--dry-run", action="store_true", default=off, help="show what would be deleted, delete nothing")
    out.add_argument(
        "--max-delete", type=_count, metavar="N", default=default, help="refuse to delete more objects (default: 1000, or 20 %%)"
    )
    out.add_argument("--yes", action="store_true", default=off, help="delete however many, and while the ledger is empty")


def _stamp(text: str) -> str:
    if not re.fullmatch(r"\d{1,8}|\d{8}_\d{0,6}", text):
        raise argparse.ArgumentTypeError(
            f"not the beginning of a session's stamp: {text!r}; write 20250814, 20250814_15 or 20250814_150312"
        )
    return text


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"not a number of objects: {text!r}")
    return int(text)
