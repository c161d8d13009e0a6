"""What DDL at the source does to tables of the pipeline: their rows go, or are read anew, or nothing is."""

import structlog

from contracts.progress import Reread, Standing, TableState
from contracts.table import TableId
from streamer.core.ddl import DatabaseDropped, Verb
from streamer.core.route import Choices
from streamer.core.transactions import Ddl, EventJudge, UnderWay
from streamer.service.cascades import Cascades
from streamer.service.emptying import Emptying
from streamer.service.readings import TableReadings
from streamer.service.rereading import Rereading
from streamer.service.routes import Routes
from streamer.service.transaction import KafkaTransaction

log = structlog.get_logger()


class DdlFollower:
    """Follows DDL in the order of the stream."""

    def __init__(
        self,
        choices: Choices,
        judge: EventJudge,
        transaction: KafkaTransaction,
        routes: Routes,
        rereading: Rereading,
        readings: TableReadings,
        emptying: Emptying,
        cascades: Cascades,
    ) -> None:
        self._choices = choices
        self._judge = judge
        self._transaction = transaction
        self._routes = routes
        self._rereading = rereading
        self._readings = readings
        self._emptying = emptying
        self._cascades = cascades

    def follow(self, ddl: Ddl, within: UnderWay) -> None:
        """`within`: the source transaction that it is."""
        split = self._transaction.open.in_progress
        if split is not None and split.gtid == within.gtid:
            return  # a CREATE TABLE … SELECT that is gone on with: it was followed before the first of its rows went out
        change = ddl.change
        if isinstance(change, DatabaseDropped):
            self._database_gone(change.database)
            return
        captured = [table for table in change.tables if self._judge.captures(table)]
        if change.verb not in (Verb.DROP, Verb.TRUNCATE) and (captured or any(self._judge.captures(after) for _, after in change.renames)):
            self._cascades.may_come(within.gtid)
        if change.verb is not Verb.CREATE:
            for table in captured:
                self._readings.altered(table, emptied=change.verb is Verb.TRUNCATE)
        if change.verb is Verb.TRUNCATE:
            for table in captured:
                self._emptying.truncate(table, ddl, within)
        elif change.verb is Verb.CREATE:
            for table in captured:
                self._created(table, ddl, within, certain=not change.if_not_exists)
        elif change.verb is Verb.DROP:
            for table in captured:
                self._gone(table, within, "dropped")
        elif change.renames:
            for before, after in change.renames:
                if self._judge.captures(before):
                    self._gone(before, within, "renamed")
                if self._judge.captures(after):
                    self._read_anew(after, ddl, within, emptied=True)
        elif change.rows_unseen or change.rewrites:
            for table in captured:
                self._read_anew(table, ddl, within, emptied=change.rows_unseen)

    def _created(self, table: TableId, ddl: Ddl, within: UnderWay, *, certain: bool) -> None:
        """All its rows come by the stream. Those of a former table of this name go. `certain`: there was none at that moment. Else it may
        have been there, as most often it was: what is read of it goes on. No chunk that shows a table this made was sent yet."""
        topic = self._choices.topic(table)
        if topic in self._transaction.open.dropped or certain:
            # It may be read since a session found it there. No chunk that shows it was sent: its high mark is behind this statement. Of a
            # table without a key each row would come twice.
            self._readings.give_up(topic, "all its rows come by the stream, which has its CREATE")
            self._emptying.truncate(table, ddl, within)
        self._transaction.open.drop(topic, gone=False)

    def _gone(self, table: TableId, within: UnderWay, how: str) -> None:
        topic = self._choices.topic(table)
        self._readings.give_up(topic, f"the table was {how}")
        self._transaction.open.drop(topic, gone=True)
        advice = "the rows loaded so far stay in the warehouse until there is a table of this name again"
        log.warning(f"table.{how}", table=str(table), gtid=str(within.gtid), advice=advice)

    def _database_gone(self, database: str) -> None:
        """As if each of its tables had been dropped."""
        dropped = self._transaction.open.dropped
        topics = [topic for topic in self._routes.of_database(database) if topic not in dropped]
        for topic in topics:
            self._readings.give_up(topic, "its database was dropped")
            self._transaction.open.drop(topic, gone=True)
        if topics:
            advice = "the rows loaded so far stay in the warehouse until there are tables of these names again"
            log.warning("database.dropped", database=database, topics=topics, advice=advice)

    def _read_anew(self, table: TableId, ddl: Ddl, within: UnderWay, *, emptied: bool) -> None:
        """Its rows are others than before, without row events. `emptied`: some may have gone."""
        topic = self._choices.topic(table)
        if emptied:
            self._emptying.truncate(table, ddl, within)
        self._transaction.open.drop(topic, gone=False)
        self._rereading.spoil(topic)
        self._transaction.open.reread(topic, Reread(table, Standing(TableState.REREADING, within.commit_us)))
        log.info("reread.begun", topic=topic, table=str(table), state=TableState.REREADING.value, gtid=str(within.gtid), emptied=emptied)
