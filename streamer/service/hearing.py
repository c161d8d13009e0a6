"""Signals: what the topic of that name asks of the running streamer, begun or ended between two source transactions."""

from dataclasses import replace
from datetime import datetime

import structlog

from contracts.progress import Asked, Reread, Standing, TableState
from contracts.signals import Ask, Signal
from streamer.core.route import Choices
from streamer.core.transactions import EventJudge
from streamer.ports import SignalLog
from streamer.service.asking import AskedRows
from streamer.service.emptying import Emptying
from streamer.service.readings import TableReadings
from streamer.service.rereading import Rereading
from streamer.service.transaction import KafkaTransaction

log = structlog.get_logger()


class Hearing:
    """Hears signals and acts on them, each once: the position says which ones were acted on."""

    def __init__(
        self,
        signals: SignalLog,
        choices: Choices,
        judge: EventJudge,
        transaction: KafkaTransaction,
        rereading: Rereading,
        asked: AskedRows,
        readings: TableReadings,
        emptying: Emptying,
    ) -> None:
        self._signals = signals
        self._choices = choices
        self._judge = judge
        self._transaction = transaction
        self._rereading = rereading
        self._asked = asked
        self._readings = readings
        self._emptying = emptying
        self._set_back = False  # the topic's offsets are lower than they were

    def hear(self, now: datetime) -> None:
        """Whatever there is by now, unless rows that were asked for earlier still wait in great number."""
        if self._asked.full:
            return
        for offset, data in self._signals.hear(self._asked.hear_at):
            self._set_back = self._set_back or offset < self._asked.hear_at
            self._asked.heard(offset, data)
            if offset < (heard_from := self._transaction.open.next_signal):
                if self._set_back:
                    # Nothing tells whether it was acted on, and events would be emitted twice.
                    because = f"the topic was made again, or has lost its end: it is heard from offset {heard_from} on"
                    log.error("signal.passed_over", offset=offset, because=because)
                continue  # else heard by an earlier session
            self._set_back = False
            try:
                signal = Signal.decode(data)
                if not (self._judge.captures(signal.table) and self._judge.spells(signal.table)):
                    raise ValueError(f"{signal.table} is not a table of this pipeline")
            except ValueError as error:
                log.error("signal.refused", offset=offset, error=str(error))
            else:
                log.info("signal.heard", id=signal.id, ask=signal.ask.value, table=str(signal.table))
                self._act(signal, offset, now)
            self._transaction.open.acted(offset + 1)
            if self._transaction.alone:
                self._transaction.close_alone(now)
        self._readings.give_up_lost()

    def _act(self, signal: Signal, offset: int, now: datetime) -> None:
        topic = self._choices.topic(signal.table)
        reread = self._transaction.open.rereads.get(topic)
        fresh = Standing(TableState.REREADING, int(now.timestamp() * 1_000_000))
        if signal.ask is Ask.SNAPSHOT:
            self._rereading.spoil(topic)
            if signal.resync and self._transaction.open.begun(topic):
                self._emptying.empty(signal.table, now)
            standing, where = fresh, signal.where
            if reread is not None:
                standing = reread.standing
                if where != reread.where:
                    where = None  # what is still to come of the one is not among the other's
                    log.info("signal.widened", id=signal.id, table=str(signal.table), because="it is being read by another condition")
            self._transaction.open.reread(topic, Reread(signal.table, standing, where=where))
        elif signal.ask in (Ask.REREAD, Ask.EMIT):
            held = self._transaction.open.asked.get(topic)
            standing = held.standing if held is not None else fresh
            self._transaction.open.ask(topic, Asked(signal.table, standing, (*(held.signals if held is not None else ()), offset)))
            self._asked.hold(offset, signal)
        elif signal.ask is Ask.STOP and (reread is not None or topic in self._transaction.open.asked):
            self._readings.give_up(topic, "it was asked to stop")
        elif reread is None:
            log.warning("signal.idle", id=signal.id, table=str(signal.table), because="the table is not being read")
        else:
            self._transaction.open.reread(topic, replace(reread, paused=signal.ask is Ask.PAUSE))
