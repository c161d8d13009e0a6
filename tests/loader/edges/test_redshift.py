"""What the warehouse's edge makes of the driver's errors; what real statements do is shown on the stand-in."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from redshift_connector.error import InterfaceError, ProgrammingError
from structlog.testing import capture_logs

from contracts.batch import BatchKey
from contracts.errors import Corrupt, Fenced, Invalid, OutcomeUnknown, PipelineError, Refused, Unavailable, Unfit
from contracts.ledger import Fence, Guard, LedgerEntry
from contracts.offsets import OffsetRange
from contracts.position import GtidSet
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.plan import CommitPlan, Mode, StagedLoad, TableLoad
from loader.core.target import TargetNaming, target_table
from loader.edges import session
from loader.edges.redshift import RedshiftWarehouse, WarehouseOptions
from tests.loader.core.reading import NOW

HELD = Fence(0, 7, 40, "me", 5, 3, GtidSet(), False, 2500)
PLAN = CommitPlan(HELD, replace(HELD, commit_no=41), (), frozenset(), (), NOW)
GUARD = Guard("shop", "lake", "tidemark", "here:5439/dev", 1)
BROKEN = InterfaceError("BrokenPipe: server socket closed")
LOAD = StagedLoad(
    target_table(
        "tm.shop.orders", TableSchema(TableId("shop", "orders"), (Column("id", Kind.INT, nullable=False),), ("id",)), TargetNaming(), None
    ),
    "tidemark_staged_00000000",
    "s3://lake/o'clock",
    3,
)

KEY = BatchKey("tm.shop.orders", 0, NOW, 1, OffsetRange(0, 3), 7, "00000000")
ENTRY = LedgerEntry("00000000", "tm.shop.orders", 0, "id", 7, OffsetRange(0, 3), 3, 0, 3, 0, 0, "", "", NOW)
MERGED = TableLoad(LOAD.target, KEY, LOAD, False, ENTRY, ())


def said(code: str, message: str = "no", severity: str = "ERROR") -> ProgrammingError:
    return ProgrammingError({"S": severity, "C": code, "M": message})


class Driver:
    """Connections as redshift_connector gives them. `answers`: by a part of the statement its rows, the count it touches, or an error."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.opened = 0
        self.statements: list[str] = []
        self.autocommit = True
        self.description: list[str] | None = None
        self.rowcount = -1
        self._rows: list[Any] = []

    def connect(self) -> Any:
        self.opened += 1
        return self

    def cursor(self) -> "Driver":
        return self

    def execute(self, sql: str, values: Sequence[Any] | None = None) -> None:
        self.statements.append(sql)
        answer = next((answer for part, answer in self.answers.items() if part in sql.replace(" ", "_")), 1)
        if isinstance(answer, list) and answer and isinstance(answer[0], Exception):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        rows = answer if isinstance(answer, list) else []
        self.description, self._rows, self.rowcount = (["a"] if rows else None), rows, answer if isinstance(answer, int) else len(rows)

    def fetchall(self) -> list[Any]:
        return self._rows

    def commit(self) -> None:
        self.execute("commit")

    def rollback(self) -> None:
        self.execute("rollback")

    def close(self) -> None:
        self.statements.append("close")


def warehouse(driver: Driver) -> RedshiftWarehouse:
    options = WarehouseOptions("tidemark", "default", timedelta(seconds=60), timedelta(seconds=900))
    return RedshiftWarehouse(driver.connect, options)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (BROKEN, OutcomeUnknown),
        (TimeoutError("timed out"), OutcomeUnknown),
        (said("57P01", "terminating connection", "FATAL"), OutcomeUnknown),
        (said("XX000", "1023"), Unavailable),
    ],
)
def test_only_a_refusal_makes_a_sent_commit_certain(answer: Exception, error: type[PipelineError]) -> None:
    with pytest.raises(error) as raised:
        warehouse(Driver(SET_commit_no=1, commit=answer)).commit(PLAN)
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (BROKEN, Unavailable),
        (said("57P01", "terminating connection", "FATAL"), Unavailable),
        (said("XX000", "1023"), Unavailable),
        (said("42P01", "relation does not exist"), Invalid),
        (0, Fenced),
    ],
)
def test_before_commit_is_sent_nothing_has_happened(answer: object, error: type[PipelineError]) -> None:
    driver = Driver(SET_commit_no=answer)
    with pytest.raises(error):
        warehouse(driver).commit(PLAN)
    assert "commit" not in driver.statements


