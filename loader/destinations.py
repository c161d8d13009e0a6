"""Where a topic's changes go, and what collects them until they go there."""

from collections.abc import Callable
from dataclasses import replace

from contracts.table import TableSchema
from loader.core.changes import OpenChanges, OpenDecodedChanges
from loader.core.plan import Destination, TargetTable
from loader.ports import SchemaBook

Targets = Callable[[str, TableSchema], TargetTable]
"""Where a topic's rows of one schema go. Raises Invalid."""

Collect = Callable[[Destination, int], OpenChanges]
"""What collects a destination's changes, the first of which has the seq given; `loader.core.readers` has them."""


class Destinations:
    """An OpenRun: the book of schemas, the rules for targets, and a way to collect changes."""

    def __init__(self, schemas: SchemaBook, targets: Targets, collect: Collect) -> None:
        self._schemas = schemas
        self._targets = targets
        self._collect = collect

    def __call__(self, topic: str, fingerprint: str, next_seq: int) -> tuple[Destination, OpenChanges]:
        destination = self._find(topic, fingerprint)
        return destination, self._collect(destination, next_seq) if fingerprint else OpenDecodedChanges()

    def _find(self, topic: str, fingerprint: str) -> Destination:
        if fingerprint:
            schema = self._schemas.find(topic, fingerprint)
            return Destination(schema, self._targets(topic, schema))
        # A TRUNCATE names no schema. Any of the table's says where its rows go, but its columns may be newer than the target's.
        schema = self._schemas.newest(topic)
        target = self._targets(topic, schema)
        if target.mode.keyed:
            return Destination(schema, target)
        return Destination(replace(schema, columns=(), key=()), replace(target, columns=()))
