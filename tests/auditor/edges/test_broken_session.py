"""What the auditor makes of a warehouse session that breaks under a question."""

import struct
from unittest.mock import Mock

import pytest
from redshift_connector.error import InterfaceError

from auditor.edges.redshift import RedshiftWarehouse
from contracts.errors import Unavailable
from contracts.topics import Topics


@pytest.mark.parametrize("error", [InterfaceError("BrokenPipe: server socket closed"), OSError("reset"), EOFError(), struct.error("half")])
def test_a_session_that_breaks_is_unavailable(error: Exception) -> None:
    connection = Mock()
    connection.cursor.return_value.execute.side_effect = error
    with pytest.raises(Unavailable, match="stopped answering"):
        RedshiftWarehouse(connection, "tidemark", Topics("tm")).targets()
