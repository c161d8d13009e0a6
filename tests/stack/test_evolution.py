"""Tables that were altered while traffic runs, as the loader meets them: rows of another schema, and barriers that say the table is read
anew. The streamer's side is fed by hand."""

import base64
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.progress import Standing, TableState
from contracts.table import Column, Kind, TableSchema
from devstack.stack import Stack
from tests.stack.feed import Row, drop, put, read, table, truncated
from tests.stack.test_loader import ORDERS, Scene, staged

pytestmark = pytest.mark.stack


def text(name: str, length: int = 20, **more: Any) -> Column:
    return Column(name, Kind.VARCHAR, length=length, charset="utf8mb4", **more)


NOTE, N, BIG = text("note"), Column("n", Kind.INT), Column("n", Kind.BIGINT)
LABELS = Column("n", Kind.ENUM, charset="utf8mb4", labels=("old", "new"))
LATIN = Column("note", Kind.TEXT, length=255, charset="latin1")
BLOB = Column("b", Kind.BLOB, length=255)
BYTES = base64.b64encode(b"bytes").decode()


@dataclass(frozen=True)
class Alteration:
    """An ALTER by the columns before and after it, and a row's values. `kept`: what a row written before holds that isn't written anew,
    None where such rows are for a person to convert; `event`: the same in append mode."""

    before: tuple[Column, ...]
    after: tuple[Column, ...]
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    kept: Mapping[str, Any] | None
    event: Mapping[str, Any] | None


SAME = {"note": "text"}
ALTERATIONS = {
    "added": Alteration((NOTE,), (N, NOTE), SAME, {"n": 5, "note": "text"}, SAME, SAME),
    "dropped": Alteration((NOTE, N), (NOTE,), {"note": "text", "n": 5}, SAME, {"note": "text", "n": 5}, {"note": "text", "n": 5}),
    "renamed": Alteration((NOTE,), (text("remark"),), SAME, {"remark": "text"}, SAME, SAME),
    "larger": Alteration((N,), (BIG,), {"n": 5}, {"n": 2**40}, {"n": 5}, None),
    "smaller": Alteration((BIG,), (N,), {"n": 5}, {"n": 5}, {"n": 5}, {"n": 5}),
    "spelled": Alteration((N,), (text("n"),), {"n": 5}, {"n": "five"}, {"n": "5"}, None),
    "counted": Alteration((text("n"),), (N,), {"n": "5"}, {"n": 5}, None, None),
    "dated": Alteration(
        (Column("n", Kind.DATE),),
        (Column("n", Kind.DATETIME),),
        {"n": 20_000},
        {"n": 20_000 * 86_400_000 + 1000},
        {"n": datetime.fromisoformat("2024-10-04")},
        None,
    ),
    "longer": Alteration((NOTE,), (text("note", 300),), SAME, {"note": "é" * 300}, SAME, SAME),
    "to_text": Alteration((NOTE,), (Column("note", Kind.TEXT, length=65_535, charset="utf8mb4"),), SAME, {"note": "é" * 9000}, SAME, SAME),
    "labelled": Alteration((LABELS,), (Column("n", Kind.ENUM, charset="utf8mb4", labels=("more", "new", "old")),), *[{"n": "old"}] * 4),
    "recoded": Alteration((LATIN,), (Column("note", Kind.TEXT, length=255, charset="utf8mb4"),), *[{"note": "é"}] * 4),
    "not_null": Alteration((NOTE,), (text("note", nullable=False),), *[SAME] * 4),
    "more_bytes": Alteration((BLOB,), (Column("b", Kind.BLOB, length=65_535),), {"b": BYTES}, {"b": BYTES}, {"b": BYTES}, None),
}
LOADED = {"dated": {"n": datetime.fromisoformat("2024-10-04 00:00:01")}}
"""Where the warehouse shows a new row otherwise than the envelope."""


def followed(mode: str) -> dict[str, Alteration]:
    """What the loader follows by itself in this mode."""
    return {
        name: one for name, one in ALTERATIONS.items() if mode == "merge" or (one.kept if mode == "soft_delete" else one.event) is not None
    }


