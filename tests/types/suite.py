"""Every type through the whole pipeline, and each value on both sides afterwards.

A third of the rows is there before the pipeline is, and read by its snapshot; a third comes through the binlog; a third comes through it
with other values, and gets its own by UPDATE.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pymysql

from contracts.table import TableId
from devstack.pipeline import Pipeline, running_pipeline
from devstack.stack import Stack
from tests.fuzz.judge import Judge
from tests.stack.scenario import logs
from tests.types.comparison import Report, Sides
from tests.types.contents import contents, documents, generated, keys, oversize, shapes, vectors, without_a_key
from tests.types.numbers import bits, decimals, reals, wholes
from tests.types.specimen import Bench, bench
from tests.types.texts import Charset, charsets, labels, long_texts, texts
from tests.types.times import no_dates, times

PATIENCE = timedelta(seconds=120)
POINTS = 4000
"""Characters of which a character set's alphabet is chosen."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What is written. `values`: random ones a column, beside its edges, of `seed`. `large`: with rows of many kilobytes and some of
    megabytes. `decoder`: of both services."""

    values: int
    seed: int = 0
    large: bool = True
    decoder: str = "auto"


def examine(stack: Stack, directory: Path, draw: Draw, name: str, say: Callable[[str], object]) -> Report:
    """`name`: of the database, the pipeline, and what else must be its own."""
    settings = {
        "redshift": {"schema": f"tidemark_{name}"},
        "s3": {"prefix": f"lake-{name}"},
        "batch": {"seconds": 0.3},
        "streamer": {"decoder": draw.decoder},
        "loader": {"decoder": draw.decoder},
    }
    report, began = Report(), time.monotonic()

    def done(what: str) -> None:
        say(f"{time.monotonic() - began:5.1f} s  {what}")

    with (
        stack.mysql.connect(init_command="SET time_zone = '+00:00'", charset="utf8mb4") as source,
        closing(stack.redshift.connect(ssl=False)) as target,
        running_pipeline(stack, directory, name=name, tables=[f"{name}.*"], settings=settings) as pipeline,
    ):
        target.autocommit = True
        benches = _benches(source, name, Random(draw.seed), draw.large)
        thirds = [Third(one, draw.values, Random(f"{draw.seed} {one.name}")) for one in benches]
        for third in thirds:
            third.create(source)
        done(f"{len(benches)} tables hold {sum(one.count for one in thirds)} rows")
        judge = Judge(source, target, f"tidemark_{name}", PATIENCE)
        tables = [TableId(name, one.name) for one in benches]
        pipeline.start("streamer")
        pipeline.start("loader")
        _settle(judge, tables, pipeline)
        done("the snapshot is loaded")
        for third in thirds:
            third.insert(source)
        _settle(judge, tables, pipeline)
        done("what was inserted is loaded")
        for third in thirds:
            third.update(source)
        _settle(judge, tables, pipeline)
        done("what was updated is loaded")
        sides = Sides(source, target, stack.kafka.bootstrap_servers, name, f"tidemark_{name}")
        for one in benches:
            sides.compare(one, report)
        done(f"{report.values} values are compared")
    return report


def _settle(judge: Judge, tables: Sequence[TableId], pipeline: Pipeline) -> None:
    try:
        judge.appear(tables)
        judge.settle(tables, lambda: all(service.running() for service in pipeline.services))
    except Exception as error:
        error.add_note(logs(pipeline))
        raise


def _benches(source: "pymysql.Connection[Any]", name: str, random: Random, large: bool) -> list[Bench]:
    with source.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
        cursor.execute(f"CREATE DATABASE `{name}`")
        cursor.execute(f"USE `{name}`")
    return [
        bench("scalars", *wholes(), *decimals(), *reals(), *bits(), *times()),
        no_dates(),
        bench("texts", *texts()),
        *charsets(_charsets(source, random)),
        labels(),
        bench("contents", *contents(), *documents(), *shapes(), *vectors()),
        generated(),
        without_a_key(),
        keys(),
        *([bench("long_texts", *long_texts()), oversize()] if large else []),
    ]


def _charsets(source: "pymysql.Connection[Any]", random: Random) -> dict[str, Charset]:
    """All of the server's, each with those of some characters that it has."""
    points = [
        *range(0x20, 0x600),
        *random.sample([*range(0x600, 0xD800), *range(0xE000, 0xFFFE)], POINTS),
        *random.sample(range(0x10000, 0x110000), 200),
    ]
    with source.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE points (c VARCHAR(1) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin)")
        cursor.execute(
            f"INSERT INTO points VALUES {', '.join(f'(_utf8mb4 X{chr(39)}{chr(one).encode().hex()}{chr(39)})' for one in points)}"
        )
        cursor.execute("SHOW CHARACTER SET")
        found = {}
        for charset, _, _, bytes_max in cursor.fetchall():
            back = f"CONVERT(CONVERT(c USING {charset}) USING utf8mb4) COLLATE utf8mb4_0900_bin"
            cursor.execute(f"SELECT c FROM points WHERE {back} = c")
            found[charset] = Charset(charset, "".join(row[0] for row in cursor.fetchall()), bytes_max == 1)
        cursor.execute("DROP TEMPORARY TABLE points")
    return found


class Third:
    """A bench's rows: thrice the same `count`."""

    def __init__(self, bench: Bench, values: int, random: Random) -> None:
        self._bench = bench
        self.count = bench.rows + values
        self._literals = [one.values(self.count, random) for one in bench.own.values()]

    def create(self, source: "pymysql.Connection[Any]") -> None:
        with source.cursor() as cursor:
            cursor.execute("SET SESSION sql_generate_invisible_primary_key = ON")
            cursor.execute(self._bench.create)
        self._write(source, self._inserted(0))

    def insert(self, source: "pymysql.Connection[Any]") -> None:
        self._write(source, self._inserted(self.count), self._inserted(2 * self.count, shift=1))

    def update(self, source: "pymysql.Connection[Any]") -> None:
        """The last third gets the values of the second."""
        name, key = self._bench.name, self._bench.key
        changes = ", ".join(f"a.`{column}` = b.`{column}`" for column, one in self._bench.own.items() if not one.in_key)
        on = f"b.`{key}` = a.`{key}` - {self.count}"
        self._write(source, f"UPDATE `{name}` AS a JOIN `{name}` AS b ON {on} SET {changes} WHERE a.`{key}` > {2 * self.count}")

    def _inserted(self, after: int, shift: int = 0) -> str:
        """Rows with keys from `after` + 1 on."""
        rows = []
        for place in range(self.count):
            literals = [
                column[(place if one.in_key else place + shift) % self.count]
                for column, one in zip(self._literals, self._bench.own.values(), strict=True)
            ]
            rows.append(f"({', '.join([str(after + place + 1), *literals])})")
        names = ", ".join(f"`{name}`" for name in (self._bench.key, *self._bench.own))
        return f"INSERT INTO `{self._bench.name}` ({names}) VALUES {', '.join(rows)}"

    def _write(self, source: "pymysql.Connection[Any]", *statements: str) -> None:
        with source.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = %s", (self._bench.sql_mode,))
            for statement in statements:
                cursor.execute(statement)
        source.commit()
