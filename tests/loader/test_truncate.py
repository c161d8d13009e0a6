"""A TRUNCATE names no schema: what it is judged by may be newer than the target, or a setting that came after it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from contracts.envelope import Op
from contracts.errors import Invalid, Unfit
from contracts.ledger import Fence, TopicOffset
from contracts.position import GtidSet
from contracts.progress import TableState
from contracts.table import Column, Kind, TableId, TableSchema
from loader.committer import Committer
from loader.core.cut import CutReason, OpenBatch
from loader.core.encode import encode
from loader.core.plan import Mode
from loader.core.readers import collect_decoded
from loader.core.shard import Tenure
from loader.core.target import TargetNaming, target_table
from loader.destinations import Destinations
from loader.edges.redshift import RedshiftWarehouse, WarehouseOptions
from tests.loader.actors import Journal, Store, Time
from tests.loader.core.reading import NOW, ORDERS, PROGRESS, barrier, row, start
from tests.loader.edges.test_redshift import Driver

KEYLESS = TableSchema(TableId("shop", "orders"), (Column("id", Kind.INT, nullable=False),), ())
KEYED = TableSchema(KEYLESS.table, KEYLESS.columns, ("id",))
TABLE = '"shop"."orders"'
ID = ["id", "integer", None, None, None]
EVENTS: list[list[Any]] = [
    ["_tidemark_op", "character varying", 1, None, None],
    ["_tidemark_seq", "bigint", None, None, None],
    ["_tidemark_commit_ts", "timestamp without time zone", None, None, None],
    ["_tidemark_gtid", "character varying", 128, None, None],
]
MARK = ["_tidemark_deleted", "boolean", None, None, None]


class Book:
    def __init__(self, newest: TableSchema) -> None:
        self.last = newest

    def find(self, topic: str, fingerprint: str) -> TableSchema:
        return {schema.fingerprint: schema for schema in (KEYLESS, KEYED)}[fingerprint]

    def newest(self, topic: str) -> TableSchema:
        return self.last


class Bench:
    """A shard whose table was loaded by one schema and is truncated while another is the newest. `standing`: the target's columns."""

    def __init__(self, loaded: TableSchema, newest: TableSchema, standing: Sequence[Sequence[Any]], mode: Mode | None = None) -> None:
        book = Book(newest)

        def resolve(topic: str, schema: TableSchema) -> Any:
            return target_table(topic, schema, TargetNaming(), mode)

        self.driver = Driver(
            **{
                "SET_commit_no": 1,
                "SET_epoch": 1,
                "pg_last_copy_count": [[1]],
                "SELECT_topic,": [[ORDERS, TABLE, 1, loaded.fingerprint]],
                "column_name_IN": [["shop", "orders", *column] for column in standing if column is not ID],
                "table_schema_=_%s_AND": [list(column) for column in standing],
                "_LIMIT_1": [[1]],
            }
        )
        warehouse = RedshiftWarehouse(
            self.driver.connect,
            WarehouseOptions("tidemark", "default", timedelta(seconds=60), timedelta(seconds=900)),
            lambda topic, fingerprint: resolve(topic, book.find(topic, fingerprint)),
        )
        nonces = iter(f"{n:08x}" for n in range(100))
        self.committer = Committer(
            store=Store(Journal()), warehouse=warehouse, encode=encode, clock=Time(), nonce=lambda: next(nonces), jitter=lambda: 0.0
        )
        held = TopicOffset(ORDERS, 0, "id-1", 5, 5, TableState.OK, 0, "shop.orders", TABLE)
        self.tenure = Tenure.begin(Fence(0, 5, 9, "me", 0, 0, GtidSet(), False, 0), {ORDERS: held}, {}, NOW)
        self.destinations = Destinations(book, resolve, collect_decoded)

    def commit(self, op: Op, schema: str) -> TopicOffset:
        at = self.tenure.offsets[ORDERS].next_offset
        batch = OpenBatch(PROGRESS, at - 5, at - 5, {ORDERS: start(at, next_seq=at)}, self.destinations)
        batch.add(row(at, op=op, schema=schema), NOW)
        batch.add(barrier(at - 5, orders=at + 1), NOW)
        self.tenure, _, _ = self.committer.commit(self.tenure, batch.cut(CutReason.AGE, NOW), {ORDERS: "id-1"}, lambda: None)
        return self.tenure.offsets[ORDERS]

    def changes(self) -> list[str]:
        """What was done to the target's rows."""
        return [said for said in self.driver.statements if TABLE in said and said.startswith(("DELETE", "UPDATE", "INSERT"))]