def test_after_a_broken_connection_the_next_call_opens_another() -> None:
    driver = Driver(SET_commit_no=[BROKEN, said("XX000", "1023")])
    held = warehouse(driver)
    for _ in range(2):
        with pytest.raises(Unavailable):
            held.commit(PLAN)
    assert driver.opened == 2


def test_a_connection_is_renewed_before_the_driver_has_kept_too_many_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "STATEMENTS_MAX", 3)
    driver = Driver(SET_commit_no=1)
    store = warehouse(driver)
    for _ in range(5):
        store.commit(PLAN)
    moved, closed = "commit", "close"
    assert [said for said in driver.statements if said in (moved, closed)] == [moved, moved, moved, closed, moved, moved]
    assert driver.opened == 2


def test_a_refused_transaction_is_rolled_back_on_the_same_connection() -> None:
    driver = Driver(SET_commit_no=said("XX000", "1023"))
    with pytest.raises(Unavailable):
        warehouse(driver).commit(PLAN)
    assert driver.statements[-1] == "rollback"
    assert (driver.opened, driver.autocommit) == (1, True)


def test_a_copy_that_loaded_other_rows_than_were_written_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="loaded 2 rows, but 3 were written"):
        warehouse(Driver(pg_last_copy_count=[[2]])).stage([LOAD])


def test_what_was_staged_in_a_session_that_ended_is_staged_again_before_it_is_merged() -> None:
    driver = Driver(pg_last_copy_count=[[3]], SET_commit_no=1)
    held = warehouse(driver)
    held.stage([LOAD])
    held._session.forget()
    with pytest.raises(Unavailable, match="went with the session"):
        held.commit(replace(PLAN, loads=(MERGED,)))
    assert not any("commit_no" in statement for statement in driver.statements)
    held.stage([LOAD])
    held.commit(replace(PLAN, loads=(MERGED,)))
    assert driver.statements[-3:] == ['DELETE FROM "tidemark_staged_00000000"', "commit", "rollback"]


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        (
            "42P01",
            Unfit,
            "table shop.orders is gone from the warehouse: streamer snapshot -t shop.orders --resync makes it again and fills it",
        ),
        ("3F000", Unfit, "table shop.orders is gone from the warehouse"),
        ("42501", Invalid, 'ALTER TABLE "shop"."orders" OWNER TO the loader.s user., and start the loader again'),
        ("42703", Unfit, "the warehouse refuses: no. Add the column again, and read the table: streamer snapshot -t shop.orders --resync"),
        *(
            (code, Unfit, 'no. Make it take them, or DROP TABLE "shop"."orders", and read the table again: .* -t shop.orders --resync')
            for code in ("22001", "22003", "42804", "42883", "42809", "0A000", "55000", "23502")
        ),
        ("42601", Invalid, "^the warehouse refuses: no$"),
    ],
)
def test_what_one_target_cannot_do_is_said_of_that_table_alone(code: str, error: type[PipelineError], says: str) -> None:
    driver = Driver(**{"pg_last_copy_count": [[3]], "SET_commit_no": 1, 'DELETE_FROM_"shop"."orders"': said(code)})
    held = warehouse(driver)
    held.stage([LOAD])
    with pytest.raises(error, match=says) as raised:
        held.commit(replace(PLAN, loads=(MERGED,)))
    assert (type(raised.value), raised.value.fields.get("topic")) == (error, None if code == "42601" else LOAD.target.topic)
    assert driver.statements[-1] == "rollback"
    # Of the commit tables it is nobody's table that is gone.
    driver.answers = {"SET_commit_no": said(code)}
    with pytest.raises((Invalid, Unavailable), match=r"^the warehouse( refuses)?: no$"):
        held.commit(replace(PLAN, loads=(MERGED,)))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("22001", "no"),
        ("42804", "no"),
        ("XX000", "Value too long for character type"),
        ("XX000", "Value out of range for 2 bytes."),
        ("XX000", "Numeric data overflow"),
        ("XX000", "Cannot insert a NULL value into column total"),
    ],
)
def test_events_that_their_table_does_not_take_halt_the_loader(code: str, text: str) -> None:
    appended = replace(LOAD.target, mode=Mode.APPEND, key=())
    load = replace(LOAD, target=appended)
    held = warehouse(Driver(**{"pg_last_copy_count": [[3]], "SET_commit_no": 1, 'INSERT_INTO_"shop"."orders"': said(code, text)}))
    held.stage([load])
    with pytest.raises(Invalid, match=f"table shop.orders doesn't take .*{text}. Make it take them, and start the loader again") as raised:
        held.commit(replace(PLAN, loads=(replace(MERGED, target=appended, staged=load),)))
    assert not isinstance(raised.value, Unfit)


