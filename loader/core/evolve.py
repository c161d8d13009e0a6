"""A target table that is already there against the one a schema asks for: what makes it take the rows, and what only a person may do.

A column of another type is a new column, filled from what is read anew. So the loader adds, drops and replaces columns only while MySQL's
rows are on their way anew, all of them, or there are none; rows that would not come again (deleted ones that are kept, events) lose
nothing ever.
Source: Redshift guide, "ALTER TABLE": one action a statement; only a VARCHAR grows in place, in a transaction of its own, and none of a
primary key; a column that a view needs, or by which the table is distributed or sorted, can't be dropped.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from contracts.errors import Invalid, Unfit
from contracts.sql import NAME_BYTES_MAX, held_column, held_name, qualified, quote
from contracts.table import TableId
from loader.core.column_type import PRECISION_SHORT, ColumnType
from loader.core.conversion import converts, holds
from loader.core.plan import Mode, TargetColumn, TargetTable
from loader.core.target import DELETED, DELETED_MARK, OWN_COLUMNS, table_columns


@dataclass(frozen=True, slots=True)
class StandingColumn:
    """A column the warehouse's table has. `sql_type` as the loader would write it, or the warehouse's own words for a type it never
    makes."""

    name: str
    sql_type: str


@dataclass(frozen=True, slots=True)
class Evolution:
    """Statements by which a table that is there takes the rows. `widenings`: each a transaction of its own, and safe to repeat.
    `alterations`: all in one transaction, so that none of them is ever there without the others. `made_again`: the last of them drops the
    table, and what makes a new one belongs into the same transaction."""

    widenings: tuple[str, ...] = ()
    alterations: tuple[str, ...] = ()
    made_again: bool = False


def evolution(target: TargetTable, standing: Sequence[StandingColumn], former: Sequence[TargetTable], *, renewing: bool) -> Evolution:
    """What makes room for the target's rows; nothing when the table takes them as it stands, as one with longer columns does. `former`:
    the target as each schema made it that was loaded into this table before, the newest last: a column none of them has is not the
    source's, and never dropped. `renewing`: every row that MySQL holds comes anew, with these rows or after them; so it is too of a table
    that holds no row MySQL has.

    Text grows whatever `renewing` says. Columns are added to an append table too, and none of it is dropped; nor is one of a table that
    keeps deleted rows, of which a column is replaced only if its values can be converted. A merge table whose key changed, or a column of
    it, is made again. Raises Unfit, naming table, column and what to run, for everything else: a key that changed while nothing comes
    anew or in another mode, a column of somebody else's making; Invalid instead where events would be lost that nobody can read again, and
    for a column of a mode, which a setting gave or took.
    """
    change = _Change(target, former, renewing)
    wanted = {column.name: column for column in table_columns(target)}
    there = {column.name: column for column in standing}
    if change.can_be_made_again and _key_differs(target, former, there):
        change.refuse_columns_of_others(standing)
        return Evolution(alterations=(f"DROP TABLE {change.table}",), made_again=True)
    _refuse_other_key(target, former)
    widenings: list[str] = []
    added: list[str] = []
    replaced: list[str] = []
    for name, column in wanted.items():
        if name not in there:
            added.append(change.addition(column))
        elif not _takes(there[name], column):
            if change.grows(there[name], column):
                widenings.append(_widened(change.table, column))
            else:
                replaced += change.replacement(there[name], column)
    dropped = [statement for name, column in there.items() if name not in wanted for statement in change.removal(column)]
    # In this order the last column of a table is dropped only if there is no other way: the guide can be read so that it must not be.
    return Evolution(tuple(widenings), (*added, *replaced, *dropped))


def refuse_other_mode(target: TargetTable, standing: Sequence[StandingColumn], former: TargetTable | None = None) -> None:
    """Raises Unfit and Invalid as `evolution` does, but looks only at the mode `former` had, what was loaded last, at the columns the mode
    adds, and at those another mode has added."""
    if former is not None and former.mode is not target.mode:
        _refuse_other_key(target, [former])
    ours = OWN_COLUMNS - {held_column(column.name) for column in target.source.columns}
    evolution(replace(target, columns=(), key=()), [column for column in standing if column.name in ours], (), renewing=False)


def refused(target: TargetTable, statement: str, said: str) -> Invalid:
    """What to tell a person when the warehouse does not do an alteration. `said`: its own words."""
    table = qualified(target.schema, target.name)
    then = f"read the table again: {reading(target.source.table)}" if target.mode.keyed else "start the loader again"
    return _kind(target)(
        f"table {target.schema}.{target.name} can't follow {target.source.table}: {statement}: {said}. Take out of its way what stands"
        f" there, and {then}. It may be a view that uses the column (DROP VIEW, and make it again after), the table's distribution"
        f" or sort key (ALTER TABLE {table} ALTER DISTSTYLE EVEN; ALTER TABLE {table} ALTER SORTKEY NONE), a table that is not the"
        f" loader's (ALTER TABLE {table} OWNER TO its user)",
        table=f"{target.schema}.{target.name}",
        statement=statement,
    )


def reading(table: TableId | str) -> str:
    """The command that empties a table's target and has every row read again."""
    return f"streamer snapshot -t {table} --resync"


