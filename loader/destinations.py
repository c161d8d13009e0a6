"""Where a topic's changes go, and what collects them until they go there."""

from collections.abc import Callable
from dataclasses import replace

from contracts.errors import Unfit
from contracts.table import TableSchema
from loader.core.changes import OpenChanges, OpenDecodedChanges
from loader.core.plan import Destination, Nowhere, TargetTable
from loader.ports import SchemaBook

Targets = Callable[[str, TableSchema], TargetTable]
"""Where a topic's rows of one schema go. Raises Unfit when there is no target for them, Invalid."""

Collect = Callable[[Destination, int], OpenChanges]
"""What collects a destination's changes, the first of which has the seq given; `loader.core.readers` has them."""


class Destinations:
    """An OpenRun: the book of schemas, the rules for targets, and a way to collect changes."""

    def __init__(self, schemas: SchemaBook, targets: Targets, collect: Collect) -> None:
        self._schemas = schemas
        self._targets = targets
        self._collect = collect

    def __call__(self, topic: str, fingerprint: str, next_seq: int, truncate: bool) -> tuple[Destination | Nowhere, OpenChanges]:
        # The source's TRUNCATE names no schema. Any of the table's says where its rows go, but its columns may be newer than the target's.
        schema = self._schemas.find(topic, fingerprint) if fingerprint else self._schemas.newest(topic)
        try:
            target = self._targets(topic, schema)
        except Unfit as error:
            return Nowhere(schema, error), OpenDecodedChanges()
        if not truncate:
            destination = Destination(schema, target)
            return destination, self._collect(destination, next_seq)
        if not target.mode.keyed:
            schema, target = replace(schema, columns=(), key=()), target.bare
        return Destination(schema, target), OpenDecodedChanges()