def test_what_may_pass_is_told_with_the_table_it_was_in_the_way_of() -> None:
    driver = Driver(**{"pg_last_copy_count": [[3]], "SET_commit_no": 1, 'DELETE_FROM_"shop"."orders"': said("57014", "canceled")})
    held = warehouse(driver)
    held.stage([LOAD])
    with pytest.raises(Unavailable, match=r"^the warehouse: canceled \(table shop.orders\)$") as raised:
        held.commit(replace(PLAN, loads=(MERGED,)))
    assert raised.value.fields == {"code": "57014", "topic": LOAD.target.topic, "table": "shop.orders"}
    driver.answers['DELETE_FROM_"shop"."orders"'] = BROKEN
    with pytest.raises(Unavailable, match="session ended") as raised:
        held.commit(replace(PLAN, loads=(MERGED,)))
    assert "topic" not in raised.value.fields


@pytest.mark.parametrize("waits", ["COPY", "CREATE_TABLE"])
def test_a_table_that_keeps_the_others_waiting_is_named_wherever_that_is(waits: str) -> None:
    driver = Driver(**{"pg_last_copy_count": [[3]], waits: said("57014", "canceled"), "FROM": []})
    making = partial(granting(driver).ensure_target, LOAD.target, HELD, renewing=True)
    ask = partial(warehouse(driver).stage, [LOAD]) if waits == "COPY" else making
    with pytest.raises(Unavailable, match=r"table shop\.orders") as raised:
        ask()
    assert (raised.value.fields["topic"], raised.value.fields["table"]) == (LOAD.target.topic, "shop.orders")


def test_a_copy_that_is_refused_names_its_manifest_and_one_whose_session_ended_does_not() -> None:
    driver = Driver(COPY=said("XX000", "Spectrum Scan Error"))
    with pytest.raises(Unavailable) as raised:
        warehouse(driver).stage([LOAD])
    assert (raised.value.fields["manifest"], raised.value.fields["topic"]) == (LOAD.manifest_url, LOAD.target.topic)
    driver.answers["COPY"] = BROKEN
    with pytest.raises(Unavailable) as raised:
        warehouse(driver).stage([LOAD])
    assert raised.value.fields == {}


