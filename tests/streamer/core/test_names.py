"""Names as the server spells them: what its table maps say, and what the text of its statements is made into."""

from pathlib import Path

import pytest

from contracts.table import TableId
from devstack.mysql import MysqlServer
from devstack.stack import running_stack
from streamer.core.ddl import TableChange, read_statement
from streamer.core.events import Query
from streamer.core.names import as_typed, lower_case, spelling
from streamer.core.schemas import TableMap
from tests.streamer.core.recording import decoded, record, run

pytestmark = pytest.mark.stack

LETTERS = [chr(code) for code in range(1, 0x10000) if not 0xD800 <= code < 0xE000]  # of names: none beyond
AT_A_TIME = 4000


def test_only_a_server_that_lower_cases_names_has_them_lower_cased() -> None:
    assert spelling({}) is as_typed
    assert spelling({"lower_case_table_names": "0"}) is as_typed
    assert spelling({"lower_case_table_names": "1"}) is lower_case


def test_every_letter_gets_the_lower_case_that_the_server_has_for_it(server: MysqlServer) -> None:
    found: dict[str, str] = {}
    with server.connect() as connection, connection.cursor() as cursor:
        for at in range(0, len(LETTERS), AT_A_TIME):
            part = LETTERS[at : at + AT_A_TIME]
            cursor.execute(f"SELECT {', '.join(['LOWER(CONVERT(%s USING utf8mb3))'] * len(part))}", part)
            found.update(zip(part, cursor.fetchone() or (), strict=True))
    assert {letter: lower for letter, lower in found.items() if lower_case(letter + "\u00df")[:-1] != lower} == {}


def test_text_is_made_into_the_names_that_table_maps_have(tmp_path: Path) -> None:
    with running_stack(tmp_path, only={"mysql"}, mysql_settings={"lower_case_table_names": 1}) as stack:
        run(stack.mysql, ["CREATE DATABASE Shop"])
        names = ["Orders", "Ärger", "İΑΣ", "ꞀẞႠ"]
        for name in names:
            raws = record(
                stack.mysql,
                [
                    f"CREATE TABLE Shop.`{name}` (id INT PRIMARY KEY)",
                    f"INSERT INTO SHOP.`{name}` VALUES (1)",
                    "USE SHOP",
                    f"TRUNCATE `{name}`",
                ],
            )
            events = [located.event for located in decoded(raws)]
            (table,) = [event.table for event in events if isinstance(event, TableMap)]
            changes = [read_statement(event, spell=lower_case) for event in events if isinstance(event, Query)]
            assert [change.tables for change in changes if isinstance(change, TableChange)] == [(table,), (table,)]
            typed = [read_statement(event) for event in events if isinstance(event, Query)]
            assert [change.tables[0] for change in typed if isinstance(change, TableChange)] == [
                TableId("Shop", name),
                TableId("shop", name),
            ]
