"""When a Kafka transaction closes: at a source commit, or inside a source transaction that is too large for it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class CloseReason(StrEnum):
    CAUGHT_UP = "caught up"
    ROWS = "rows"
    AGE = "age"
    SPLIT = "split"
    SCHEMA = "schema"
    TRUNCATE = "truncate"


@dataclass(frozen=True, slots=True)
class ClosePolicy:
    """`rows_max`, `age_max`: at which a Kafka transaction closes at the next source commit. `split_rows`, `split_bytes` (of values),
    `split_age`: at which it closes inside a source transaction; the loader holds it whole, and the age must stay well below Kafka's
    transaction timeout."""

    rows_max: int = 30_000
    age_max: timedelta = timedelta(milliseconds=200)
    split_rows: int = 250_000
    split_bytes: int = 100 << 20
    split_age: timedelta = timedelta(seconds=20)


def reason_to_close(rows: int, age: timedelta, *, caught_up: bool, policy: ClosePolicy) -> CloseReason | None:
    """Why an open Kafka transaction of `rows` rows closes at this source commit, or None to go on. `caught_up`: the binlog has nothing more
    to give at this moment."""
    if rows >= policy.rows_max:
        return CloseReason.ROWS
    if age >= policy.age_max:
        return CloseReason.AGE
    return CloseReason.CAUGHT_UP if caught_up else None


def must_split(rows: int, size_bytes: int, age: timedelta, policy: ClosePolicy) -> bool:
    """Whether an open Kafka transaction closes inside a source transaction."""
    return rows >= policy.split_rows or size_bytes >= policy.split_bytes or (rows > 0 and age >= policy.split_age)