def _kind(target: TargetTable) -> type[Invalid]:
    """Of an error about this table. What a table loaded by key misses is in MySQL; events that nobody took are nowhere."""
    return Unfit if target.mode.keyed else Invalid


@dataclass(frozen=True, slots=True)
class _Change:
    """From a table that is there to the target, a column at a time."""

    target: TargetTable
    former: Sequence[TargetTable]
    renewing: bool

    @property
    def table(self) -> str:
        return qualified(self.target.schema, self.target.name)

    @property
    def can_be_made_again(self) -> bool:
        """Whether the table holds nothing that does not come again."""
        return self.renewing and self.target.mode is Mode.MERGE and bool(self.former) and self.former[-1].mode is Mode.MERGE

    def refuse_columns_of_others(self, standing: Sequence[StandingColumn]) -> None:
        for column in standing:
            if not self._is_the_sources(column):
                raise self._misfit(
                    f"has column {column.name}, which no schema of {self.target.source.table} had", self._anew(), column.name
                )

    def addition(self, column: TargetColumn) -> str:
        statement = f"ALTER TABLE {self.table} ADD COLUMN {_added(column)}"
        what = f"lacks column {column.name} of {self.target.source.table}"
        if column.name in self.target.key:
            raise self._misfit(what, self._anew(), column.name)
        if not column.source:
            raise self._other_mode(what, statement, column.name)
        # An event that was before the column has none.
        if self.renewing or self.target.mode is Mode.APPEND:
            return statement
        raise self._misfit(what, statement + self._then_read(), column.name)

    def grows(self, standing: StandingColumn, wanted: TargetColumn) -> bool:
        return _is_text(standing, wanted) and wanted.name not in self.target.key and bool(wanted.source)

    def replacement(self, standing: StandingColumn, wanted: TargetColumn) -> list[str]:
        mode, name = self.target.mode, wanted.name
        what = f"has column {name} as {standing.sql_type}, and {self.target.source.table} needs {wanted.sql_type}"
        if name in self.target.key or not wanted.source:
            grows = _is_text(standing, wanted) and self._can_be_lengthened(wanted)
            fix = self._lengthened(wanted) + self._then_read() if grows else self._anew()
            raise self._misfit(what, fix, name) if wanted.source else self._other_mode(what, fix, name)
        kept = _converts(standing, wanted)
        if self.renewing and self._is_the_sources(standing):
            if mode is Mode.MERGE:
                return self._replaced(wanted)
            if mode is Mode.SOFT_DELETE and kept:
                return self._replaced(wanted, f" WHERE {quote(DELETED)}")
        if mode is Mode.MERGE or not (kept or mode is Mode.SOFT_DELETE):
            raise self._misfit(what, self._anew(), name)
        if kept:
            raise self._misfit(what, "; ".join(self._replaced(wanted, "")) + self._then_read(), name)
        drop = f"{_dropped(self.table, name)}{self._then_read()} (what deleted rows hold there is lost, so copy it before)"
        raise self._misfit(what, drop, name)

    def removal(self, standing: StandingColumn) -> list[str]:
        statement, what = _dropped(self.table, standing.name), f"has column {standing.name}, which {self.target.source.table} has not"
        if standing.name in OWN_COLUMNS:
            raise self._other_mode(what, statement, standing.name)
        if not self._is_the_sources(standing):
            raise self._misfit(what, statement + self._then_read(), standing.name)
        if self.target.mode is not Mode.MERGE:
            return []
        if not self.renewing:
            raise self._misfit(what, statement + self._then_read(), standing.name)
        return [statement]

    def _is_the_sources(self, standing: StandingColumn) -> bool:
        columns = (column for target in self.former for column in target.columns)
        return any(column.name == standing.name and _takes(standing, column) for column in columns)

    def _replaced(self, column: TargetColumn, filled_where: str | None = None) -> list[str]:
        """`filled_where`: of which rows the values are converted, None for none."""
        held, name = quote(f"_tidemark_{hashlib.sha256(column.name.encode()).hexdigest()[:8]}"), quote(column.name)
        fill = [f"UPDATE {self.table} SET {held} = CAST({name} AS {column.sql_type}){filled_where}"] if filled_where is not None else []
        return [
            f"ALTER TABLE {self.table} ADD COLUMN {held} {column.sql_type}",
            *fill,
            f"ALTER TABLE {self.table} DROP COLUMN {name}",
            f"ALTER TABLE {self.table} RENAME COLUMN {held} TO {name}",
        ]

    def _can_be_lengthened(self, wanted: TargetColumn) -> bool:
        """The warehouse cuts the name of a key's constraint where it is too long, and nobody knows it then."""
        return wanted.name not in self.target.key or len(_constraint(self.target).encode()) <= NAME_BYTES_MAX

    def _lengthened(self, wanted: TargetColumn) -> str:
        if wanted.name not in self.target.key:
            return _widened(self.table, wanted)
        key = ", ".join(quote(name) for name in self.target.key)
        drop = f"ALTER TABLE {self.table} DROP CONSTRAINT {quote(_constraint(self.target))}"
        return f"{drop}; {_widened(self.table, wanted)}; ALTER TABLE {self.table} ADD PRIMARY KEY ({key})"

    def _anew(self) -> str:
        return anew(self.target)

    def _then_read(self) -> str:
        return f", and read the table again: {reading(self.target.source.table)}" if self.target.mode.keyed else ""

    def _misfit(self, what: str, fix: str, column: str) -> Invalid:
        return self._error(_kind(self.target), what, fix, column)

    def _other_mode(self, what: str, fix: str, column: str) -> Invalid:
        """A setting did this, and may be taken back: nothing is passed over meanwhile."""
        return self._error(Invalid, what, fix, column)

    def _error(self, kind: type[Invalid], what: str, fix: str, column: str) -> Invalid:
        name = f"{self.target.schema}.{self.target.name}"
        return kind(f"table {name} {what}. Run: {fix}", table=name, column=column)


