"""What may befall an effect, and how likely it is."""

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Risks:
    """How often an effect meets each fate, and how long a pause may last in steps. `lost_at`: the effects whose request or answer is lost,
    `pause_at`: those that a process pauses in front of; none named: any.

    How often a step does what nobody in the pipeline has a hand in. `flap`: moves the group's shards; `expiry`: lets retention look at a
    topic; `asking`: lets somebody ask for rows to be read anew, or for a pause; `obstructing`: puts a column into a target's way, or takes
    it away; `parking`: lets somebody leave a table alone; `recreating`: deletes a topic and makes it again; `haste`: lets the source go on,
    None for now this, now that.

    `moving`: how many schedules have another server take over, `losing`: how many of those lose transactions. `transactions`: how many
    there are (at least, fewer than), on how many `tables`; `statements`: how many of them are DDL."""

    kill: float = 0.012
    pause: float = 0.012
    lost: float = 0.03
    flap: float = 0.004
    expiry: float = 0.02
    asking: float = 0.015
    obstructing: float = 0.004
    parking: float = 0.002
    recreating: float = 0.001
    moving: float = 0.25
    losing: float = 0.4
    haste: float | None = None
    statements: float = 0.15
    transactions: tuple[int, int] = (4, 10)
    tables: int = 3
    pause_steps_min: int = 5
    pause_steps_max: int = 60
    lost_at: tuple[str, ...] = ()
    pause_at: tuple[str, ...] = ()


QUIET = {
    "loader.poll_group": 0.1,
    "loader.bounds": 0.3,
    "loader.topic_id": 0.2,
    "loader.seek": 0.5,
    "janitor.top": 0.2,
    "janitor.topics": 0.2,
    "streamer.send": 0.1,
    "streamer.next": 0.1,
    "streamer.tables": 0.3,
    "streamer.grants": 0.3,
    "streamer.status": 0.3,
    "streamer.ensure": 0.2,
}
"""Effects so frequent that stopping at each would drown the others: how often they stop."""


WEIGHTS = {
    "loader.commit": 1.5,
    "loader.commit.truncate": 10.0,
    "loader.commit.lock": 8.0,
    "operator.order": 6.0,
    "operator.sleep": 15.0,
    "janitor.bump_epoch.lock": 8.0,
    "streamer.tables": 4.0,
    "streamer.grants": 4.0,
    "streamer.status": 2.0,
    "streamer.ensure": 2.0,
    "loader.mirror": 3.0,
    "janitor.bump_epoch": 3.0,
    "janitor.delete": 2.0,
    "streamer.abort": 3.0,
}
"""How much likelier a fault is at effects that matter more than they are common, by its name or the first two words of it."""


@cache
def weight(effect: str) -> float:
    return WEIGHTS.get(effect) or WEIGHTS.get(".".join(effect.split(".")[:2]), 1.0)
