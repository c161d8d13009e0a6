"""What a conformance case is: statements, and what Redshift's documentation says becomes of the last one."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Rows:
    """The last statement returns exactly these rows."""

    rows: list[list[Any]]


@dataclass(frozen=True, slots=True)
class Count:
    """The last statement touches this many rows."""

    rows: int


@dataclass(frozen=True, slots=True)
class Done:
    """The last statement succeeds."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The last statement fails: with this SQLSTATE when one is given, with this text in message or detail."""

    code: str = ""
    text: str = ""


class Isolation(StrEnum):
    """Of a database. Source: Redshift guide, "Isolation levels in Amazon Redshift"."""

    SNAPSHOT = "snapshot"
    SERIALIZABLE = "serializable"


SECOND = "2: "
"""Before a statement of a second session; the others are the first one's."""


@dataclass(frozen=True, slots=True)
class Case:
    """`run`: statements, in each `{s}` is the case's own schema, `{copy}` the COPY clauses that load `parquet` by manifest, and `{pid}` the
    first session's process. `reference`: the document the expectation comes from, or "open" where none says it and only a real cluster
    can. `isolation`: only there it is so. `at_commit`: a refusal may come as late as the COMMIT behind the last statement."""

    name: str
    reference: str
    run: tuple[str, ...]
    expect: Rows | Count | Done | Refused
    autocommit: bool = False
    parquet: Callable[[], dict[str, Any]] | None = None
    manifest: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda entry: [entry]
    isolation: Isolation | None = None
    at_commit: bool = False