@dataclass
class Altered:
    """A scene with a table for each alteration, all of one mode."""

    scene: Scene
    mode: str

    def __post_init__(self) -> None:
        self.names = sorted(followed(self.mode))
        override = {f"shop.{name}": {"mode": self.mode} for name in self.names}
        self.scene.pipeline.settings = {**self.scene.pipeline.settings, "tables": {"include": ["shop.*"], "override": override}}
        self.scene.pipeline.prepare()

    def schema(self, name: str, *, after: bool) -> TableSchema:
        return table("shop", name, *(ALTERATIONS[name].after if after else ALTERATIONS[name].before))

    def rows(self, change: Any, id: int, *, after: bool) -> list[Row]:
        return [
            change(self.schema(name, after=after), id=id, **(ALTERATIONS[name].new if after else ALTERATIONS[name].old))
            for name in self.names
        ]

    def read_anew(self, *, done: bool) -> None:
        """What barriers say of the tables from now on."""
        since = Standing(TableState.REREADING, 7)
        topics = [self.scene.feed.topics.rows(self.schema(name, after=True).table) for name in self.names]
        self.scene.feed.standings = {} if done else dict.fromkeys(topics, since)

    def columns(self, name: str) -> set[str]:
        where = f"table_schema = '{self.scene.pipeline.name}' AND table_name = '{name}'"
        return {row[0] for row in self.scene.query(f"SELECT column_name FROM svv_columns WHERE {where}")}

    def found(self, name: str, *more: str) -> list[dict[str, Any]]:
        """The table's rows in the order of the last column asked for, without what is NULL."""
        columns = ["id", *sorted(self.columns(name) & {"n", "note", "remark", "b"}), *more]
        shown = ", ".join("FROM_VARBYTE(b, 'base64')" if column == "b" else column for column in columns)
        rows = self.scene.query(f"SELECT {shown} FROM {self.scene.pipeline.name}.{name} ORDER BY {more[-1] if more else 'id'}, id")
        return [{key: value for key, value in zip(columns, row, strict=True) if value is not None} for row in rows]


