"""`loader`: the command line; `wiring` joins settings to clients."""

import argparse
import os
import secrets
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

import orjson

from contracts.errors import Invalid, PipelineError, Refused
from contracts.progress import TableState
from loader.committer import Committer
from loader.core import readers
from loader.core.encode import encode
from loader.core.status import headroom, status_lines, status_text
from loader.destinations import Destinations
from loader.edges.redshift import RedshiftWarehouse
from loader.edges.s3 import S3BatchStore
from loader.mending import adopt_topics, adopt_warehouse, pause, require_ledger, shard_of
from loader.rehearsal import Paper, PaperClock, PaperMembership, PaperStore, PaperWarehouse, PaperWorker, plan_lines, plan_text, rehearse
from loader.service import Loader
from loader.service.reading import end_of_progress
from loader.wiring import build, captured, check_s3, cut_policy, former, ledger_guard, open_reader, open_schemas, open_warehouse, targets
from runtime import command
from runtime.clock import SystemClock
from runtime.command import ExitCode
from runtime.connect import kafka, s3
from runtime.lifecycle import Stop, run
from runtime.metrics import Health, serve
from runtime.settings import Settings

EXAMPLES = """
loader                          load until told to stop
loader sync -t shop.orders      load until the table holds what is on Kafka now, then exit
loader plan                     what the next commit would send: objects and SQL; sends nothing
loader pause -t shop.orders     leave a table as it is, until it is read again
loader adopt-topic -t shop.orders   go on with a topic that lost records, or was made again
loader adopt-warehouse          go on with a warehouse that was restored from a backup
loader check                    every setting, grant and endpoint; each fault with its fix
loader status                   how far each shard and table is
"""
USES = frozenset(["kafka", "s3", "redshift", "loader"])
POLL = timedelta(milliseconds=200)
SYNC_AGE = timedelta(seconds=1)
SYNC_LOOK_EVERY = timedelta(seconds=1)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = command.parse(_parser(), argv)
    verbs = {
        None: _run,
        "sync": _sync,
        "plan": _plan,
        "pause": _pause,
        "adopt-topic": _adopt_topic,
        "adopt-warehouse": _adopt_warehouse,
        "check": _check,
        "status": _status,
    }
    return run(lambda stop: verbs[arguments.verb](arguments, stop))


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("loader", "Loads row changes from Kafka into the warehouse, exactly once.", EXAMPLES)
    parser.add_argument(
        "--instance",
        metavar="NAME",
        default=socket.gethostname(),
        help="this loader's lasting name in its group (default: the host's name)",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="sync | plan | pause | adopt-topic | adopt-warehouse | check | status")
    sync = command.verb(verbs, "sync", "load until a table has reached what Kafka holds now, then exit", "loader sync -t shop.orders")
    sync.add_argument("-t", "--table", type=command.table, required=True, metavar="DB.TABLE")
    plan = command.verb(
        verbs,
        "plan",
        "what the next commit would send, objects and SQL, without sending anything; exit 4 when there is something to commit",
        "loader plan\nloader plan -t shop.orders\nloader plan --json",
    )
    plan.add_argument("-t", "--table", type=command.table, metavar="DB.TABLE", help="only the shard of this table (default: every shard)")
    paused = command.verb(
        verbs,
        "pause",
        "leave a table as it is, until streamer snapshot -t TABLE --resync, or until it is emptied at its source",
        "loader pause -t shop.orders",
    )
    paused.add_argument("-t", "--table", type=command.table, action="append", required=True, metavar="DB.TABLE", help="may be repeated")
    adopt = command.verb(
        verbs,
        "adopt-topic",
        "go on with what Kafka holds of a table now, after records were lost or a topic was made again",
        "loader adopt-topic -t shop.orders\nloader adopt-topic -t shop.orders --yes\nloader adopt-topic --all-tables --yes",
    )
    which = adopt.add_mutually_exclusive_group(required=True)
    which.add_argument("-t", "--table", type=command.table, action="append", metavar="DB.TABLE", help="may be repeated")
    which.add_argument("--all-tables", action="store_true", help="every table that was loaded, and the barriers")
    adopt.add_argument("--yes", action="store_true", help="also when rows are lost: the table is parked until it was read again")
    command.verb(
        verbs,
        "adopt-warehouse",
        "go on with a warehouse that was restored from a backup: what it lacks is read from Kafka again",
        "loader adopt-warehouse",
    )
    check = command.verb(verbs, "check", "try every setting, grant and endpoint; exit 2 when one has a fault", "loader check")
    status = command.verb(verbs, "status", "how far each shard and table is", "loader status\nloader status --json")
    for shows in (plan, check, status):
        command.json_flag(shows)
    return parser


