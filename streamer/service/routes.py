"""Where the rows of each schema go, and the announcement of a schema before its first row."""

import structlog

from contracts.table import TableSchema
from streamer.core.closing import CloseReason
from streamer.core.route import Choices, Route, route, schema_message
from streamer.ports import Ports
from streamer.service.readings import TableReadings
from streamer.service.transaction import KafkaTransaction

log = structlog.get_logger()


class Routes:
    """The routes that were made since the session began, and what of them Kafka has: topics and schemas."""

    def __init__(self, ports: Ports, choices: Choices, transaction: KafkaTransaction, readings: TableReadings) -> None:
        self._clock = ports.clock
        self._server = ports.server
        self._topics = ports.topics
        self._choices = choices
        self._transaction = transaction
        self._readings = readings
        self._routes: dict[str, Route] = {}  # by fingerprint of the schema under its own key
        self._shards: dict[str, int] = {}  # by topic
        self._ensured: set[str] = set()
        self._announced: dict[str, str] = {}  # topic → fingerprint of its last row

    def of(self, schema: TableSchema) -> Route:
        """Where rows of this schema, under its own key, belong."""
        known = self._routes.get(schema.fingerprint)
        if known is not None:
            return known
        way = route(schema, self._choices)
        if not way.schema.key:
            if self._choices.of(schema.table).needs_key:
                log.error("table.keyless", table=str(schema.table), advice="its mode loads rows by key, so the loader parks it")
            else:
                log.warning("table.keyless", table=str(schema.table), advice="its changes are appended, not merged")
        self._routes[schema.fingerprint] = way
        return way

    def use(self, schema: TableSchema) -> Route:
        """Where the rows of this schema, under its own key, go from now on."""
        way = self.of(schema)
        self._shards[way.topic] = way.shard
        if self._announced.get(way.topic) != way.schema.fingerprint:
            self._choices.refuse_moved((schema.table,), self._transaction.position.shards)
            self._announce(way)
        return way

    def shard(self, topic: str) -> int:
        """The shard of a topic whose route is in use."""
        return self._shards[topic]

    def ensure(self, topic: str) -> None:
        """There is a topic for rows of this name."""
        if topic not in self._ensured:
            self._topics.ensure(topic, partitions=1, compacted=False)
            self._ensured.add(topic)

    def of_database(self, database: str) -> list[str]:
        """The topics that the pipeline knows of tables in this database, which is gone from the server. Raises Unavailable."""
        named = self._choices.topics
        known = [topic for topic in sorted(self._transaction.open.topics) if named.may_be_of(topic, database)]
        if all(map(named.is_certain, known)):
            return known
        # After a restart nothing tells the true name of such a table, only what it is not.
        others = {self._choices.topic(table) for table in self._server.tables() if table.database != database}
        return [topic for topic in known if topic not in others]

    def _announce(self, way: Route) -> None:
        """The schema's record goes with the first row that uses it, in a Kafka transaction without rows of the table's former schema."""
        now = self._clock.now()
        if self._transaction.open.touched(way.topic):
            self._transaction.split(CloseReason.SCHEMA, now)
        self.ensure(way.topic)
        self._readings.shaped(way.topic, way.schema.fingerprint)
        self._transaction.send(schema_message(self._choices.topics, way))
        self._announced[way.topic] = way.schema.fingerprint
        log.info("schema.announced", topic=way.topic, schema=way.schema.fingerprint, columns=len(way.schema.columns))
