"""`janitor`: shows and removes what interrupted loads left in the bucket, and what is long since loaded."""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import orjson
import structlog

from contracts.errors import PipelineError, Unavailable
from contracts.ledger import Guard, cluster_id
from contracts.table import TableId
from janitor.core.classify import State, Verdict
from janitor.core.report import Tally, attempt_json, attempt_line, counted, object_json, object_lines
from janitor.core.selection import Choice, Retention
from janitor.core.swept import Swept
from janitor.edges import metrics
from janitor.edges.redshift import RedshiftLedger
from janitor.edges.s3 import S3Bucket
from janitor.flags import parse
from janitor.service import ATTEMPTS_AT_A_TIME, Janitor, Plan
from runtime import command
from runtime.command import ExitCode
from runtime.connect import redshift, s3
from runtime.durations import format_duration
from runtime.lifecycle import Stop, crash_points, run
from runtime.settings import Settings

USES = ("s3", "redshift", "janitor")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    return run(lambda stop: _run(args, stop))


def _run(args: argparse.Namespace, stop: Stop) -> int:
    settings = command.start(args, "janitor", os.environ, uses=USES, shows=args.verb is not None or args.dry_run)
    with _janitor(settings, stop) as janitor:
        match args.verb:
            case "orphans":
                return _remove(
                    args, stop, janitor, settings, frozenset({State.ORPHAN}), shows=not (args.all or args.older_than is not None)
                )
            case "clean":
                return _remove(args, stop, janitor, settings, frozenset({State.ORPHAN, State.COMMITTED}), shows=False)
            case "list":
                return _list(args, janitor, settings)
            case "check":
                return _check(args, janitor)
            case _:
                return _sweep(args, janitor, settings)


def _remove(args: argparse.Namespace, stop: Stop, janitor: Janitor, settings: Settings, states: frozenset[State], *, shows: bool) -> int:
    """Shows what the flags choose, or deletes it."""
    topics = _topics(args, janitor, settings)
    fence = args.verb == "orphans" and args.fence
    plan, kept = _planned(args, janitor, settings, states, topics, as_if_fenced=fence)
    noun = "orphan" if args.verb == "orphans" else "batch"
    if kept:
        _say(f"left {counted(kept, 'committed batch')} that keep_committed_seconds, of s3 or of the table, still keeps")
    if shows or args.dry_run:
        _print(plan.verdicts, plan.at, args.json)
        _say(
            f"{Tally.of(plan.verdicts).told(noun)}; nothing was deleted"
            + ("" if not shows or not plan.chosen else "; --older-than 1h or --all deletes")
        )
        return ExitCode.FOUND if plan.chosen else ExitCode.DONE
    if not args.yes:
        plan.refuse_unasked(args.max_delete)
    if fence and plan.chosen:  # not before: a running loader starts over for it
        shards = janitor.fence(topics)
        _say(f"fenced shard {', '.join(map(str, shards))}: no attempt made before can be committed any more")
        plan, _ = _planned(args, janitor, settings, states, topics)  # what was chosen as if fenced was not proven yet
        if not args.yes:
            plan.refuse_unasked(args.max_delete)
    deleted = []
    for verdict in janitor.delete(plan):
        _print([verdict], plan.at, args.json, deleted=True)
        deleted.append(verdict)
    _say(f"deleted {Tally.of(deleted).told(noun)}")
    if left := len(plan.chosen) - len(deleted):
        _say(
            f"left {left} of {len(plan.chosen)}: "
            + ("asked to stop" if stop.requested() else "another object has taken the name of one of theirs")
        )
        return ExitCode.FAILED
    return ExitCode.DONE


def _planned(
    args: argparse.Namespace,
    janitor: Janitor,
    settings: Settings,
    states: frozenset[State],
    topics: Sequence[str],
    *,
    as_if_fenced: bool = False,
) -> tuple[Plan, int]:
    """What the flags choose; and how many committed batches they would choose too if they weren't kept still."""
    plan, retention, kept = Plan(), _retention(settings), 0
    for topic in topics:
        survey = janitor.survey(topic, as_if_fenced=as_if_fenced)
        choice = Choice(states, args.older_than, getattr(args, "pattern", None), retention.of(topic))
        plan.add(survey, survey.chosen(choice))
        kept += survey.kept(choice)
    return plan, kept


def _list(args: argparse.Namespace, janitor: Janitor, settings: Settings) -> int:
    form = object_json if args.json else object_lines
    tally = Tally()

    def tell(verdicts: Iterable[Verdict], at: datetime) -> None:
        nonlocal tally
        matching = _matching(args, verdicts)
        for verdict in matching:
            for line in form(verdict, at):
                print(line)
        tally += Tally.of(matching)

    for topic in _topics(args, janitor, settings):
        survey = janitor.survey(topic)
        tell(survey.verdicts, survey.at)
    if args.all_tables:
        tell(janitor.strays(), datetime.now(UTC))
    _say(str(tally))
    return ExitCode.DONE


