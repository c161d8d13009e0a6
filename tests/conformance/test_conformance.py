"""Does the warehouse do what its documentation says? Unchanged against the stand-in and against a real cluster."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import redshift_connector

from tests.conformance.case import SECOND, Case, Count, Refused, Rows
from tests.conformance.conftest import Cluster, Clusters
from tests.conformance.copies import COPIES
from tests.conformance.loading import LOADING
from tests.conformance.sessions import SESSIONS
from tests.conformance.statements import STATEMENTS

pytestmark = pytest.mark.stack


CASES = (*STATEMENTS, *COPIES, *SESSIONS, *LOADING)


@contextmanager
def schema_of(cluster: Cluster) -> Iterator[str]:
    name = f"tidemark_conformance_{uuid.uuid4().hex[:8]}"
    with contextlib.closing(cluster.connect()) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE SCHEMA {name}")
        yield name
        connection.cursor().execute(f"DROP SCHEMA {name} CASCADE")


Connect = Callable[[], Any]


def outcome(case: Case, schema: str, copy: str, connect: Connect) -> Rows | Count | Refused:
    """What became of the case's last statement; the ones before have to succeed, but for those with a `?`."""
    sessions: dict[bool, Any] = {False: connect()}
    pid = _pid(sessions[False]) if any("{pid}" in sql for sql in case.run) else 0
    found: Rows | Count | Refused = Count(0)
    for number, written in enumerate(case.run, 1):
        second, sql = written.startswith(SECOND), written.removeprefix(SECOND)
        if second not in sessions:
            sessions[second] = connect()
        may_fail, sql = sql.startswith("? "), sql.removeprefix("? ").format(s=schema, copy=copy, pid=pid)
        cursor = sessions[second].cursor()
        try:
            cursor.execute(sql)
            found = Rows([list(row) for row in cursor.fetchall()]) if cursor.description else Count(cursor.rowcount)
            if number == len(case.run) and case.at_commit:
                cursor.execute("COMMIT")
        except (redshift_connector.error.ProgrammingError, redshift_connector.error.IntegrityError) as e:
            if number < len(case.run) and not may_fail:
                raise
            fields = e.args[0]
            found = Refused(fields["C"], f"{fields['M']} {fields.get('D', '')}")
    return found


def _pid(connection: Any) -> int:
    cursor = connection.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    found: int = cursor.fetchone()[0]
    connection.rollback()
    return found


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.name} ({case.reference})") for case in CASES])
def test_the_warehouse_does_as_documented(clusters: Clusters, case: Case) -> None:
    cluster = clusters.of(case.isolation)
    if cluster is None:
        pytest.skip(f"the database is not under {case.isolation} isolation")
    if case.parquet is not None and not cluster.can_copy:
        pytest.skip("TIDEMARK_CONFORMANCE_BUCKET is not set")
    copy = cluster.copy_clauses(case) if case.parquet is not None else ""
    with ExitStack() as opened:

        def connect() -> Any:
            connection = cluster.connect()
            opened.callback(_close, connection)
            connection.autocommit = case.autocommit
            return connection

        schema = opened.enter_context(schema_of(cluster))
        found = outcome(case, schema, copy, connect)
    expected = case.expect
    if isinstance(expected, Refused):
        assert isinstance(found, Refused), f"accepted: {found}"
        assert expected.code in ("", found.code), found
        assert expected.text in found.text
    elif isinstance(expected, Rows | Count):
        assert found == expected
    else:
        assert not isinstance(found, Refused), found


def test_the_list_is_one_that_can_be_run_by_name() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 30


def _close(connection: Any) -> None:
    """Also of one that the server has ended."""
    with contextlib.suppress(redshift_connector.error.Error, OSError):
        connection.close()