def _run(arguments: argparse.Namespace, stop: Stop) -> int:
    settings = command.start(arguments, "loader", os.environ, uses=USES)
    # At a start the loop itself waits for the warehouse, as long as a question to it may take. Later its worker does, and the loop beats
    # on: a commit may take as long as its tables' statements together, so nothing but the lag tells one that hangs.
    health = Health(patience_seconds=settings.redshift.statement_timeout_seconds + 120)
    linger = partial(stop.wait, settings.metrics.halt_linger_seconds)
    with serve(settings.metrics.listen, health, linger), build(settings, stop, instance=arguments.instance, beat=health.beat) as loader:
        while not stop.requested():
            loader.step(POLL)
            health.beat()
            health.ready = loader.at_work
    return ExitCode.DONE


def _sync(arguments: argparse.Namespace, stop: Stop) -> int:
    settings = command.start(arguments, "loader", os.environ, uses=USES, shows=True)
    shard, clock = shard_of(settings, arguments.table), SystemClock(stop)
    # A session of its own to look with: the loader's belongs to its worker.
    with build(settings, stop, instance=None, age_max=SYNC_AGE) as loader, closing(open_warehouse(settings)) as warehouse:
        fence = warehouse.read_state(shard).fence
        reader = open_reader(settings, shard)
        try:
            goal = end_of_progress(reader, settings.topics.progress, fence.progress_offset)
        finally:
            reader.close()
        looked_at, began_at = clock.now(), fence.progress_offset
        while fence.progress_offset < goal:
            if stop.requested():
                return ExitCode.FAILED
            loader.step(POLL)
            if clock.now() - looked_at >= SYNC_LOOK_EVERY:
                fence, looked_at = warehouse.read_state(shard).fence, clock.now()
                _progress(f"{fence.progress_offset - began_at} of {goal - began_at} barriers")
        held = warehouse.read_state(shard).offsets.get(settings.topics.rows(arguments.table))
    _progress("")
    if held is not None and held.state is TableState.PARKED:
        raise Refused(f"{arguments.table} is parked, so its rows are not loaded: {held.because}", table=str(arguments.table))
    watermark = datetime.fromtimestamp(fence.commit_ts_us / 1_000_000, UTC)
    print(f"{arguments.table} is loaded up to {watermark.isoformat()}, GTID set {fence.gtid_set}")
    return ExitCode.DONE


def _plan(arguments: argparse.Namespace, _: Stop) -> int:
    settings = command.start(arguments, "loader", os.environ, uses=USES, shows=True)
    shards = [shard_of(settings, arguments.table)] if arguments.table else range(settings.state_shards)
    kafka.require_brokers(settings.kafka)
    found = False
    resolve = targets(settings)
    with closing(open_schemas(settings)) as schemas, closing(open_warehouse(settings, former(schemas, resolve))) as warehouse:
        require_ledger(settings, warehouse)
        warehouse.prepare(ledger_guard(settings))
        for shard in shards:
            paper = Paper()
            _rehearse(settings, shard, warehouse, Destinations(schemas, resolve, readers.choose(settings.loader.decoder).collect), paper)
            found |= paper.plan is not None
            lines = list(plan_lines(shard, paper))
            _show(lines, plan_text(shard, lines), as_json=arguments.json)
    return ExitCode.FOUND if found else ExitCode.DONE


def _adopt_topic(arguments: argparse.Namespace, stop: Stop) -> int:
    settings = command.start(arguments, "loader", os.environ, uses=USES, shows=True)
    adopt_topics(settings, arguments.table or (), SystemClock(stop), agreed=arguments.yes)
    return ExitCode.DONE


def _adopt_warehouse(arguments: argparse.Namespace, _: Stop) -> int:
    adopt_warehouse(command.start(arguments, "loader", os.environ, uses=USES, shows=True))
    return ExitCode.DONE


def _pause(arguments: argparse.Namespace, stop: Stop) -> int:
    pause(command.start(arguments, "loader", os.environ, uses=USES, shows=True), arguments.table, SystemClock(stop))
    return ExitCode.DONE


