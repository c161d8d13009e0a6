"""Where a pipeline begins that has no position yet."""

from enum import StrEnum

from contracts.errors import Fenced, Gone, Refused
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Position
from contracts.topics import Topics
from streamer.core.commits import CommitsMet
from streamer.ports import Ports, ServerStatus
from streamer.service.backfill import set_before


class Snapshot(StrEnum):
    """What becomes of the rows a table holds when the pipeline meets it."""

    INITIAL = "initial"  # they are read, while its changes are streamed
    NEVER = "never"  # a new pipeline begins with the oldest binlog, and nothing is read but that
    ONLY = "only"  # as initial, and the streamer is done when they are read


def first_position(
    ports: Ports, topics: Topics, status: ServerStatus, snapshot: Snapshot, since_us: int | None, met: CommitsMet
) -> Position:
    """With n = 0, and no topic: what the server has executed now, or had before `since_us` (microseconds since the epoch), or nothing when
    its binlogs are to tell it all. Raises Fenced when another streamer has begun meanwhile, Refused when the pipeline's rows are on Kafka
    and its position is lost, Gone when binlogs that are needed are purged."""
    held = ports.topics.row_topics()
    if (held or status.purged) and ports.positions.read() is not None:
        # Its rows, and what was purged since, are no sign that anything is lost.
        raise Fenced("another streamer of this pipeline took over while this one was starting")
    if held:
        raise Refused(
            f"topics of this pipeline hold rows ({', '.join(held[:3])}{', …' if len(held) > 3 else ''}), but topic "
            f"{topics.position} holds no position: where to go on is lost, and starting anew would repeat rows. Choose "
            "another pipeline name, or restore the topic; only if nothing has loaded these rows, delete all topics of the pipeline"
        )
    if since_us is not None:
        had = set_before(ports, status, since_us, met)
    elif snapshot is not Snapshot.NEVER:
        had = status.executed
    elif status.purged:
        raise Gone(
            f"the server has purged binlogs ({status.purged}), so a stream from its oldest one would not hold all rows, and "
            "streamer.snapshot: never keeps us from reading those there are. Set it to initial, or stream a server whose binlogs are "
            "whole, or choose --from-timestamp to have only what has changed since then",
            purged=str(status.purged),
        )
    else:
        had = GtidSet()
    return Position(0, status.uuid, had, 0, 0, 0, BinlogPosition.unknown())