def anew(target: TargetTable) -> str:
    """What a person does for a table that only a new one can replace, without a loss of what MySQL has no more."""
    table = qualified(target.schema, target.name)
    away = (
        f"DROP TABLE {table}" if target.mode is Mode.MERGE else f"ALTER TABLE {table} RENAME TO {quote(held_name(f'{target.name}_before'))}"
    )
    return f"{away}, and read the table again: {reading(target.source.table)}"


def _key_differs(target: TargetTable, former: Sequence[TargetTable], there: Mapping[str, StandingColumn]) -> bool:
    """Whether rows are told from one another by other columns than before, or by a column that holds no longer what it must."""
    if set(former[-1].key) != set(target.key):
        return True
    return any(column.name not in there or not _takes(there[column.name], column) for column in target.key_columns)


def _refuse_other_key(target: TargetTable, former: Sequence[TargetTable]) -> None:
    """Rows are told from one another by the key: under another one they may be doubled, or one another's."""
    if not former:
        return
    before, table = former[-1], f"{target.schema}.{target.name}"
    was, now = (f"by ({', '.join(key)})" if key else "by nothing" for key in (before.source.key, target.source.key))
    # Both are of the mode set now; one that nobody set follows from whether there is a key.
    if before.mode is target.mode and (not target.mode.keyed or set(before.key) == set(target.key)):
        return
    kind = Unfit if target.mode.keyed or before.mode.keyed else Invalid
    raise kind(f"table {table} is keyed {was}, and {target.source.table} is keyed {now} now. Run: {anew(before)}", table=table)


def _constraint(target: TargetTable) -> str:
    return f"{target.name}_pkey"


def _added(column: TargetColumn) -> str:
    # Rows that are there when the mark comes are not deleted.
    return f"{quote(column.name)} {column.sql_type}{' DEFAULT FALSE NOT NULL' if column is DELETED_MARK else ''}"


def _dropped(table: str, name: str) -> str:
    drop = f"ALTER TABLE {table} DROP COLUMN {quote(name)}"
    # Without the mark its rows would be there like any other.
    return f"DELETE FROM {table} WHERE {quote(name)}; {drop}" if name == DELETED else drop


def _widened(table: str, column: TargetColumn) -> str:
    return f"ALTER TABLE {table} ALTER COLUMN {quote(column.name)} TYPE {column.sql_type}"


def _takes(standing: StandingColumn, wanted: TargetColumn) -> bool:
    has = _parsed(standing)
    if has is None:
        return standing.sql_type == wanted.sql_type
    needs = ColumnType.parse(wanted.sql_type)
    # Former releases made a DECIMAL(19,s) of MySQL's. What of it does not go in parks the table when it comes.
    made_before = needs.precision == PRECISION_SHORT + 1 and has == replace(needs, precision=PRECISION_SHORT)
    return made_before or holds(has, needs)


def _converts(standing: StandingColumn, wanted: TargetColumn) -> bool:
    has = _parsed(standing)
    return has is not None and converts(has, ColumnType.parse(wanted.sql_type))


def _parsed(standing: StandingColumn) -> ColumnType | None:
    try:
        return ColumnType.parse(standing.sql_type)
    except ValueError:
        return None


def _is_text(standing: StandingColumn, wanted: TargetColumn) -> bool:
    return wanted.sql_type.startswith("VARCHAR(") and standing.sql_type.startswith("VARCHAR(")
