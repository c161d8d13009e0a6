"""Table names to topic names, and the pipeline's own topics.

Kafka allows `[a-zA-Z0-9._-]` and 249 characters. A table whose name needs more gets `_` for each foreign character and a
hash of the true name behind it, so two tables never share a topic, whatever their names. The dot separates and is foreign inside a name.
"""

import hashlib
import re
from dataclasses import dataclass

from contracts.table import TableId

_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")
_PREFIX = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_HASHED = re.compile(r"-[0-9a-f]{10}$")  # what a mended name ends in; a name of its own that does is hashed too
_NAME_MAX = 80


def _plain(name: str) -> str:
    return _FOREIGN.sub("_", name)[:_NAME_MAX]


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of the pipeline named `prefix`. Raises ValueError for a prefix that Kafka or S3 could not carry."""

    prefix: str

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(f"pipeline prefix {self.prefix!r}: use 1 to 64 of letters, digits, _ and -")

    @property
    def progress(self) -> str:
        return f"{self.prefix}.progress"

    @property
    def position(self) -> str:
        return f"{self.prefix}.position"

    @property
    def schemas(self) -> str:
        return f"{self.prefix}.schemas"

    @property
    def signals(self) -> str:
        return f"{self.prefix}.signals"

    def rows(self, table: TableId) -> str:
        """The topic of a table's row changes, `<prefix>.<db>.<table>`."""
        database, name = _plain(table.database), _plain(table.name)
        if (database, name) != (table.database, table.name) or _HASHED.search(name):
            true_name = f"{len(table.database)}:{table.database}.{table.name}".encode()
            name = f"{name}-{hashlib.sha256(true_name).hexdigest()[:10]}"
        return f"{self.prefix}.{database}.{name}"

    def may_be_of(self, topic: str, database: str) -> bool:
        """Whether a topic of rows can be that of a table in this database."""
        plain, name = _plain(database), topic.rpartition(".")[2]
        return topic == f"{self.prefix}.{plain}.{name}" and (plain == database or not self.is_certain(topic))

    def is_certain(self, topic: str) -> bool:
        """Whether a topic of rows tells its table's name as it is; another may be that of a table in any of several databases."""
        return _HASHED.search(topic) is None
