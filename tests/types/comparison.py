"""One table on both sides: each value, its column's type, and what lies in quarantine; and what that comes to."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import pymysql
from redshift_connector.core import Connection

from tests.stack.scenario import query
from tests.types.canonical import VARCHAR_BYTES_MAX, Due
from tests.types.specimen import Bench
from tests.types.wire import raw_texts

_TYPE_NAMES = {
    "character varying": "VARCHAR",
    "binary varying": "VARBYTE",
    "numeric": "DECIMAL",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
}
Place = tuple[int, str | None]
"""A row by its key, and a column, or None for the whole row."""


class Entry(NamedTuple):
    """Of quarantine: its reason, and the value as JSON, cut to what a VARCHAR holds, with its true size."""

    reason: str
    raw: str
    size_bytes: int

    def keeps(self, json: str) -> bool:
        whole = json.encode()
        return (self.raw, self.size_bytes) == (whole[:VARCHAR_BYTES_MAX].decode(errors="ignore"), len(whole))


NOTHING = Entry("", "", 0)


@dataclass
class Report:
    """Counts of values: `equal`; NULL for a date that is none (`no_dates`); NULL and in quarantine, as docs/TYPES.md states
    (`quarantined`); the faults are all others, and whatever else is wrong, in words."""

    types: set[str] = field(default_factory=set)
    charsets: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def values(self) -> int:
        return self.counts.total()

    def line(self) -> dict[str, int]:
        return {
            "types": len(self.types),
            "charsets": len(self.charsets),
            "values": self.values,
            "equal": self.counts["equal"],
            "no_dates": self.counts["no_date"],
            "quarantined_as_stated": self.counts["quarantined"],
            "unequal": len(self.faults),
        }


@dataclass(frozen=True, slots=True)
class Sides:
    """Connections to both, in UTC, and what lies between. `database` has the same name everywhere; `ledger`: schema of the quarantine."""

    source: "pymysql.Connection[Any]"
    target: Connection
    brokers: str
    database: str
    ledger: str

    def compare(self, bench: Bench, report: Report) -> None:
        quarantine = self._quarantine(bench)
        held = self._held(bench)
        raw = raw_texts(self.brokers, f"{self.database}.{self.database}.{bench.name}", bench.key) if bench.dated else {}
        report.types |= {one.sql for one in bench.columns.values()}
        report.charsets |= {one.charset for one in bench.columns.values() if one.charset}
        report.faults += self._types(bench)
        for key, beyond, row in self._due(bench):
            place: Place = (key, None)
            if why := bench.why_absent(beyond, row):
                reason = quarantine.pop(place, NOTHING).reason
                stated = key not in held and re.fullmatch(why, reason)
                report.counts["quarantined" if stated else "unequal"] += len(row)
                if not stated:
                    there = "there" if key in held else "absent"
                    report.faults.append(f"{bench.name} row {key}: {why!r} is due, the row is {there}, and quarantine says {reason!r}")
                held.pop(key, None)
                continue
            found = held.pop(key, None)
            if found is None:
                report.counts["unequal"] += len(row)
                report.faults.append(
                    f"{bench.name} row {key}: missing in the warehouse; quarantine says {quarantine.pop(place, NOTHING).reason!r}"
                )
                continue
            for name, due in row.items():
                entry = quarantine.pop((key, name), NOTHING)
                counted = verdict(due, found[name], entry, raw.get(key, {}).get(name, ""))
                report.counts[counted or "unequal"] += 1
                if not counted:
                    shown = f"{due} is due, {found[name]!r} found"
                    report.faults.append(f"{bench.name}.{name} {bench.columns[name].sql:.60} row {key}: {shown:.400}")
        report.faults += [f"{bench.name} row {key}: only in the warehouse" for key in held]
        report.faults += [
            f"{bench.name}.{name} row {key}: in quarantine without need: {entry.reason}" for (key, name), entry in quarantine.items()
        ]

    def _due(self, bench: Bench) -> Iterator[tuple[int, bool, Mapping[str, Due]]]:
        """Key, whether the whole row is beyond what can be loaded, and what is due of each column."""
        shown = [one.form.mysql.replace("{c}", f"`{name}`") for name, one in bench.columns.items()]
        with self.source.cursor() as cursor:
            cursor.execute(f"SELECT `{bench.key}`, {bench.beyond or 'FALSE'}, {', '.join(shown)} FROM `{self.database}`.`{bench.name}`")
            for key, beyond, *values in cursor.fetchall():
                columns = zip(bench.columns.items(), values, strict=True)
                yield key, bool(beyond), {name: one.form.due(value, one.bytes_max) for (name, one), value in columns}

    def _held(self, bench: Bench) -> dict[int, Mapping[str, str | None]]:
        shown = [one.form.warehouse.replace("{c}", f'"{name}"') for name, one in bench.columns.items()]
        rows = query(self.target, f'SELECT "{bench.key}", {", ".join(shown)} FROM "{self.database}"."{bench.name}"')
        assert len({row[0] for row in rows}) == len(rows), f"{bench.name}: a key is there twice"
        return {
            int(key): {name: one.form.found(value) for (name, one), value in zip(bench.columns.items(), values, strict=True)}
            for key, *values in rows
        }

    def _quarantine(self, bench: Bench) -> dict[Place, Entry]:
        """The entries that are open."""
        where = f"closed_at IS NULL AND topic LIKE '%.{self.database}.{bench.name}'"
        rows = query(
            self.target, f"SELECT row_key, column_name, reason, raw_value, raw_size_bytes FROM {self.ledger}.quarantine WHERE {where}"
        )
        return {(int(orjson.loads(key)[bench.key]), column): Entry(*kept) for key, column, *kept in rows}

    def _types(self, bench: Bench) -> list[str]:
        where = f"schema_name = '{self.database}' AND table_name = '{bench.name}'"
        rows = query(self.target, f"SELECT column_name, data_type FROM svv_redshift_columns WHERE {where}")
        found = {name: _named(kind) for name, kind in rows}
        return [
            f"{bench.name}.{name}: {one.sql} is {found.get(name)} in the warehouse, not {one.target}"
            for name, one in bench.columns.items()
            if found.get(name) != one.target
        ]


def verdict(due: Due, found: str | None, entry: Entry = NOTHING, raw: str = "") -> str:
    """What to count the value as, empty when it is not what is due. `raw`: what the envelope says beside a null."""
    if found != due.text or not re.fullmatch(due.reason, entry.reason):
        return ""
    if (due.kept and not entry.keeps(due.kept)) or (due.no_date and raw != due.no_date):
        return ""
    return "quarantined" if due.reason else "no_date" if due.no_date else "equal"


def _named(kind: str) -> str:
    """A type as the catalogue spells it, as a statement does."""
    name, parenthesis, size = kind.partition("(")
    return _TYPE_NAMES.get(name, name.upper()) + parenthesis + size
