"""Does the warehouse do what its documentation says? Unchanged against the stand-in and against a real cluster."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redshift_connector

from tests.conformance.case import Case, Count, Refused, Rows
from tests.conformance.conftest import Cluster
from tests.conformance.copies import COPIES
from tests.conformance.statements import STATEMENTS

pytestmark = pytest.mark.stack


@pytest.fixture
def schema(cluster: Cluster) -> Iterator[str]:
    name = f"tidemark_conformance_{uuid.uuid4().hex[:8]}"
    connection = cluster.connect()
    connection.autocommit = True
    connection.cursor().execute(f"CREATE SCHEMA {name}")
    yield name
    connection.cursor().execute(f"DROP SCHEMA {name} CASCADE")
    connection.close()


def outcome(connection: Any, case: Case, schema: str, copy: str) -> Rows | Count | Refused:
    """What became of the case's last statement; the ones before have to succeed."""
    cursor = connection.cursor()
    *before, last = [sql.format(s=schema, copy=copy) for sql in case.run]
    for sql in before:
        cursor.execute(sql)
    try:
        cursor.execute(last)
    except (redshift_connector.error.ProgrammingError, redshift_connector.error.IntegrityError) as e:
        fields = e.args[0]
        return Refused(fields["C"], f"{fields['M']} {fields.get('D', '')}")
    return Rows([list(row) for row in cursor.fetchall()]) if cursor.description else Count(cursor.rowcount)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.name} ({case.reference})") for case in (*STATEMENTS, *COPIES)])
def test_the_warehouse_does_as_documented(cluster: Cluster, schema: str, case: Case) -> None:
    if case.parquet is not None and not cluster.can_copy:
        pytest.skip("TIDEMARK_CONFORMANCE_BUCKET is not set")
    copy = cluster.copy_clauses(case) if case.parquet is not None else ""
    with contextlib.closing(cluster.connect()) as connection:
        connection.autocommit = case.autocommit
        found = outcome(connection, case, schema, copy)
    expected = case.expect
    if isinstance(expected, Refused):
        assert isinstance(found, Refused), f"accepted: {found}"
        assert expected.code in ("", found.code), found
        assert expected.text in found.text
    elif isinstance(expected, Rows | Count):
        assert found == expected
    else:
        assert not isinstance(found, Refused), found