def test_a_staging_table_that_went_by_itself_parks_no_target() -> None:
    gone = said("42P01", 'relation "tidemark_staged_00000000" does not exist')
    driver = Driver(**{"pg_last_copy_count": [[3]], "SET_commit_no": 1, 'DELETE_FROM_"shop"."orders"': gone})
    held = warehouse(driver)
    held.stage([LOAD])
    with pytest.raises(Unavailable, match="a staging table went"):
        held.commit(replace(PLAN, loads=(MERGED,)))
    with pytest.raises(Unavailable, match="went with the session"):
        held.commit(replace(PLAN, loads=(MERGED,)))
    held.stage([LOAD])
    assert len([sent for sent in driver.statements if sent.startswith("CREATE TEMP TABLE")]) == 2


def test_a_staging_that_was_rolled_back_is_done_anew() -> None:
    driver = Driver(pg_last_copy_count=[[3]], COPY=[said("XX000", "throttled"), 1])
    held = warehouse(driver)
    with pytest.raises(Unavailable):
        held.stage([LOAD])
    driver.answers["COPY"] = 1
    held.stage([LOAD])
    assert [statement.split(" (")[0] for statement in driver.statements if "TABLE" in statement] == [
        'CREATE TEMP TABLE "tidemark_staged_00000000"'
    ] * 2


def test_a_lost_answer_to_the_commit_of_staging_is_staged_again() -> None:
    with pytest.raises(Unavailable):
        warehouse(Driver(pg_last_copy_count=[[3]], commit=BROKEN)).stage([LOAD])


def test_a_fence_locked_for_too_long_is_freed_and_the_limit_put_back() -> None:
    driver = Driver(SET_epoch=[said("57014", "canceled"), said("57014", "canceled")], svv_transactions=[[4711]])
    with pytest.raises(Unavailable, match="not ours to end"):
        warehouse(driver).bump_epoch(0, "me")
    assert "SELECT pg_terminate_backend(%s)" in driver.statements
    limits = [statement for statement in driver.statements if "statement_timeout" in statement]
    assert limits == [f"SET statement_timeout TO {ms}" for ms in (60000, 900000, 900000, 900000)]


def test_a_session_of_another_user_that_locks_the_fence_is_named_and_waited_for() -> None:
    locked, theirs = said("57014", "canceled"), said("42501", "must be superuser to terminate other server process")
    driver = Driver(SET_epoch=[locked, locked], svv_transactions=[[4711], [4712]], pg_terminate_backend=[theirs, 1])
    with (
        capture_logs() as lines,
        pytest.raises(Unavailable, match="the fence of shard 0 stays locked by a session that is not ours to end"),
    ):
        warehouse(driver).bump_epoch(0, "me")
    assert [(line["event"], line["pid"]) for line in lines] == [("session.not_ours", 4711), ("session.ended", 4712)]
    freed = Driver(SET_epoch=[locked, 1], SELECT_epoch=[[8]], svv_transactions=[[4711]], pg_terminate_backend=theirs)
    assert warehouse(freed).bump_epoch(0, "me") == 8


def test_a_lost_answer_to_a_takeover_is_unknown() -> None:
    driver = Driver(SET_epoch=1, SELECT_epoch=[[8]], commit=BROKEN)
    with pytest.raises(OutcomeUnknown):
        warehouse(driver).bump_epoch(0, "me")


@pytest.mark.parametrize(
    ("row", "error", "says"),
    [
        (["other", "lake", "tidemark", "here:5439/dev", 1], Refused, "pipeline 'other'"),
        (["shop", "pond", "tidemark", "here:5439/dev", 1], Refused, "bucket 'pond'"),
        (["shop", "lake", "x", "here:5439/dev", 1], Refused, "prefix 'x'"),
        (["shop", "lake", "tidemark", "there:5439/dev", 1], Refused, "cluster 'there:5439/dev'"),
        (["shop", "lake", "tidemark", "here:5439/dev", 4], Invalid, "Set state_shards: 4"),
    ],
)
def test_a_ledger_of_something_else_is_refused_by_name(row: list[Any], error: type[PipelineError], says: str) -> None:
    with pytest.raises(error, match=says):
        warehouse(Driver(db_collation=[["case_sensitive"]], svv_tables=[[1]], cluster_id=[row])).prepare(GUARD)


