"""Foreign keys that change rows without row events: none may reach a captured table, also none that is added while the stream goes on."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from contracts.errors import Refused
from contracts.position import Gtid, GtidSet
from streamer.core.preflight import Fault, cascade_faults, hides_cascades
from streamer.core.route import Choices
from streamer.ports import ServerStatus, SourceServer


def hidden_cascades(choices: Choices, status: ServerStatus, server: SourceServer, begun: Callable[[str], bool]) -> Iterator[Fault]:
    """The captured tables such keys reach now. `begun`: whether the pipeline has rows of a topic: those may be wrong by now. Raises
    Unavailable."""
    if not hides_cascades(status.variables):
        return
    for table in server.cascading():
        if choices.captures(table):
            lacking = f"; then, unless it is excluded, have read again what it lacks: streamer snapshot -t {table} --resync"
            for fault in cascade_faults([table]):
                yield replace(fault, fix=fault.fix + lacking) if begun(choices.topic(table)) else fault


class Cascades:
    """Asks the server again when DDL may have added one: which DDL does, the server knows better than its text tells."""

    def __init__(self, choices: Choices, server: SourceServer, streamed: GtidSet) -> None:
        """`streamed`: before this session. The server may have sent some of it that it shows only now."""
        self._choices = choices
        self._server = server
        self._due = streamed  # transactions whose keys the server may not have been asked for

    def may_come(self, gtid: Gtid) -> None:
        """This transaction of the stream makes or alters a captured table."""
        self._due = self._due.with_gtid(gtid)

    def look(self, status: ServerStatus, begun: Callable[[str], bool]) -> None:
        """Asks, where something is due that the server had executed by the time of `status`. Raises Refused, Unavailable."""
        left = self._due.minus(status.executed)
        if left.count() == self._due.count():
            return
        self._due = left
        if faults := list(hidden_cascades(self._choices, status, self._server, begun)):
            raise Refused(
                "a foreign key was added that the stream does not see all of: " + "; ".join(str(fault) for fault in faults), fault="cascade"
            )
