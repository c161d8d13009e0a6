"""Runs of a reader by seed: changes of a table that gets another column, in pieces, with barriers and cuts in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from contracts.envelope import Op, Row, Value
from contracts.table import Column, Kind, TableSchema
from loader.core.lane import Start
from loader.core.plan import Mode
from loader.core.records import Record, Records
from tests.loader.core.collecting import Step, Told, same, sent, told
from tests.loader.core.damages import Damage
from tests.loader.core.rowmaker import ORDERS, target_of
from tests.loader.core.typecases import CASES

FIRST_SEQ = 3
STRANGE: Sequence[Value] = ("no such", 1.5, True, 2**63, "\x00", [])


@dataclass
class Writer:
    """Writes the changes of a table one after the other, before and after it got another column."""

    chance: Random
    mode: Mode
    altered: bool = False
    offset: int = 0
    seq: int = FIRST_SEQ

    def __post_init__(self) -> None:
        chosen = self.chance.choices(CASES, k=self.chance.randrange(1, 9))
        self.cases = {f"c{number}": case for number, case in enumerate(chosen)}
        most = min(2, len(self.cases))
        key = list(self.cases)[: self.chance.randrange(0 if self.mode is Mode.APPEND else 1, most + 1)]
        columns = [replace(case.column, name=name, nullable=name not in key) for name, case in self.cases.items()]
        self.chance.shuffle(columns)
        more = Column("more", Kind.INT)
        self.cases["more"] = CASES[6]
        self.schemas = [TableSchema(ORDERS.table, tuple(some), tuple(key)) for some in (columns, [more, *columns])]
        self.keys = [self.row() for _ in range(3)]  # few, so that they meet again

    @property
    def schema(self) -> TableSchema:
        return self.schemas[self.altered]

    def row(self) -> dict[str, Value]:
        return {name: self._value(name) for name in self.schema.by_name}

    def _value(self, name: str) -> Value:
        """One in fifty is none of the column's."""
        values = self.cases[name].values[1 if name in self.schema.key else 0 :]
        value = self.chance.choice(values if self.chance.randrange(50) else STRANGE)
        return {"wkb": value["wkb"], "srid": value["srid"]} if isinstance(value, dict) else value

    def changes(self) -> Iterator[Record]:
        chance, key = self.chance, self.schema.key
        row, other, named = self.row(), self.row(), chance.choice(self.keys)
        row |= {name: named[name] for name in key}
        column = chance.choice(list(row))
        match chance.choice(("put", "put", "put", "update", "update", "delete", "move", "zero", "oversize", "partial", "truncate")):
            case "put":
                yield self._sent(chance.choice((Op.CREATE, Op.READ)), row)
            case "update":
                yield self._sent(Op.UPDATE, row, before=other)
            case "delete":
                yield self._sent(Op.DELETE, row)
            case "move":
                yield self._sent(Op.DELETE, row, key_change=True)
                yield self._sent(Op.CREATE, {**row, **{name: chance.choice(self.keys)[name] for name in key}}, key_change=True)
            case "zero":
                yield self._sent(self._any_op(), {**row, column: None}, raw={column: "0000-00-00"})
            case "oversize":
                yield self._sent(self._any_op(), {name: row[name] for name in key}, oversize=9_000_000)
            case "partial":
                yield self._sent(self._any_op(), {name: value for name, value in row.items() if name != column})
            case _ if not chance.randrange(3):
                yield self._sent(Op.TRUNCATE, None)

    def _any_op(self) -> Op:
        return self.chance.choice((Op.CREATE, Op.UPDATE, Op.DELETE))

    def _sent(self, op: Op, row: Row | None, **rest: Any) -> Record:
        made = sent(self.offset, op, row, schema=self.schema, seq=self.seq, **rest)
        self.offset += 1 + (not self.chance.randrange(10))
        self.seq += 1
        return made


@dataclass
class Run:
    """What is read in pieces, with barriers and cuts in between. `damage`: of one of the records."""

    seed: int
    damage: Damage | None = None

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self.mode = self.chance.choice(list(Mode))
        self.writer = Writer(self.chance, self.mode)
        self.steps: list[Step] = []
        self._held: list[Record] = []
        first = self.writer.seq
        for _ in range(self.chance.randrange(1, 20)):
            self._write()
        self._read()
        self.steps += [self.writer.seq, None]
        if self.damage is not None and self.writer.seq > first:
            self._damage(self.chance.randrange(self.writer.seq - first), self.damage)

    def _write(self) -> None:
        chance, before = self.chance, self.writer.seq
        alters = not chance.randrange(12)
        self.writer.altered ^= alters
        made = list(self.writer.changes())
        alone = any(b'"op":"t"' in (record.value or b"") for record in made)
        if alters or alone:  # the streamer parts what can't share a part
            self._read()
            self.steps.append(before)
        self._held += made
        if alone:
            self._read()
            self.steps.append(self.writer.seq)
        elif self._held and chance.random() < 0.4:
            self._read()
            if chance.random() < 0.6:
                self.steps.append(chance.randint(before, self.writer.seq))
                self.steps += [None] * chance.randrange(2)

    def _read(self) -> None:
        if self._held:
            self.steps.append(Records.of(*self._held))
            self._held = []

    def _damage(self, which: int, damage: Damage) -> None:
        for number, step in enumerate(self.steps):
            if isinstance(step, Records):
                some = list(step)
                if which in range(len(some)):
                    some[which] = damage(some[which], self.mode)
                    self.steps[number] = Records.of(*some)
                which -= len(some)

    def told(self) -> Told:
        """What both ways make of it, which is the same."""
        ours, theirs = self.told_by_each()
        same(ours, theirs)
        return ours

    def told_by_each(self) -> tuple[Told, Told]:
        """The kernel, and the readable way."""
        targets = {schema.fingerprint: target_of(schema, self.mode) for schema in self.writer.schemas}
        start = Start("id-1", 0, 0, FIRST_SEQ)
        ours, theirs = (told(way, self.steps, targets, self.writer.schemas, start) for way in ("kernel", "python"))
        return ours, theirs
