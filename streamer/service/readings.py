"""Tables whose rows are being read, and rows that are asked for: begun, begun anew and ended in the open Kafka transaction."""

from collections.abc import Collection
from datetime import datetime

import structlog

from contracts.progress import Reread, Standing, TableState
from contracts.table import TableId
from streamer.core.route import Choices
from streamer.ports import Clock
from streamer.service.asking import AskedRows, without
from streamer.service.rereading import Rereading
from streamer.service.transaction import KafkaTransaction

log = structlog.get_logger()


class TableReadings:
    """What the position says of readings, kept in step with the chunks that are being read and with the signals that are held."""

    def __init__(self, clock: Clock, choices: Choices, transaction: KafkaTransaction, rereading: Rereading, asked: AskedRows) -> None:
        self._clock = clock
        self._choices = choices
        self._transaction = transaction
        self._rereading = rereading
        self._asked = asked
        self._shaped: set[tuple[str, str]] = set()  # topics and schemas for which a reading began anew

    def snapshot(self, tables: Collection[TableId]) -> None:
        """Reads the rows of those of these tables that the pipeline has not met, from now on."""
        since_us = int(self._clock.now().timestamp() * 1_000_000)
        for table in tables:
            topic = self._choices.topic(table)
            if not self._transaction.open.known(topic):
                self._transaction.open.reread(topic, Reread(table, Standing(TableState.SNAPSHOTTING, since_us)))
                log.info("reread.begun", topic=topic, table=str(table), state=TableState.SNAPSHOTTING.value)

    def altered(self, table: TableId, *, emptied: bool) -> None:
        """DDL may have rewritten rows that were read already, or changed the key they are read by. `emptied`: it has but removed them."""
        topic = self._choices.topic(table)
        self._rereading.spoil(topic)
        if not emptied:
            self._restart(topic, "a DDL statement on the table")

    def shaped(self, topic: str, fingerprint: str) -> None:
        """The topic's rows are of this schema from now on. Whoever makes room for it while they are read counts on all of them.

        It was set otherwise when the streamer started, so it is done once: the catalogue and a table map may name one table's schema
        in two ways (a label beyond U+FFFF), and then rows of both alternate.
        """
        reread = self._transaction.open.rereads.get(topic)
        if reread is None or reread.after is None or reread.schema == fingerprint:
            return
        if (topic, fingerprint) not in self._shaped:
            self._shaped.add((topic, fingerprint))
            self._rereading.spoil(topic)
            self._restart(topic, "its columns or its key are others than those of the rows read so far")

    def _restart(self, topic: str, because: str) -> None:
        if (reread := self._transaction.open.rereads.get(topic)) is not None:
            self._transaction.open.reread(topic, reread.restarted())
            log.info("reread.restarted", topic=topic, table=str(reread.table), because=because)

    def give_up(self, topic: str, because: str) -> None:
        """Ends a reading before its end."""
        self._rereading.spoil(topic)
        opened = self._transaction.open
        if topic not in opened.rereads and topic not in opened.asked:
            return
        if (asked := opened.asked.get(topic)) is not None:
            self.done(topic, asked.signals)
        log.warning("reread.given_up", topic=topic, signals=asked.signals if asked else (), because=because)
        opened.reread(topic, None)

    def done(self, topic: str, offsets: Collection[int]) -> None:
        """Of the rows that are asked for, those that the signals at these offsets ask for: they are sent, or given up."""
        self._transaction.open.ask(topic, without(self._transaction.open.asked[topic], offsets))
        self._asked.drop(offsets)

    def give_up_excluded(self) -> None:
        """Gives up the readings in the position whose tables are captured no more: no changes of theirs would tell which rows are newer."""
        for topic, reading in self._transaction.position.readings.items():
            if not self._choices.captures(reading.table):
                self.give_up(topic, "the table is not captured any more")

    def give_up_lost(self) -> None:
        """Gives up the signals that expired before this session could hear them."""
        for topic, offsets in self._asked.lost(self._transaction.open.asked).items():
            log.error("signal.lost", topic=topic, offsets=offsets, advice="kafka.retention_hours is over: ask for these rows again")
            self.done(topic, offsets)

    def ask(self, now: datetime) -> None:
        """Lets readers read on. Whoever loads the rows has read in a barrier before them that the table is being read anew."""
        opened, told = self._transaction.open, self._transaction.position.readings
        rereads = {topic: reread for topic, reread in opened.rereads.items() if topic in told}
        asked = {topic: self._asked.keys_of(asked) for topic, asked in opened.asked.items() if topic in told}
        self._rereading.ask(rereads, asked, opened.streamed, now)
