"""The command line."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from uuid import uuid4

import orjson
import structlog

from contracts.errors import Invalid
from contracts.signals import Ask, Signal
from runtime import command
from runtime.command import ExitCode
from runtime.connect.kafka import require_brokers
from runtime.lifecycle import Stop, run
from runtime.metrics import Health, serve
from streamer.backfill import Window, backfill
from streamer.check import check
from streamer.edges import metrics
from streamer.edges.mysql import MysqlServer
from streamer.edges.signals import KafkaOutbox
from streamer.edges.terminal import ReadingShown
from streamer.edges.topics import KafkaPositions, KafkaTopics
from streamer.ports import Tally
from streamer.status import lines, status
from streamer.wiring import build, require_captured, step_patience

EXAMPLES = """
streamer                         run: from the stored position; a first run reads all rows while it streams
streamer --from-timestamp 2h     run a new pipeline that holds what has changed since two hours ago
streamer --from-timestamp 2h     beside a running streamer: have the rows that changed since then read again
streamer --from-timestamp '2026-11-20 14:30:00' --until 2026-11-21 -t shop.orders --dry-run   what would be
streamer --from-timestamp 2h -t shop.log --again   emit the events of an append table a second time
streamer snapshot -t shop.orders   ask the running streamer to read a table again
streamer adopt-server            go on from a server that has lost transactions or binlogs: every table is read again
streamer check                   every setting, grant, server variable and endpoint; each fault with its fix
streamer status --json           how far the stream is
"""
SNAPSHOT = """
streamer snapshot -t shop.orders                                    read its rows again, while the stream goes on
streamer snapshot -t shop.orders --where "placed >= '2026-11-01'"   some of them
streamer snapshot -t shop.orders --resync                           empty the target first
streamer snapshot -t shop.orders --pause                            go on later, with --resume; --stop gives it up
"""
USES = {"mysql", "kafka", "streamer"}

log = structlog.get_logger()


def main(argv: Sequence[str] | None = None) -> int:
    arguments = command.parse(_parser(), argv)
    verbs: dict[str | None, Callable[[argparse.Namespace, Stop], int]] = {
        None: _run,
        "adopt-server": _adopt_server,
        "check": _check,
        "snapshot": _ask_for_snapshot,
        "status": _status,
    }
    return run(lambda stop: verbs[arguments.verb](arguments, stop))


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("streamer", "Writes every row change of the captured MySQL tables to Kafka, once and in order.", EXAMPLES)
    parser.add_argument(
        "--from-timestamp",
        type=command.moment,
        metavar="T",
        help="begin a new pipeline with what was committed at T or later: 2026-11-20, '2026-11-20 14:30:00' (UTC), RFC 3339, or 2h for two "
        "hours ago; where the pipeline has a position, have its running streamer read again what changed since",
    )
    parser.add_argument(
        "--until", type=command.moment, metavar="T2", help="only what was committed before T2, of a pipeline with a position"
    )
    parser.add_argument(
        "-t",
        "--table",
        dest="only",
        type=command.table,
        action="append",
        default=[],
        metavar="DB.TABLE",
        help="only of it; may be repeated",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="of append tables, which are left out else, emit the events a second time, as they were",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be read or emitted again, and exit 4 if anything would")
    parser.add_argument("--json", dest="shown_json", action="store_true", help="with --dry-run: one JSON object")
    verbs = parser.add_subparsers(dest="verb", metavar="snapshot | adopt-server | check | status")
    _snapshot_verb(verbs)
    adopt = command.verb(
        verbs,
        "adopt-server",
        "begin anew on the server as it is, when transactions or binlogs are lost: every table is emptied and read again",
        "streamer adopt-server\nstreamer adopt-server --yes",
    )
    adopt.add_argument("--yes", action="store_true", help="also when the stream could go on by itself")
    command.verb(verbs, "check", "look at everything the streamer needs, touch nothing", "streamer check --config tidemark.yaml")
    shown = command.verb(
        verbs, "status", "show the position and how far it is behind the server", "streamer status\nstreamer status --json"
    )
    command.json_flag(shown)
    return parser


def _snapshot_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    snapshot = command.verb(verbs, "snapshot", "ask the running streamer to read a table's rows again", SNAPSHOT)
    snapshot.add_argument("-t", "--table", type=command.table, action="append", required=True, metavar="DB.TABLE", help="may be repeated")
    snapshot.add_argument("--where", metavar="CONDITION", help="only the rows for which this holds, in MySQL's SQL")
    how = snapshot.add_mutually_exclusive_group()
    how.add_argument("--resync", action="store_true", help="empty the target first, so that rows MySQL does not have are gone, too")
    how.add_argument("--pause", dest="ask", action="store_const", const=Ask.PAUSE, help="go on with a reading later")
    how.add_argument("--resume", dest="ask", action="store_const", const=Ask.RESUME, help="go on with it now")
    how.add_argument("--stop", dest="ask", action="store_const", const=Ask.STOP, help="leave it where it is")
    snapshot.set_defaults(ask=Ask.SNAPSHOT)


def _run(arguments: argparse.Namespace, stop: Stop) -> int:
    settings = command.start(arguments, "streamer", os.environ, uses=USES)
    require_brokers(settings.kafka)
    if (window := _window(arguments)) is not None:
        stored = KafkaPositions(settings.kafka, settings.topics).peek() is not None
        if stored or arguments.dry_run:
            settings = command.start(arguments, "streamer", os.environ, uses=USES, shows=True)
            return backfill(settings, stop, window, dry_run=arguments.dry_run, as_json=arguments.shown_json)
        if arguments.until or arguments.only or arguments.again:
            raise Invalid(
                f"pipeline {settings.pipeline} has no position yet, so --from-timestamp begins its stream, which goes on and on with all "
                "captured tables: leave out --until, --table and --again; tables.include chooses tables"
            )
    health = Health(step_patience(settings).total_seconds())
    with ExitStack() as shown:
        streamer = build(settings, stop, _observers(shown), arguments.from_timestamp)
        shown.enter_context(serve(settings.metrics.listen, health, partial(stop.wait, settings.metrics.halt_linger_seconds)))
        try:
            while not stop.requested() and not streamer.finished:
                streamer.step()
                health.beat()
                health.ready = streamer.streaming
        finally:
            streamer.close()
    log.info("process.stopped")
    return ExitCode.DONE


def _observers(shown: ExitStack) -> Callable[[Tally], None]:
    """Who is told of every Kafka transaction: the metrics and, on a terminal, a person who waits for tables to be read."""
    reading = ReadingShown(shown) if sys.stderr.isatty() else None

    def observe(tally: Tally) -> None:
        metrics.observe(tally)
        if reading is not None:
            reading.observe(tally)

    return observe


def _window(arguments: argparse.Namespace) -> Window | None:
    """What --from-timestamp asks for. Raises Invalid for flags that do not go together."""
    if arguments.from_timestamp is None:
        if arguments.until or arguments.only or arguments.again or arguments.dry_run or arguments.shown_json:
            raise Invalid(
                "--until, --table, --again, --dry-run and --json belong to --from-timestamp (or behind a verb: streamer status --json)"
            )
        return None
    if arguments.until is not None and arguments.until <= arguments.from_timestamp:
        raise Invalid(f"--until {arguments.until.isoformat()} is not after --from-timestamp {arguments.from_timestamp.isoformat()}")
    if arguments.shown_json and not arguments.dry_run:
        raise Invalid("--json goes with --dry-run, which lists")
    return Window(arguments.from_timestamp, arguments.until, arguments.only, arguments.again)


def _ask_for_snapshot(arguments: argparse.Namespace, _stop: Stop) -> int:
    settings = command.start(arguments, "streamer", os.environ, uses={"kafka"}, shows=True)
    require_captured(settings, arguments.table)
    try:
        asked = [Signal(uuid4().hex[:8], arguments.ask, table, arguments.where, arguments.resync) for table in arguments.table]
    except ValueError as error:
        raise Invalid(str(error)) from None
    if KafkaTopics(settings.kafka, settings.topics).partitions(settings.topics.signals) is None:
        raise Invalid(f"topic {settings.topics.signals} is not there: the streamer of pipeline {settings.pipeline} has not run yet")
    outbox = KafkaOutbox(settings.kafka, settings.topics)
    for signal in asked:
        outbox.send(signal)
        print(f"asked for: {signal.ask.value} of {signal.table} ({signal.id}); `streamer status` shows how far it is")
    return ExitCode.DONE


def _adopt_server(arguments: argparse.Namespace, stop: Stop) -> int:
    settings = command.start(arguments, "streamer", os.environ, uses=USES, shows=True)
    require_brokers(settings.kafka)
    streamer = build(settings, stop, metrics.observe)
    try:
        adopted = streamer.adopt(anyway=arguments.yes)
    finally:
        streamer.close()
    print(f"the pipeline goes on from server {adopted.server_uuid} at GTID set {adopted.gtid_set}")
    if adopted.given_up:
        print(f"given up, for the server does not have it: {adopted.given_up}")
    if adopted.unstreamed:
        print(f"not streamed, but read with the tables: {adopted.unstreamed}")
    print(f"{len(adopted.tables)} tables are emptied and read again once the streamer runs: {', '.join(map(str, adopted.tables))}")
    return ExitCode.DONE


def _check(arguments: argparse.Namespace, _stop: Stop) -> int:
    settings = command.start(arguments, "streamer", os.environ, uses=USES, shows=True)
    faults = 0
    for what, found in check(settings):
        for fault in found:
            print(f"{'warn ' if fault.warning else 'fault'}  {what}: {fault.what}\n       fix: {fault.fix}")
        grave = sum(not fault.warning for fault in found)
        if not grave:
            print(f"ok     {what}")
        faults += grave
    return ExitCode.USAGE if faults else ExitCode.DONE


def _status(arguments: argparse.Namespace, _stop: Stop) -> int:
    settings = command.start(arguments, "streamer", os.environ, uses=USES, shows=True)
    position = KafkaPositions(settings.kafka, settings.topics).peek()
    server = MysqlServer(settings.mysql)
    try:
        body = status(settings.pipeline, position, server.status())
    finally:
        server.close()
    print(orjson.dumps(body).decode() if arguments.json else "\n".join(lines(body)))
    return ExitCode.DONE
