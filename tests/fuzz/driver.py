"""Many seeds against one running stack: some at a time, each in databases of its own, all by the same streamer and loader.

A pipeline that halts is a failure of the seed it names; the seeds that were at work beside it are run again in a new pipeline.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pymysql

from contracts.errors import PipelineError
from contracts.table import TableId
from devstack.pipeline import Pipeline, running_pipeline
from devstack.stack import Stack
from tests.fuzz.judge import Judge
from tests.fuzz.script import Script, script
from tests.stack.scenario import events, logs

AT_A_TIME = 5
PATIENCE = timedelta(seconds=60)
SEEDS_A_PIPELINE = 50
"""Then a new one: topics of tables that are gone only cost time."""


@dataclass
class Report:
    """`unequal`: by seed, what was wrong."""

    seeds: int = 0
    ddl_statements: int = 0
    rows_compared: int = 0
    unequal: dict[int, tuple[str, ...]] = field(default_factory=dict)


def fuzz(stack: Stack, directory: Path, seeds: Iterable[int], say: Callable[[str], object]) -> Report:
    """Runs every seed to its verdict."""
    report, waiting, number = Report(), deque(seeds), 0
    run = f"fuzz{int(time.time()) % 1_000_000}"  # where others have run before
    while waiting:
        number += 1
        name = f"{run}n{number}"
        settings = {
            "redshift": {"schema": f"tidemark_{name}"},
            "s3": {"prefix": f"lake-{name}"},
            "batch": {"seconds": 0.3},
        }
        with (
            running_pipeline(stack, directory / name, name=name, tables=[f"{name}_*.*"], settings=settings) as pipeline,
            stack.mysql.connect() as source,
            closing(stack.redshift.connect(ssl=False)) as target,
        ):
            target.autocommit = True
            judge = Judge(source, target, f"tidemark_{name}", PATIENCE)
            pipeline.start("streamer")
            pipeline.start("loader")
            _wait_for_commit(pipeline)
            for _ in range(SEEDS_A_PIPELINE // AT_A_TIME):
                wave = [script(waiting.popleft(), name) for _ in range(min(AT_A_TIME, len(waiting)))]
                if not wave:
                    break
                began = time.monotonic()
                faults = _wave(stack, judge, wave, report, pipeline)
                halted = not _alive(pipeline)
                if halted:
                    blamed = _blamed(pipeline, name) & {one.seed for one in wave} or {one.seed for one in wave}
                    faults = {seed: (*faults.get(seed, ()), _halt(pipeline)) for seed in blamed}
                    waiting.extendleft(one.seed for one in reversed(wave) if one.seed not in blamed)
                report.unequal |= faults
                done = [one for one in wave if not halted or one.seed in faults]
                report.seeds += len(done)
                report.ddl_statements += sum(one.ddl for one in done)
                say(f"seeds {', '.join(str(one.seed) for one in done)}: {len(faults)} unequal, {time.monotonic() - began:.1f} s")
                for one in done:
                    if one.seed in faults:
                        say(told(one, faults[one.seed]))
                if halted:
                    break
    return report


def told(one: Script, faults: Sequence[str]) -> str:
    """A failing seed for people: its statements, what was wrong, and how to see it again."""
    statements = "\n".join(f"  {'/* ' + s.kind + ' */ ' if s.kind else ''}{s.sql};" for s in one.statements)
    found = "\n".join(f"  {fault}" for fault in faults)
    return f"seed {one.seed}:\n{statements}\nwhat was wrong:\n{found}\nagain: python -m tests.fuzz --seed {one.seed}"


def _wave(stack: Stack, judge: Judge, wave: Sequence[Script], report: Report, pipeline: Pipeline) -> dict[int, tuple[str, ...]]:
    """What was wrong, by seed."""
    with ThreadPoolExecutor(len(wave)) as pool:
        refused = {one.seed: found for one, found in zip(wave, pool.map(lambda one: _play(stack, one), wave), strict=True) if found}
    tables: dict[int, list[TableId]] = {one.seed: judge.tables(one.databases[0]) for one in wave}
    faults: dict[int, tuple[str, ...]] = {seed: (error,) for seed, error in refused.items()}
    try:
        judge.settle([table for some in tables.values() for table in some], lambda: _alive(pipeline))
    except PipelineError as error:
        return {one.seed: (error.message,) for one in wave}
    for seed, some in tables.items():
        try:
            verdict = judge.verdict(some) if some else None
        except PipelineError as error:
            faults[seed] = (error.message,)
            continue
        if verdict is not None:
            report.rows_compared += verdict.rows
            if verdict.faults:
                faults[seed] = (*faults.get(seed, ()), *verdict.faults)
    return faults


def _play(stack: Stack, one: Script) -> str:
    """What MySQL said to a statement that it did not take, empty when it took them all: then the generator is at fault."""
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        for database in one.databases:
            cursor.execute(f"DROP DATABASE IF EXISTS `{database}`")
            cursor.execute(f"CREATE DATABASE `{database}`")
        cursor.execute(f"USE `{one.databases[0]}`")
        for statement in one.statements:
            time.sleep(statement.pause_ms / 1000)
            try:
                cursor.execute(statement.sql)
            except pymysql.MySQLError as error:
                return f"MySQL refused {statement.sql}: {error}"
    return ""


def _alive(pipeline: Pipeline) -> bool:
    return all(service.running() for service in pipeline.services)


def _halt(pipeline: Pipeline) -> str:
    """The last words of what halted."""
    return "\n".join(f"{service.name} halted: {service.tail(1)}" for service in pipeline.services if not service.running())


def _blamed(pipeline: Pipeline, name: str) -> set[int]:
    """Seeds of the tables that the last words of the services that halted are about."""
    words = "".join(service.tail(2) for service in pipeline.services if not service.running())
    return {int(seed) for seed in re.findall(rf"{name}_(\d+)", words)}


def _wait_for_commit(pipeline: Pipeline) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not events(pipeline.services, "shard.committed"):
        if time.monotonic() > deadline or not _alive(pipeline):
            raise AssertionError(f"the pipeline does not begin\n{logs(pipeline)}")
        time.sleep(0.1)