def _matching(args: argparse.Namespace, verdicts: Iterable[Verdict]) -> list[Verdict]:
    return [
        verdict
        for verdict in verdicts
        if (args.state is None or verdict.state.value == args.state)
        and (args.session is None or (verdict.key is not None and f"{verdict.key.session:%Y%m%d_%H%M%S}".startswith(args.session)))
    ]


def _sweep(args: argparse.Namespace, janitor: Janitor, settings: Settings) -> int:
    retention, log = _retention(settings), structlog.get_logger()

    def tell(verdict: Verdict) -> None:
        assert verdict.key is not None
        log.debug("attempt.deleted", state=verdict.state.value, key=verdict.key.stem, size_bytes=verdict.size_bytes, proof=verdict.proof)

    try:
        swept = janitor.sweep(retention, confirmed=args.yes, delete_max=args.max_delete, dry_run=args.dry_run, tell=tell)
    except PipelineError:
        with suppress(Unavailable):  # what stopped the sweep is told, and is the graver of the two
            _publish(args, settings, None)
        raise
    orphans, expired, keep = Tally.of(swept.orphans), Tally.of(swept.expired), retention.keep
    if args.dry_run:
        _print([*swept.orphans, *swept.expired], swept.at, args.json)
    log.info(
        "sweep.stopped" if not swept.finished else "sweep.planned" if args.dry_run else "sweep.done",
        tables=swept.tables,
        orphans=orphans.attempts,
        orphans_size_bytes=orphans.size_bytes,
        expired=expired.attempts,
        expired_size_bytes=expired.size_bytes,
        keep_committed=format_duration(keep) if keep else "for ever",
        uploads_aborted=swept.uploads,
        objects_in_flight=swept.counts[State.IN_FLIGHT],
        objects_foreign=swept.counts[State.FOREIGN],
    )
    _publish(args, settings, swept)
    if not swept.finished:
        return ExitCode.FAILED
    return ExitCode.FOUND if args.dry_run and (swept.orphans or swept.expired) else ExitCode.DONE


def _publish(args: argparse.Namespace, settings: Settings, swept: Swept | None) -> None:
    to = settings.janitor
    if not args.dry_run:
        metrics.publish(settings.pipeline, swept, time.time(), textfile=to.metrics_textfile, gateway=to.pushgateway_url)


def _retention(settings: Settings) -> Retention:
    """0 is for ever."""
    own = {
        settings.topics.rows(TableId.parse(table)): timedelta(seconds=override.keep_committed_seconds) or None
        for table, override in settings.tables.override.items()
        if override.keep_committed_seconds is not None
    }
    return Retention(timedelta(seconds=settings.s3.keep_committed_seconds) or None, own)


def _check(args: argparse.Namespace, janitor: Janitor) -> int:
    """Each neighbour, one line; the exit code is the gravest fault's."""
    worst = int(ExitCode.DONE)
    for what, works in janitor.checks(datetime.now(UTC)):
        fault: PipelineError | None = None
        try:
            works()
        except PipelineError as error:
            fault, worst = error, max(worst, error.exit_code)
        if args.json:
            print(orjson.dumps({"check": what, "ok": fault is None, "message": fault.message if fault else ""}).decode())
        else:
            print(f"fault  {what}: {fault.message}" if fault else f"ok     {what}")
    return worst


def _topics(args: argparse.Namespace, janitor: Janitor, settings: Settings) -> list[str]:
    if args.all_tables:
        return janitor.topics()
    tables: list[TableId] = args.table
    topics = {settings.topics.rows(table): table for table in tables}
    for topic, table in topics.items():
        janitor.refuse_unknown(topic, str(table))
    return list(topics)


def _print(verdicts: Iterable[Verdict], at: datetime | None, as_json: bool, *, deleted: bool = False) -> None:
    """`at`: the bucket's clock; None where nothing was listed."""
    form = attempt_json if as_json else attempt_line
    for verdict in verdicts:
        assert at is not None
        print(form(verdict, at, deleted=deleted), flush=deleted)  # what was deleted is told even by a process that dies next


def _say(text: str) -> None:
    """To the person; stdout holds the objects alone."""
    print(text, file=sys.stderr)


@contextmanager
def _janitor(settings: Settings, stop: Stop) -> Iterator[Janitor]:
    to = settings.redshift
    guard = Guard(
        settings.pipeline, settings.s3.bucket, settings.s3.prefix, cluster_id(to.host, to.port, to.database), settings.state_shards
    )
    bucket = S3Bucket(s3.client(settings.s3), settings.s3.bucket, settings.s3.prefix)
    ledger = RedshiftLedger(lambda: redshift.connect(to), to.schema_)
    try:
        with ThreadPoolExecutor(ATTEMPTS_AT_A_TIME) as pool:
            yield Janitor(crash_points(bucket, "janitor"), crash_points(ledger, "janitor"), guard, stop.requested, pool.map)
    finally:
        ledger.close()
