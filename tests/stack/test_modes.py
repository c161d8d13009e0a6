"""What each mode makes of the same statements: real MySQL, streamer, loader and warehouse, the contents compared with a plain model of
what the statements mean. Each table twice: everything loaded at once, and commit by commit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymysql.connections import Connection as MysqlConnection
from redshift_connector.core import Connection

from contracts.position import GtidSet
from devstack.pipeline import Pipeline, running_pipeline, wait_until
from devstack.stack import Stack
from tests.stack.scenario import assert_ledger_tiles, loaded, logs, query

pytestmark = pytest.mark.stack

MODES = ("merge", "append", "soft_delete")
AT_ONCE, BIT_BY_BIT = "at_once", "bit_by_bit"
Values = tuple[str, str | None, int | None]
"""A row: id, name, n."""


@dataclass
class Model:
    """What the statements so far mean: `rows` is what MySQL holds, `last` each key's last row and whether it is gone, `events` all that
    happened, in order."""

    rows: dict[str, Values] = field(default_factory=dict)
    last: dict[str, tuple[Values, bool]] = field(default_factory=dict)
    events: list[tuple[Any, ...]] = field(default_factory=list)

    def insert(self, row: Values) -> str:
        self._put("c", row)
        return f"INSERT INTO {{}} VALUES {tuple(row)!r}"

    def update(self, id: str, name: str, n: int) -> str:
        self._put("u", (id, name, n))
        return f"UPDATE {{}} SET name = {name!r}, n = {n} WHERE id = {id!r}"

    def rename(self, old: str, new: str) -> str:
        row = self.rows[old]
        self._drop(old)
        self._put("c", (new, *row[1:]))
        return f"UPDATE {{}} SET id = {new!r} WHERE id = {old!r}"

    def delete(self, id: str) -> str:
        self._drop(id)
        return f"DELETE FROM {{}} WHERE id = {id!r}"

    def truncate(self) -> str:
        self.rows.clear()
        self.last = {id: (row, True) for id, (row, _) in self.last.items()}
        self.events.append((None, None, None, "t"))
        return "TRUNCATE TABLE {}"

    def _put(self, op: str, row: Values) -> None:
        self.rows[row[0]], self.last[row[0]] = row, (row, False)
        self.events.append((*row, op))

    def _drop(self, id: str) -> None:
        row = self.rows.pop(id)
        self.last[id] = (row, True)
        self.events.append((*row, "d"))


def transactions(model: Model) -> Iterator[list[str]]:
    """The statements, one list a transaction; the model goes along. "a" and "a " are two keys to MySQL."""
    yield [model.insert((id, f"first {id}", number)) for number, id in enumerate(("a", "a ", "b", "c", "d"))]
    yield [model.update("a", "second a", 11), model.delete("a ")]
    yield [model.rename("a", "z"), model.rename("b", "a"), model.rename("z", "b")]
    yield [model.delete("c"), model.insert(("c", "second c", 13))]
    yield [model.insert(("e", "never seen", 14)), model.update("e", "seen no more", 15), model.delete("e"), model.delete("d")]
    yield [model.insert(("d", "second d", 16)), model.rename("b", "f")]
    yield [model.truncate()]
    yield [model.insert(("a", "third a", 17)), model.insert(("g", "first g", 18)), model.insert(("f", "second f", 19))]
    yield [model.delete("g"), model.rename("a", "h"), model.insert(("a ", "second a ", 20))]
    yield [model.update("h", "last", 21), model.delete("f"), model.insert(("f", "third f", 22)), model.delete("f")]


@dataclass
class Scene:
    """Six tables, of each mode two, after all transactions on each of them."""

    pipeline: Pipeline
    mysql: "MysqlConnection[Any]"
    warehouse: Connection
    model: Model = field(default_factory=Model)

    def run(self, pace: str, *, wait: bool) -> None:
        """All transactions on the tables of this pace; with `wait` each is loaded before the next."""
        self.model = Model()
        for statements in transactions(self.model):
            for mode in MODES:
                self.mysql.begin()
                for statement in statements:
                    with self.mysql.cursor() as cursor:
                        assert cursor.execute(statement.format(f"{mode}_{pace}")) == (0 if statement.startswith("TRUNCATE") else 1)
                self.mysql.commit()
            if wait:
                self.wait_until_loaded()

    def wait_until_loaded(self) -> None:
        with self.mysql.cursor() as cursor:
            cursor.execute("SELECT @@GLOBAL.gtid_executed")
            wanted = GtidSet.parse(cursor.fetchall()[0][0])
        schema = f"tidemark_{self.pipeline.name}"

        def reached() -> bool:
            return wanted.is_subset(loaded(self.warehouse, schema))

        wait_until(reached, 60, f"not everything is loaded\n{logs(self.pipeline)}")

    def rows(self, mode: str, pace: str, columns: str = "", order: str = "id") -> list[tuple[Any, ...]]:
        found = query(self.warehouse, f"SELECT id, name, n{columns} FROM {self.pipeline.name}.{mode}_{pace} ORDER BY {order}")
        return [tuple(row) for row in found]

    def batches(self, mode: str, pace: str) -> int:
        where = f"topic LIKE '%.{self.pipeline.name}.{mode}_{pace}'"
        return int(query(self.warehouse, f"SELECT COUNT(*) FROM tidemark_{self.pipeline.name}.ledger WHERE {where}")[0][0])

    def verify(self, mode: str) -> int:
        tables = [f"--table={self.pipeline.name}.{mode}_{pace}" for pace in (AT_ONCE, BIT_BY_BIT)]
        return self.pipeline.run("auditor", "verify", *tables).returncode


@pytest.fixture(scope="module")
def scene(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    name = "modes"
    override = {f"{name}.{mode}_{pace}": {"mode": mode} for mode in MODES for pace in (AT_ONCE, BIT_BY_BIT)}
    settings = {
        "streamer": {"snapshot": "never"},  # every event is told, also of the backlog
        "redshift": {"schema": f"tidemark_{name}"},
        "s3": {"prefix": f"lake-{name}"},
        "tables": {"override": override},
        "batch": {"seconds": 0.5},
    }
    directory = tmp_path_factory.mktemp(name)
    with (
        stack.mysql.connect() as mysql,
        stack.redshift.connect(ssl=False) as warehouse,
        running_pipeline(stack, directory, name=name, tables=[f"{name}.*"], settings=settings) as pipeline,
    ):
        warehouse.autocommit = True
        with mysql.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
            mysql.select_db(name)
            for table in override:
                cursor.execute(f"CREATE TABLE {table} (id VARCHAR(10) PRIMARY KEY, name VARCHAR(20), n INT) CHARACTER SET utf8mb4")
        scene = Scene(pipeline, mysql, warehouse)
        pipeline.start("streamer")
        scene.run(AT_ONCE, wait=False)
        pipeline.start("loader")
        scene.wait_until_loaded()
        scene.run(BIT_BY_BIT, wait=True)
        assert_ledger_tiles(warehouse, pipeline)
        assert query(warehouse, f"SELECT COUNT(*) FROM tidemark_{name}.quarantine") == [[0]]
        yield scene


@pytest.mark.parametrize("pace", [AT_ONCE, BIT_BY_BIT])
def test_a_merged_table_equals_its_source(scene: Scene, pace: str) -> None:
    assert scene.rows("merge", pace) == sorted(scene.model.rows.values())
    assert scene.verify("merge") == 0


@pytest.mark.parametrize("pace", [AT_ONCE, BIT_BY_BIT])
def test_an_appended_table_holds_every_event_in_order(scene: Scene, pace: str) -> None:
    found = scene.rows("append", pace, ", _tidemark_op, _tidemark_seq", order="_tidemark_seq")
    assert [row[:4] for row in found] == scene.model.events
    assert [row[4] for row in found] == list(range(len(found)))


@pytest.mark.parametrize("pace", [AT_ONCE, BIT_BY_BIT])
def test_a_table_that_keeps_deleted_rows_holds_each_keys_last_one_and_its_mark(scene: Scene, pace: str) -> None:
    assert scene.rows("soft_delete", pace, ", _tidemark_deleted") == sorted((*row, gone) for row, gone in scene.model.last.values())
    assert scene.verify("soft_delete") == 0


def test_one_pace_needed_a_batch_for_each_transaction_and_the_other_one_on_each_side_of_the_truncate(scene: Scene) -> None:
    for mode in MODES:
        assert scene.batches(mode, BIT_BY_BIT) == len(list(transactions(Model())))
        assert scene.batches(mode, AT_ONCE) < 6


def test_a_row_marked_by_mistake_is_found_missing(scene: Scene) -> None:
    table = f"{scene.pipeline.name}.soft_delete_{BIT_BY_BIT}"
    cursor = scene.warehouse.cursor()
    cursor.execute(f"UPDATE {table} SET _tidemark_deleted = NOT _tidemark_deleted WHERE id = 'h'")
    try:
        assert scene.verify("soft_delete") == 4
    finally:
        cursor.execute(f"UPDATE {table} SET _tidemark_deleted = NOT _tidemark_deleted WHERE id = 'h'")


def test_what_did_not_fit_is_told_by_the_auditor_and_counts_where_it_is_asked_to(scene: Scene) -> None:
    tables = [f"{scene.pipeline.name}.{mode}_{BIT_BY_BIT}" for mode in ("merge", "soft_delete")]
    with scene.mysql.cursor() as cursor:
        for table in tables:
            cursor.execute(f"INSERT INTO {table} VALUES ('ö', 'a\\0b', 1)")
    scene.mysql.commit()
    scene.wait_until_loaded()
    done = scene.pipeline.run("auditor", "verify", *(f"--table={table}" for table in tables))
    assert (done.returncode, done.stdout.count(": equal, but for 1 in quarantine\n  key ö: in quarantine, name: ")) == (0, 2)
    assert scene.pipeline.run("auditor", "verify", "--strict", f"--table={tables[0]}").returncode == 4
    with scene.mysql.cursor() as cursor:
        for table in tables:
            cursor.execute(f"UPDATE {table} SET name = 'a' WHERE id = 'ö'")
    scene.mysql.commit()
    assert scene.pipeline.run("auditor", "verify", "--strict", *(f"--table={table}" for table in tables)).returncode == 0