def _rehearse(settings: Settings, shard: int, warehouse: RedshiftWarehouse, destinations: Destinations, paper: Paper) -> None:
    """Puts on paper what the shard's next commit would send."""
    clock, log = PaperClock(datetime.now(UTC)), open_reader(settings, shard)
    store = S3BatchStore(s3.client(settings.s3), settings.s3.bucket, settings.s3.prefix)
    section = settings.redshift
    on_paper = PaperWarehouse(warehouse, paper, schema=section.schema_, iam_role=section.iam_role)
    policy = cut_policy(settings)
    loader = Loader(
        owner="plan",
        topics=settings.topics,
        policy=policy,
        membership=PaperMembership(shard),
        open_log=lambda _: log,
        warehouse=on_paper,
        destinations=destinations,
        committer=Committer(
            store=PaperStore(store, paper),
            warehouse=on_paper,
            encode=encode,
            clock=clock,
            nonce=lambda: secrets.token_hex(4),
            jitter=lambda: 0.0,
            halt_on_bad_row=settings.on_bad_row == "halt",
        ),
        worker=PaperWorker(),
        clock=clock,
        jitter=lambda: 0.0,
        captured=captured(settings),
    )
    try:
        rehearse(loader, log, paper, clock, progress=settings.topics.progress, age_max=policy.age_max)
    finally:
        loader.close()
        log.close()


def _check(arguments: argparse.Namespace, _: Stop) -> int:
    settings = command.start(arguments, "loader", os.environ, uses=USES, shows=True)
    faults = 0
    for name, attempt in (("kafka", _check_kafka), ("s3", check_s3), ("redshift", _check_redshift)):
        fault: str | None = None
        try:
            said = attempt(settings)
        except PipelineError as error:
            faults, fault, said = faults + 1, error.message, ""
        told = {"check": name, "ok": fault is None, "message": fault or said}
        _show([told], f"{name}: {'FAULT: ' + fault if fault else 'ok, ' + said}", as_json=arguments.json)
    return ExitCode.USAGE if faults else ExitCode.DONE


def _check_kafka(settings: Settings) -> str:
    topic = settings.topics.progress
    found = kafka.require_brokers(settings.kafka).list_topics(topic, timeout=kafka.REACH_TIMEOUT_SECONDS).topics[topic]
    if found.error is not None:
        raise Invalid(f"topic {topic}: {found.error.str()}; start the streamer, which makes it, or allow this user to read it")
    if len(found.partitions) != settings.state_shards:
        raise Invalid(f"topic {topic} has {len(found.partitions)} partitions; set state_shards to that, it is fixed for a pipeline's life")
    return f"{topic} has a partition for each of {settings.state_shards} shards"


def _check_redshift(settings: Settings) -> str:
    with closing(open_warehouse(settings)) as warehouse:
        warehouse.check()
        if warehouse.guard() is None:
            return f"reachable; schema {settings.redshift.schema_} is made at the loader's first start"
        warehouse.prepare(ledger_guard(settings))
        return f"schema {settings.redshift.schema_} holds this pipeline's ledger"


def _status(arguments: argparse.Namespace, _: Stop) -> int:
    settings = command.start(arguments, "loader", os.environ, uses=USES, shows=True)
    with closing(open_warehouse(settings)) as warehouse:
        require_ledger(settings, warehouse)
        fences = [warehouse.read_state(shard).fence for shard in range(settings.state_shards)]
        behind: dict[int, int] = {}
        left: dict[int, timedelta | None] = {}
        for fence in fences:
            with closing(open_reader(settings, fence.shard)) as reader:
                behind[fence.shard] = max(0, reader.bounds(settings.topics.progress).stable_end - fence.progress_offset)
                kept = reader.retention([settings.topics.progress, *warehouse.read_state(fence.shard).offsets])
                left[fence.shard] = headroom(fence, behind[fence.shard], kept, datetime.now(UTC))
        lines = list(status_lines(fences, behind, left, warehouse.watermarks()))
    _show(lines, status_text(lines), as_json=arguments.json)
    return ExitCode.DONE


def _show(lines: Iterable[object], text: str, *, as_json: bool) -> None:
    """The text; or `lines`, an object each, of which there may be none."""
    if not as_json:
        print(text)
        return
    for line in lines:
        print(orjson.dumps(line).decode())


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
