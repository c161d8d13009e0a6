"""A seed's statements: rows written and DDL of every kind, in the order one client sends them.

The same seed gives the same statements for ever. Every one of them is valid: what MySQL refuses is a fault of the generator. Left out, for
a person has to do it (OPERATIONS.md, "Schema changes"): a table that loses its key, or never had one, whose target is of another mode; and
because MySQL is refused (ibid., "What this release does not do yet"): foreign keys that cascade, XA.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from tests.fuzz.columns import Column, Family
from tests.fuzz.oddities import odd_elsewhere, odd_here, spelled
from tests.fuzz.tables import BOUNDS, IDS, KEY_TYPES, SUB, Table, modified, new_column, new_table

STEPS = 26
"""Rows are written between any two of them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """`kind`: of DDL, empty for all else. `pause_ms`: before it."""

    sql: str
    kind: str = ""
    pause_ms: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """`databases` are all it needs: the first one captured and the default, the second one not."""

    seed: int
    databases: tuple[str, str]
    statements: tuple[Statement, ...]

    @property
    def ddl(self) -> int:
        return sum(bool(statement.kind) for statement in self.statements)

    def kinds(self) -> Counter[str]:
        return Counter(statement.kind for statement in self.statements if statement.kind)


def script(seed: int, prefix: str = "fuzz") -> Script:
    """`prefix`: of its databases' names: `<prefix>_<seed>` and, not captured, `<prefix>-<seed>`."""
    return _Author(seed, (f"{prefix}_{seed}", f"{prefix}-{seed}")).written()