@pytest.mark.parametrize("begun", [RedshiftWarehouse.check, lambda warehouse: warehouse.prepare(GUARD)])
def test_a_database_that_takes_a_key_for_another_is_refused_before_anything_is_made(begun: Callable[[RedshiftWarehouse], None]) -> None:
    driver = Driver(db_collation=[["case_insensitive"]])
    with pytest.raises(Invalid, match="COLLATE CASE_SENSITIVE"):
        begun(warehouse(driver))
    assert driver.statements == ["SELECT db_collation()"]


def granting(driver: Driver) -> RedshiftWarehouse:
    options = WarehouseOptions("tidemark", "default", timedelta(seconds=60), timedelta(seconds=900), ("analysts",))
    return RedshiftWarehouse(driver.connect, options)


@pytest.mark.parametrize(
    ("statement", "code", "says"),
    [
        ("GRANT_USAGE", "42704", "target.grant_select_to names who may read the tables"),
        ("GRANT_SELECT", "42704", "target.grant_select_to names who may read the tables"),
        ("GRANT_SELECT", "42501", "target.grant_select_to names who may read the tables"),
        ("CREATE_SCHEMA", "42501", "GRANT CREATE ON DATABASE its name TO the loader's user"),
        ("CREATE_TABLE", "42501", 'GRANT CREATE ON SCHEMA "shop" TO the loader.s user'),
    ],
)
def test_a_grant_or_a_right_that_fails_halts_and_parks_no_table_after_the_other(statement: str, code: str, says: str) -> None:
    driver = Driver(**{statement: said(code, "no analysts"), "FROM": []})
    with pytest.raises(Invalid, match=f"no analysts.*{says}") as refused:
        granting(driver).ensure_target(LOAD.target, HELD, renewing=True)
    assert not isinstance(refused.value, Unfit)
    # What could not be granted is not made, so it is tried again once that is mended.
    assert not any("INSERT" in sent for sent in driver.statements)
    assert driver.statements[-1] == "rollback" or "TABLE" not in statement


def test_what_stands_in_the_way_of_a_table_parks_that_one() -> None:
    driver = Driver(CREATE_TABLE=said("42P07", "a view of that name"), FROM=[])
    with pytest.raises(Unfit, match="a view of that name"):
        granting(driver).ensure_target(LOAD.target, HELD, renewing=True)


def test_schema_table_and_grants_are_made_once_the_table_with_its_grants_and_its_version() -> None:
    driver = Driver(FROM=[])
    granting(driver).ensure_target(LOAD.target, HELD, renewing=False)
    sent = [statement.partition(" (")[0].partition(" SET ")[0] for statement in driver.statements if not statement.startswith("SELECT")]
    assert sent == [
        'CREATE SCHEMA IF NOT EXISTS "shop"',
        'GRANT USAGE ON SCHEMA "shop" TO "analysts"',
        'UPDATE "tidemark"."fence_0"',
        'CREATE TABLE IF NOT EXISTS "shop"."orders"',
        'GRANT SELECT ON TABLE "shop"."orders" TO "analysts"',
        'INSERT INTO "tidemark"."schema_version"',
        "commit",
        "rollback",
    ]


@pytest.mark.parametrize(("versions", "granted"), [([["tm.shop.orders", '"shop"."orders"', 1, "old"]], False), ([], True)])
def test_a_table_that_stands_is_granted_to_nobody_again_but_for_one_that_was_never_loaded(versions: list[Any], granted: bool) -> None:
    driver = Driver(**{"SELECT_topic,": versions, "_AND_table_name_=_%s_ORDER": [["id", "integer", None, None, None]], "SELECT": []})
    granting(driver).ensure_target(LOAD.target, HELD, renewing=False)
    assert any("CREATE" in sent for sent in driver.statements) == any("GRANT" in sent for sent in driver.statements) == granted