def test_a_truncate_of_events_whose_table_has_got_a_key_since_parks_it_and_takes_none() -> None:
    bench = Bench(KEYLESS, KEYED, [ID, *EVENTS])
    held = bench.commit(Op.TRUNCATE, "")
    assert (held.state, held.emptied) == (TableState.PARKED, True)
    assert "is keyed by nothing, and shop.orders is keyed by (id) now" in held.because
    # It was not emptied: rows by key are not for it.
    held = bench.commit(Op.CREATE, KEYED.fingerprint)
    assert (held.state, held.emptied) == (TableState.PARKED, False)
    assert bench.changes() == []


def test_a_truncate_of_a_table_that_has_lost_its_key_since_parks_it_alone() -> None:
    bench = Bench(KEYED, KEYLESS, [ID])
    held = bench.commit(Op.TRUNCATE, "")
    assert (held.state, held.emptied) == (TableState.PARKED, True)
    assert "is keyed by (id), and shop.orders is keyed by nothing now" in held.because
    assert bench.commit(Op.CREATE, KEYLESS.fingerprint).state is TableState.PARKED
    assert bench.changes() == []


def test_a_truncate_that_names_the_schema_of_its_rows_is_judged_by_that_one_whatever_is_known_of_others() -> None:
    """Of a table that lost its key, and is read before any change of it came."""
    bench = Bench(KEYED, KEYED, [ID])
    assert bench.commit(Op.TRUNCATE, KEYLESS.fingerprint).state is TableState.PARKED
    assert bench.commit(Op.READ, KEYLESS.fingerprint).state is TableState.PARKED
    assert bench.changes() == []


def test_rows_from_before_the_key_was_lost_are_loaded_once_the_table_is_emptied() -> None:
    bench = Bench(KEYED, KEYLESS, [ID])
    bench.commit(Op.TRUNCATE, "")
    held = bench.commit(Op.CREATE, KEYED.fingerprint)
    assert (held.state, held.emptied) == (TableState.OK, False)
    assert [statement.split(" USING ")[0] for statement in bench.changes()][:2] == [f"DELETE FROM {TABLE}"] * 2


@pytest.mark.parametrize(
    ("standing", "mode", "says"),
    [
        ([ID, *EVENTS], Mode.MERGE, "has column _tidemark_op"),
        ([ID, *EVENTS], Mode.SOFT_DELETE, "lacks column _tidemark_deleted|has column _tidemark_op"),
        ([ID, MARK], Mode.MERGE, "DELETE FROM .* WHERE .*_tidemark_deleted.*DROP COLUMN"),
        ([ID, MARK], Mode.APPEND, "_tidemark_op"),
        ([ID], Mode.SOFT_DELETE, "ADD COLUMN .*_tidemark_deleted"),
        ([ID], Mode.APPEND, "ADD COLUMN .*_tidemark_op"),
    ],
)
def test_a_truncate_under_another_setting_of_the_mode_halts_before_it_takes_anything(
    standing: list[list[Any]], mode: Mode, says: str
) -> None:
    bench = Bench(KEYED, KEYED, standing, mode)
    with pytest.raises(Invalid, match=says) as refused:
        bench.commit(Op.TRUNCATE, "")
    assert not isinstance(refused.value, Unfit)
    assert bench.changes() == []


@pytest.mark.parametrize(("standing", "mode"), [([ID], Mode.MERGE), ([ID, MARK], Mode.SOFT_DELETE), ([ID, *EVENTS], Mode.APPEND)])
def test_a_truncate_of_a_table_in_its_own_mode_is_applied(standing: list[list[Any]], mode: Mode) -> None:
    bench = Bench(KEYED, KEYED, standing, mode)
    assert bench.commit(Op.TRUNCATE, "").state is TableState.OK
    (change,) = bench.changes()
    assert change.startswith({"merge": "DELETE", "soft_delete": "UPDATE", "append": "INSERT"}[mode.value])