class _Author:
    def __init__(self, seed: int, databases: tuple[str, str]) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.databases = databases
        self.lax = self.random.random() < 0.65
        self.tables: dict[str, Table] = {}
        self.statements: list[Statement] = []
        self.serial = 0
        self.acts: list[tuple[int, Callable[[], object]]] = [
            (12, self._add),
            (8, self._drop_column),
            (8, self._rename_column),
            (14, self._modify),
            (4, self._several),
            (4, self._convert),
            (3, self._generated),
            (4, self._drop_generated),
            (4, self._key),
            (3, self._truncate),
            (3, self._rename_away),
            (2, self._rename_out),
            (3, self._exchange_names),
            (4, self._recreate),
            (3, self._like),
            (3, self._as_select),
            (3, self._partitions),
            (3, self._exchange_partition),
            (4, self._shadow),
            (4, self._odd),
            (2, self._empty),
            (1, self._anew),
        ]

    def written(self) -> Script:
        self._send(f"SET SESSION sql_mode = '{'' if self.lax else 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'}'")
        self._make_tables()
        weights = [weight for weight, _ in self.acts]
        for _ in range(STEPS):
            if not self.tables:
                self._make_tables()
            self.random.choices(self.acts, weights)[0][1]()
            for _ in range(self.random.choice((0, 1, 1, 2, 4))):
                if self.tables:
                    self._rows(self._any())
        return Script(self.seed, self.databases, tuple(self.statements))

    def _make_tables(self) -> None:
        for number in range(self.random.randint(1, 3)):
            table = new_table(f"t{number}", self.random, partitioned=self.random.random() < 0.25)
            self._put(table, table.create(), "create")
            if self.random.random() < 0.9:
                self._insert(table, 40)

    # What is sent

    def _send(self, sql: str, kind: str = "") -> None:
        pause = self.random.choice((0, 0, 0, 5, 40, 200)) if kind else 0
        self.statements.append(Statement(spelled(sql, self.random) if kind else sql, kind, pause))

    def _put(self, table: Table, sql: str, kind: str) -> None:
        """The statement, after which the table is this one."""
        self._send(sql, kind)
        self.tables[table.name] = table

    def _alter(self, table: Table, clause: str, kind: str) -> None:
        self._put(table, f"ALTER TABLE {self._named(table)} {clause}", kind)

    def _named(self, table: Table) -> str:
        """Now and then with its database."""
        if "." in table.name or self.random.random() < 0.8:
            return table.quoted
        return f"`{self.databases[0]}`.{table.quoted}"

    def _any(self) -> Table:
        return self.tables[self.random.choice(sorted(self.tables))]

    def _name(self) -> str:
        """One no table of the seed has, or a table had before."""
        free = [name for name in ("t0", "t1", "t2", "spare", "Spare Two") if name not in self.tables]
        if free and self.random.random() < 0.7:
            return self.random.choice(free)
        self.serial += 1
        return f"n{self.serial}"

    # Rows

    def _rows(self, table: Table) -> None:
        several = self.random.random() < 0.3
        if several:
            self._send("BEGIN")
        for _ in range(self.random.randint(2, 4) if several else 1):
            self._write(self._any() if several else table)
        if several:
            self._send(self.random.choice(("COMMIT", "COMMIT", "COMMIT", "ROLLBACK")))

    def _write(self, table: Table) -> None:
        kind, name, id = self.random.randrange(10), table.quoted, table.id.quoted
        if kind < 4 or not table.loose:
            self._insert(table, self.random.choice((1, 1, 3, 10)))
        elif kind < 7:
            some = self.random.sample(table.loose, self.random.randint(1, min(3, len(table.loose))))
            sets = ", ".join(f"{column.quoted} = {column.value(self.random)}" for column in some)
            self._send(f"UPDATE {name} SET {sets} WHERE {id} % 7 = {self.random.randrange(7)}")
        elif kind < 8:
            self._send(f"UPDATE IGNORE {name} SET {id} = {id} + {IDS} WHERE {id} < 100 AND {id} % 11 = {self.random.randrange(11)}")
        else:
            first = self.random.randrange(IDS)
            self._send(f"DELETE FROM {name} WHERE {id} BETWEEN {first} AND {first + self.random.randrange(30)}")

    def _insert(self, table: Table, rows: int) -> None:
        # A column that may be left out is, at times; then its default counts.
        own = [column for column in table.own if column.name in table.key or not column.nullable or self.random.random() < 0.8]
        values = ", ".join(f"({', '.join(self._value(table, column) for column in own)})" for _ in range(rows))
        verb = self.random.choice(("INSERT IGNORE", "REPLACE"))
        self._send(f"{verb} INTO {table.quoted} ({', '.join(column.quoted for column in own)}) VALUES {values}")

    def _value(self, table: Table, column: Column) -> str:
        if column.name == table.key[0]:
            return str(self.random.randrange(1, IDS))
        if column.name in table.key:
            return f"'{self.random.choice(('', 'x', 'é', 'y z'))}'"
        return column.value(self.random)

    # Columns

    def _place(self, table: Table) -> tuple[int, str]:
        place = self.random.choice((0, *[len(table.columns)] * 2, self.random.randint(1, len(table.columns))))
        if place == len(table.columns):
            return place, ""
        return place, f" AFTER {table.columns[place - 1].quoted}" if place else " FIRST"

    def _add(self, table: Table | None = None, *, beside: Table | None = None) -> None:
        """`beside`: rows of this table go into the other one, too; so the new column is none of its own, and may be left out of a row."""
        table = table or self._any()
        names = [name for name in table.free_names() if beside is None or name in beside.free_names()]
        if not names:
            return
        column = new_column(self.random.choice(names), self.random)
        if beside is not None:
            column = replace(column, nullable=True)
        place, where = self._place(table)
        instant = self.random.choice((", ALGORITHM=INSTANT", "", "", ", ALGORITHM=INPLACE", ", ALGORITHM=COPY"))
        if not column.nullable and column.default is None:
            instant = ""  # a date that is none would have to be looked for
        clause = f"ADD {self.random.choice(('COLUMN ', ''))}{column.sql}{where}"
        if not where and self.random.random() < 0.15:
            clause = f"ADD COLUMN ({column.sql})"
        self._alter(table.with_column(column, place), clause + instant, "add column")

    def _drop_column(self) -> None:
        table = self._any()
        if len(table.loose) < 2:
            return
        gone = self.random.choice(table.loose)
        clause = f"DROP {self.random.choice(('COLUMN ', ''))}{gone.quoted}"
        self._alter(table.without(gone.name), clause + self.random.choice(("", ", ALGORITHM=INSTANT")), "drop column")

    def _rename_column(self) -> None:
        table = self._any()
        if not table.loose:
            return
        held = self.random.choice(table.loose)
        others = [column for column in table.loose if column.name != held.name]
        if others and self.random.random() < 0.3:
            other = self.random.choice(others)
            clause = f"RENAME COLUMN {held.quoted} TO {other.quoted}, RENAME COLUMN {other.quoted} TO {held.quoted}"
            swapped = {held.name: replace(held, name=other.name), other.name: replace(other, name=held.name)}
            columns = tuple(swapped.get(column.name, column) for column in table.columns)
            self._alter(replace(table, columns=columns), clause, "swap columns")
            return
        # Another case alone is another name to MySQL's catalogue, and the same to the warehouse.
        name = self.random.choice([*table.free_names(), held.name.swapcase() if held.name.isascii() else held.name])
        column = replace(held, name=name)
        if self.random.random() < 0.5:
            self._alter(table.altered(held.name, column), f"RENAME COLUMN {held.quoted} TO {column.quoted}", "rename column")
        else:
            self._alter(table.altered(held.name, column), f"CHANGE {held.quoted} {column.sql}", "rename column")

    def _modify(self, table: Table | None = None, *, optional: bool = False) -> None:
        """`optional`: the column keeps its name, and takes NULL if it did."""
        table = table or self._any()
        if not table.loose:
            return
        held = self.random.choice(table.loose)
        column = modified(held, self.random, lax=self.lax)
        if optional:
            column = replace(column, nullable=column.nullable or held.nullable)
        if optional or self.random.random() < 0.7:
            self._alter(table.altered(held.name, column), f"MODIFY {column.sql}", "modify")
        elif names := table.free_names():
            column = replace(column, name=self.random.choice(names))
            self._alter(table.altered(held.name, column), f"CHANGE COLUMN {held.quoted} {column.sql}", "change")

    def _several(self) -> None:
        """Clauses of one ALTER; a column may go, and one of its name come."""
        table = self._any()
        if len(table.loose) < 2 or not (names := table.free_names()):
            return
        gone, kept = self.random.sample(table.loose, 2)
        changed = modified(kept, self.random, lax=self.lax)
        added = new_column(self.random.choice((gone.name, self.random.choice(names))), self.random)
        after = table.without(gone.name).altered(kept.name, changed)
        clause = f"DROP COLUMN {gone.quoted}, MODIFY COLUMN {changed.sql}, ADD {added.sql}"
        self._alter(after.with_column(added, len(after.columns)), clause, "several")

    def _convert(self) -> None:
        table = self._any()
        if not self.lax:
            self._alter(table, "DEFAULT CHARACTER SET latin1", "default charset")
            return
        labelled = any(column.type.labels for column in table.columns)
        # MySQL takes an ENUM's or SET's labels for utf16 as they are, in their old bytes: what it then holds are no texts any more.
        # It refuses a DEFAULT that the new character set can't hold, and that of an ENUM or SET whatever it is.
        named = any(column.default is not None and (column.type.labels or column.type.family is Family.TEXT) for column in table.columns)
        charset = self.random.choice(("utf8mb4" if named else "latin1", "utf8mb4", "utf8mb4" if labelled else "utf16"))
        # TEXT grows when it is converted to a wider character set, and MySQL may then make MEDIUMTEXT of it; the model need not know.
        columns = tuple(
            replace(column, type=replace(column.type, sql=_recoded(column.type.sql, charset))) if not column.generated else column
            for column in table.columns
        )
        self._alter(replace(table, columns=columns), f"CONVERT TO CHARACTER SET {charset}", "convert")

    def _generated(self) -> None:
        table = self._any()
        if table.partitioned or not (names := table.free_names()):
            return
        expression, kind = self.random.choice(
            ((f"{table.id.quoted} * 2", "DECIMAL(38,0)"), (f"CONCAT('r', {table.id.quoted})", "VARCHAR(60)"))
        )
        shape = next(one for one in KEY_TYPES if one.sql == "BIGINT")
        column = Column(self.random.choice(names), replace(shape, sql=kind), True, None, expression, self.random.random() < 0.5)
        self._alter(table.with_column(column, len(table.columns)), f"ADD COLUMN {column.sql}", "add generated")

    def _drop_generated(self) -> None:
        table = self._any()
        if table.generated:
            gone = self.random.choice(table.generated)
            self._alter(table.without(gone.name), f"DROP COLUMN {gone.quoted}", "drop generated")

    def _key(self) -> None:
        table = self._any()
        if table.generated or table.partitioned:
            return
        way = self.random.randrange(4)
        if way == 0:
            larger = [one for one in KEY_TYPES if one.group == table.id.type.group and one.size > table.id.type.size]
            if larger:
                column = replace(table.id, type=larger[0])
                self._alter(table.altered(column.name, column), f"MODIFY {column.sql}", "key retyped")
        elif way == 1:
            free = [name for name in ("id", "Nr", "key") if name.lower() not in {column.name.lower() for column in table.columns}]
            if free:
                column = replace(table.id, name=self.random.choice(free))
                clause = f"RENAME COLUMN {table.id.quoted} TO {column.quoted}"
                self._alter(table.altered(table.id.name, column), clause, "key renamed")
        elif len(table.key) == 1 and "sub" not in {column.name for column in table.columns}:
            column = Column("sub", SUB, nullable=False, default="''")
            after = replace(table.with_column(column, len(table.columns)), key=(*table.key, "sub"))
            self._alter(after, f"ADD COLUMN {column.sql}, DROP PRIMARY KEY, ADD PRIMARY KEY ({after.key_sql})", "key wider")
        elif len(table.key) == 2:
            id, sub = (table.column(name).quoted for name in table.key)
            name = table.quoted
            self._send(f"DELETE a FROM {name} a JOIN {name} b ON a.{id} = b.{id} AND a.{sub} > b.{sub}")
            after = replace(table, key=table.key[:1])
            self._alter(after, f"DROP PRIMARY KEY, ADD PRIMARY KEY ({after.key_sql})", "key narrower")

    # Tables

    def _truncate(self) -> None:
        self._send(f"TRUNCATE {self.random.choice(('TABLE ', ''))}{self._named(self._any())}", "truncate")

    def _empty(self) -> None:
        """All rows go, and DDL meets a table that holds none."""
        table = self._any()
        self._send(f"DELETE FROM {table.quoted}")
        self._send("DO SLEEP(0.3)")
        self._add(table)
        self._modify(self.tables[table.name])

    def _renamed(self, table: Table, name: str) -> Table:
        del self.tables[table.name]
        self.tables[name] = replace(table, name=name)
        return self.tables[name]

    def _rename_away(self) -> None:
        table = self._any()
        name = self._name()
        if self.random.random() < 0.5:
            clause = f"ALTER TABLE {self._named(table)} RENAME {self.random.choice(('TO ', 'AS ', ''))}`{name}`"
        else:
            clause = f"RENAME TABLE {self._named(table)} TO `{name}`"
        self._send(clause, "rename")
        there = self._renamed(table, name)
        if self.random.random() < 0.7:
            self._rows(there)
            self._send(f"RENAME TABLE {there.quoted} TO {table.quoted}", "rename back")
            self._renamed(there, table.name)

    def _rename_out(self) -> None:
        """To a database nobody captures, and back with other rows and another shape."""
        table = self._any()
        if table.partitioned:
            return
        out = f"{self.databases[1]}.{table.name}"
        there = replace(table, name=out)
        self._send(f"RENAME TABLE {table.quoted} TO {there.quoted}", "rename out")
        held = dict(self.tables)
        self.tables = {out: there}
        self._write(there)
        self._add(there)
        there = self.tables[out]
        self.tables = held
        self._send(f"RENAME TABLE {there.quoted} TO `{self.databases[0]}`.{table.quoted}", "rename in")
        self.tables[table.name] = replace(there, name=table.name)

    def _exchange_names(self) -> None:
        if len(self.tables) < 2:
            return
        one, other = (self.tables[name] for name in self.random.sample(sorted(self.tables), 2))
        middle = "`between`"
        self._send(
            f"RENAME TABLE {one.quoted} TO {middle}, {other.quoted} TO {one.quoted}, {middle} TO {other.quoted}", "exchange of names"
        )
        self.tables[one.name], self.tables[other.name] = replace(other, name=one.name), replace(one, name=other.name)

    def _recreate(self) -> None:
        table = self._any()
        self._send(f"DROP TABLE {self.random.choice(('', 'IF EXISTS '))}{self._named(table)}", "drop")
        del self.tables[table.name]
        if self.random.random() < 0.3 and self.tables:
            self._rows(self._any())
        after = new_table(table.name, self.random, partitioned=self.random.random() < 0.2)
        self._put(after, after.create(if_not_exists=self.random.random() < 0.3), "re-create")
        if self.random.random() < 0.8:
            self._insert(after, 20)

    def _like(self) -> None:
        table, name = self._any(), self._name()
        if name in self.tables:
            return
        like = self.random.choice((f"LIKE {table.quoted}", f"(LIKE {table.quoted})"))
        copy = replace(table, name=name)
        self._put(copy, f"CREATE TABLE {copy.quoted} {like}", "create like")
        if self.random.random() < 0.7:
            self._copy(table, copy)

    def _copy(self, table: Table, into: Table, where: str = "TRUE", verb: str = "INSERT IGNORE") -> None:
        """Rows, by the columns both have."""
        there = {column.name for column in into.own}
        columns = ", ".join(column.quoted for column in table.own if column.name in there)
        self._send(f"{verb} INTO {into.quoted} ({columns}) SELECT {columns} FROM {table.quoted} WHERE {where}")

    def _as_select(self) -> None:
        table, name = self._any(), self._name()
        if name in self.tables or table.generated:
            return
        # An invisible column is none of SELECT *, and none of the copy's is invisible.
        columns = ", ".join(column.quoted for column in table.columns)
        copy = replace(table, name=name, partitioned=False, columns=tuple(replace(column, invisible=False) for column in table.columns))
        select = f"SELECT {columns} FROM {table.quoted}"
        self._put(copy, f"CREATE TABLE {copy.quoted} (PRIMARY KEY ({copy.key_sql})) {self.random.choice(('AS ', ''))}{select}", "as select")

    def _anew(self) -> None:
        """The whole database."""
        name = self.databases[0]
        self._send(f"DROP DATABASE `{name}`", "drop database")
        self._send(f"CREATE DATABASE `{name}`")
        self._send(f"USE `{name}`")
        self.tables.clear()
        self._make_tables()

    # Partitions

    def _partitioned(self) -> Table | None:
        found = [table for table in self.tables.values() if table.partitioned]
        return self.random.choice(found) if found else None

    def _partitions(self) -> None:
        if (table := self._partitioned()) is None:
            return
        part = self.random.choice(("p0", "p1", "p2", "p0, p1"))
        if self.random.random() < 0.5:
            self._alter(table, f"TRUNCATE PARTITION {part}", "truncate partition")
            return
        # It comes again at once, so the model need not know.
        self._alter(table, "DROP PARTITION p2", "drop partition")
        self._alter(table, "ADD PARTITION (PARTITION p2 VALUES LESS THAN MAXVALUE)", "add partition")
        if self.random.random() < 0.5:
            clause = f"PARTITION p0 VALUES LESS THAN (50), PARTITION p1 VALUES LESS THAN ({BOUNDS[1]})"
            self._alter(table, f"REORGANIZE PARTITION p0, p1 INTO ({clause})", "reorganize partition")
            clause = clause.replace("(50)", f"({BOUNDS[0]})")
            self._alter(table, f"REORGANIZE PARTITION p0, p1 INTO ({clause})", "reorganize partition")

    def _exchange_partition(self) -> None:
        if (table := self._partitioned()) is None:
            return
        # Columns that were added or dropped in an instant would be in the way.
        self._alter(table, "FORCE", "force")
        # None of the seed's tables: a row of another range would be taken over without a look.
        other = replace(table, name="xchg", partitioned=False)
        self._send(f"CREATE TABLE {other.quoted} LIKE {table.quoted}", "create like")
        self._send(f"ALTER TABLE {other.quoted} REMOVE PARTITIONING", "remove partitioning")
        self._insert(other, 15)
        self._send(f"DELETE FROM {other.quoted} WHERE {other.id.quoted} >= {BOUNDS[0]}")
        self._alter(table, f"EXCHANGE PARTITION p0 WITH TABLE {other.quoted}", "exchange partition")
        if self.random.random() < 0.5:
            self._rows(table)
            self._alter(table, f"EXCHANGE PARTITION p0 WITH TABLE {other.quoted} WITHOUT VALIDATION", "exchange partition")
        self._send(f"DROP TABLE {other.quoted}", "drop")

    # As the tools do it

    def _shadow(self) -> None:
        """A copy of another shape is filled beside the table, takes part in its changes, and takes its place."""
        table = self._any()
        triggers = self.random.random() < 0.5
        new, old = (f"_{table.name}_new", f"_{table.name}_old") if triggers else (f"_{table.name}_gho", f"_{table.name}_del")
        shadow = replace(table, name=new)
        self._send(f"CREATE TABLE {shadow.quoted} LIKE {table.quoted}", "create like")
        self.tables[new] = shadow
        # Triggers fill it, and one that fails would fail the statement that it follows.
        self._modify(shadow, optional=True)
        self._add(self.tables[new], beside=table)
        shadow = self.tables.pop(new)
        if triggers:
            self._by_triggers(table, shadow, old)
        else:
            self._by_replaying(table, shadow, old)
        self.tables[table.name] = replace(shadow, name=table.name)
        self._rows(self.tables[table.name])
        if self.random.random() < 0.8:
            self._send(f"DROP TABLE IF EXISTS `{old}`", "drop")
        else:
            self.serial += 1
            self._send(f"RENAME TABLE `{old}` TO `kept{self.serial}`", "rename")

    def _common(self, table: Table, shadow: Table) -> list[Column]:
        there = {column.name for column in shadow.own}
        return [column for column in table.own if column.name in there]

    def _by_triggers(self, table: Table, shadow: Table, old: str) -> None:
        """pt-online-schema-change."""
        common = self._common(table, shadow)
        columns, values = ", ".join(c.quoted for c in common), ", ".join(f"NEW.{c.quoted}" for c in common)
        same = " AND ".join(f"{shadow.quoted}.{table.column(name).quoted} <=> OLD.{table.column(name).quoted}" for name in table.key)
        moved = " AND ".join(f"OLD.{table.column(name).quoted} <=> NEW.{table.column(name).quoted}" for name in table.key)
        put, gone = f"REPLACE INTO {shadow.quoted} ({columns}) VALUES ({values})", f"DELETE IGNORE FROM {shadow.quoted} WHERE {same}"
        bodies = {"del": ("DELETE", gone), "ins": ("INSERT", put), "upd": ("UPDATE", f"BEGIN {gone} AND NOT ({moved}); {put}; END")}
        for name, (event, body) in bodies.items():
            self._send(f"CREATE TRIGGER `pt_osc_{name}` AFTER {event} ON {table.quoted} FOR EACH ROW {body}")
        for first in (0, IDS // 2, IDS, 2 * IDS):
            last = {0: IDS // 2, IDS // 2: IDS, IDS: 2 * IDS}.get(first)
            where = f"{table.id.quoted} >= {first}" + (f" AND {table.id.quoted} < {last}" if last else "")
            self._copy(table, shadow, where, "INSERT LOW_PRIORITY IGNORE")
            self._write(table)
        # Ids below 0 there are none.
        self._send(f"RENAME TABLE {table.quoted} TO `{old}`, {shadow.quoted} TO {table.quoted}", "swap")
        for name in bodies:
            self._send(f"DROP TRIGGER IF EXISTS `pt_osc_{name}`")

    def _by_replaying(self, table: Table, shadow: Table, old: str) -> None:
        """gh-ost: what it reads in the binlog it writes into the shadow, and its own notes into a table beside it."""
        notes = f"_{table.name}_ghc"
        self._send(
            f"CREATE /* gh-ost */ TABLE `{notes}` (id bigint unsigned auto_increment, last_update timestamp NOT NULL DEFAULT"
            " CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, hint varchar(64) charset ascii NOT NULL, value varchar(4096) charset ascii"
            " NOT NULL, PRIMARY KEY (id), UNIQUE KEY hint_uidx (hint)) AUTO_INCREMENT=256",
            "create",
        )
        for first in (0, IDS):
            self._send(
                f"INSERT /* gh-ost */ INTO `{notes}` (hint, value) VALUES ('copy at {first}', 'x') ON DUPLICATE KEY UPDATE value = 'y'"
            )
            self._copy(table, shadow, f"{table.id.quoted} >= {first}", "INSERT /* gh-ost */ IGNORE")
            self._write(table)
        common = ", ".join(column.quoted for column in self._common(table, shadow))
        using = ", ".join(table.column(name).quoted for name in table.key)
        self._send(
            f"DELETE /* gh-ost */ s FROM {shadow.quoted} s LEFT JOIN {table.quoted} t USING ({using}) WHERE t.{table.id.quoted} IS NULL"
        )
        self._send(f"REPLACE /* gh-ost */ INTO {shadow.quoted} ({common}) SELECT {common} FROM {table.quoted}")
        self._send(f"CREATE TABLE `{old}` (id INT AUTO_INCREMENT PRIMARY KEY) COMMENT='ghost-cut-over-sentry'", "create")
        self._send(f"DROP TABLE `{old}`", "drop")
        self._send(f"RENAME /* gh-ost */ TABLE {table.quoted} TO `{old}`, {shadow.quoted} TO {table.quoted}", "swap")
        self._send(f"DROP /* gh-ost */ TABLE `{notes}`", "drop")

    # What has no meaning for rows, and reads like what has

    def _odd(self) -> None:
        if self.random.random() < 0.5:
            self.serial += 1
            for sql in odd_elsewhere(self.databases[1], self.serial, self.random):
                self._send(sql, "elsewhere")
            return
        table = self._any()
        for sql in odd_here(table, self.random):
            self._send(sql, "keeps rows")


def _recoded(sql: str, charset: str) -> str:
    head, found, _ = sql.partition(" CHARACTER SET ")
    return f"{head}{found}{charset}" if found else sql