@pytest.fixture
def scene(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    with staged(stack, tmp_path, request.node.name) as made:
        yield made


@pytest.mark.long
@pytest.mark.parametrize("mode", ["merge", "soft_delete", "append"])
@pytest.mark.parametrize("at_once", [False, True])
def test_every_alteration_is_followed_while_the_table_is_read_anew(scene: Scene, mode: str, at_once: bool) -> None:
    shop = Altered(scene, mode)
    scene.feed.transaction(*(row for id in (1, 2, 3) for row in shop.rows(put, id, after=False)))
    scene.feed.transaction(*shop.rows(drop, 3, after=False))
    first = scene.loader()
    scene.reaches(2)
    if at_once:
        assert first.stop() == 0
    shop.read_anew(done=False)
    scene.feed.transaction()
    scene.feed.transaction(*shop.rows(read, 1, after=True))
    scene.feed.transaction(*shop.rows(put, 4, after=True))
    shop.read_anew(done=True)
    scene.feed.transaction(*shop.rows(read, 2, after=True))
    if at_once:
        scene.loader()
    scene.reaches(6)
    for name in shop.names:
        one = ALTERATIONS[name]
        new = LOADED.get(name, one.new)
        alive = [{"id": id, **new} for id in (1, 2, 4)]
        if mode == "merge":
            assert shop.columns(name) == {"id", *(column.name for column in one.after)}
            assert shop.found(name) == alive
        elif mode == "soft_delete":
            deleted = {"id": 3, **(one.kept or {})}
            found = shop.found(name, "_tidemark_deleted")
            assert found == [*({**row, "_tidemark_deleted": False} for row in alive), {**deleted, "_tidemark_deleted": True}]
        else:
            events = [{"id": id, **(one.event or {}), "_tidemark_op": op} for id, op in ((1, "c"), (2, "c"), (3, "c"), (3, "d"))]
            events += [{"id": id, **new, "_tidemark_op": op} for id, op in ((1, "r"), (4, "c"), (2, "r"))]
            assert shop.found(name, "_tidemark_op", "_tidemark_seq") == [{**row, "_tidemark_seq": seq} for seq, row in enumerate(events)]
    assert scene.events("shard.restarted") == []
    assert scene.query(f"SELECT count(*) FROM {scene.schema}.quarantine") == [[0]]
    scene.assert_ledger_tiles()


def test_a_column_is_added_dropped_and_replaced_before_the_rows_that_need_it(scene: Scene) -> None:
    topic = scene.feed.topics.rows(ORDERS.table)
    scene.feed.transaction(put(ORDERS, id=1, note="a"), put(ORDERS, id=2, note="b"))
    first = scene.loader()
    scene.reaches(1)
    assert first.stop() == 0
    # As a table is read anew that is small: the barrier behind its rows says already that it is done.
    paid = table("shop", "orders", Column("paid", Kind.INT))
    scene.feed.standings = {topic: Standing(TableState.REREADING, 7)}
    scene.feed.transaction()
    scene.feed.standings = {}
    scene.feed.transaction(read(paid, id=1, paid=5), read(paid, id=2, paid=6))
    second = scene.loader()
    scene.reaches(3)
    orders = f"SELECT * FROM {scene.pipeline.name}.orders ORDER BY id"
    assert scene.query(orders) == [[1, 5], [2, 6]]
    # And back, while the loader runs.
    scene.feed.standings = {topic: Standing(TableState.REREADING, 7)}
    scene.feed.transaction(read(ORDERS, id=1, note="a"))
    scene.reaches(4)
    assert scene.query(f"SELECT state FROM {scene.schema}.watermarks") == [["rereading"]]
    scene.feed.standings = {}
    scene.feed.transaction(read(ORDERS, id=2, note="b"), put(ORDERS, id=3, note="c"))
    scene.reaches(5)
    assert scene.orders() == {1: "a", 2: "b", 3: "c"}
    altered = [event["statement"].partition('"orders" ')[2] for event in scene.events("target.altered")]
    assert altered == ['ADD COLUMN "paid" INTEGER', 'DROP COLUMN "note"', 'ADD COLUMN "note" VARCHAR(80)', 'DROP COLUMN "paid"']
    assert second.running()
    assert scene.events("shard.restarted") == []
    assert scene.query(f"SELECT version FROM {scene.schema}.schema_version ORDER BY 1") == [[1], [2], [3]]
    scene.assert_ledger_tiles()


def test_a_table_that_holds_nothing_takes_any_shape_and_one_that_is_read_anew_takes_another_key(scene: Scene) -> None:
    """As after TRUNCATE, DROP and CREATE, or a DELETE of all rows: nothing would come by reading the table again."""
    paid = table("shop", "orders", Column("paid", Kind.INT))
    keyed = table("shop", "orders", Column("paid", Kind.INT, nullable=False), key=("paid", "id"))
    scene.feed.transaction(put(ORDERS, id=1, note="a"))
    scene.loader()
    scene.feed.transaction(truncated(ORDERS))
    scene.feed.transaction(put(paid, id=1, paid=5))
    scene.reaches(3)
    orders = f"SELECT id, paid FROM {scene.pipeline.name}.orders ORDER BY id"
    assert scene.query(orders) == [[1, 5]]
    scene.feed.standings = {scene.feed.topics.rows(ORDERS.table): Standing(TableState.REREADING, 7)}
    scene.feed.transaction(put(keyed, id=1, paid=6))
    scene.feed.standings = {}
    scene.feed.transaction(read(keyed, id=1, paid=5))
    scene.reaches(5)
    assert scene.query(f"{orders}, paid") == [[1, 5], [1, 6]]
    scene.feed.transaction(drop(keyed, id=1, paid=5))
    scene.feed.transaction(drop(keyed, id=1, paid=6))
    scene.feed.transaction(put(ORDERS, id=1, note="b"))
    scene.reaches(8)
    assert scene.query(f"SELECT * FROM {scene.pipeline.name}.orders") == [[1, "b"]]
    altered = [" ".join(event["statement"].split()[:2]) for event in scene.events("target.altered")]
    assert altered == ["ALTER TABLE", "ALTER TABLE", *["DROP TABLE", "CREATE SCHEMA", "CREATE TABLE"] * 2]
    assert scene.events("shard.restarted") == []
    scene.assert_ledger_tiles()


WIDE = table("shop", "orders", text("note", 300), BIG, Column("paid", Kind.INT))
NARROW = table("shop", "orders", NOTE, N, Column("gone", Kind.DATE))
POINTS = 6
"""The text that grows; the column added, one replaced in three statements, one dropped."""


@pytest.mark.long
@pytest.mark.parametrize("point", [*(f"statement:{n}" for n in range(1, POINTS + 1)), "before:1", "after:1"])
def test_a_kill_between_any_two_statements_leaves_a_table_of_one_schema(scene: Scene, point: str) -> None:
    topic = scene.feed.topics.rows(ORDERS.table)
    scene.feed.transaction(*(put(NARROW, id=id, note="a", n=id, gone=1) for id in (1, 2)))
    first = scene.loader()
    scene.reaches(1)
    assert first.stop() == 0
    scene.feed.standings = {topic: Standing(TableState.REREADING, 7)}
    scene.feed.transaction(read(WIDE, id=1, note="é" * 300, n=2**40, paid=1))
    assert scene.loader(crash=f"loader.ensure_target.{point}").wait(60) == -signal.SIGKILL
    found = f"SELECT column_name FROM svv_columns WHERE table_schema = '{scene.pipeline.name}' AND table_name = 'orders'"
    columns = {row[0] for row in scene.query(found)}
    assert columns == ({"id", "note", "n", "paid"} if point.startswith("after") else {"id", "note", "n", "gone"})
    scene.loader()
    scene.reaches(2)
    scene.feed.standings = {}
    scene.feed.transaction(read(WIDE, id=2, note="b", n=2, paid=2))
    scene.reaches(3)
    rows = scene.query(f"SELECT id, note, n, paid FROM {scene.pipeline.name}.orders ORDER BY id")
    assert rows == [[1, "é" * 300, 2**40, 1], [2, "b", 2, 2]]
    assert {row[0] for row in scene.query(found)} == {"id", "note", "n", "paid"}
    assert scene.query(f"SELECT version FROM {scene.schema}.schema_version ORDER BY 1") == [[1], [2]]
    assert len(scene.events("target.altered")) == 5
    scene.assert_ledger_tiles()


@pytest.mark.long
def test_what_the_warehouse_refuses_to_drop_parks_the_table_with_what_to_run(scene: Scene) -> None:
    scene.feed.transaction(put(NARROW, id=1, note="a", n=1, gone=1))
    first = scene.loader()
    scene.reaches(1)
    assert first.stop() == 0
    scene.execute(f"CREATE VIEW {scene.pipeline.name}.dates AS SELECT gone FROM {scene.pipeline.name}.orders")
    scene.feed.standings = {scene.feed.topics.rows(ORDERS.table): Standing(TableState.REREADING, 7)}
    scene.feed.transaction(read(WIDE, id=1, note="b", n=2, paid=3))
    planned = [orjson.loads(line) for line in scene.command("plan", "--json").stdout.splitlines()]
    sql = [line["sql"].partition('"orders" ')[2] for line in planned if line.get("transaction") == "table"]
    assert 'ADD COLUMN "paid" INTEGER' in sql
    assert 'DROP COLUMN "gone"' in sql
    scene.loader()
    scene.reaches(2)
    ((because,),) = scene.query(f"SELECT because FROM {scene.schema}.watermarks")
    assert 'DROP COLUMN "gone"' in because
    assert "DROP VIEW" in because
    scene.execute(f"DROP VIEW {scene.pipeline.name}.dates")
    scene.feed.transaction(truncated(WIDE))
    scene.feed.transaction(read(WIDE, id=2, note="b", n=2, paid=3))
    scene.reaches(4)
    assert scene.query(f"SELECT id, note, n, paid FROM {scene.pipeline.name}.orders") == [[2, "b", 2, 3]]
    scene.assert_ledger_tiles()
