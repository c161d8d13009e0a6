"""The statements we tell people to run are statements their servers take."""

from pathlib import Path

import pytest

from devstack.redshift.grammar import unparsable
from devstack.stack import Stack

DEPLOY = Path(__file__).parents[2] / "deploy"


def statements(path: Path) -> list[str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]


@pytest.mark.stack
def test_a_user_with_the_mysql_grants_has_every_right_capture_needs(stack: Stack) -> None:
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        for statement in statements(DEPLOY / "mysql" / "grants.sql"):
            cursor.execute(statement.replace("'tidemark'@", "'from_grants_sql'@").replace("`shop`", "`granted`"))
    with stack.mysql.connect(user="from_grants_sql", password="choose-a-password") as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        held = " ".join(row[0] for row in cursor.fetchall())
    assert "REPLICATION SLAVE, REPLICATION CLIENT ON *.*" in held
    assert "XA_RECOVER_ADMIN ON *.*" in held
    assert "SELECT ON `granted`.*" in held


@pytest.mark.parametrize("statement", statements(DEPLOY / "redshift" / "grants.sql"))
def test_every_redshift_grant_is_redshift_s_sql(statement: str) -> None:
    assert unparsable(statement) == ""
