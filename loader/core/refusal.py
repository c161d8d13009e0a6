"""What a target becomes that does not take its rows: it is gone or elsewhere, a column of it is gone, or the loader's rights to it are."""

from collections.abc import Sequence

from contracts.errors import Invalid, Unavailable, Unfit
from contracts.sql import qualified, quote
from loader.core.evolve import anew, reading, refused
from loader.core.plan import StagedLoad, TargetTable
from loader.core.target import create_statements

_GONE = frozenset(["42P01", "3F000"])
NOT_ALLOWED, _SHORT = "42501", "42703"
_OTHER = frozenset(["42804", "42883", "42809", "0A000", "55000", "23502"])
_NODES_SAY = ("value too long for", "value out of range for", "numeric data overflow", "cannot insert a null value into")
_SCAN_SAYS, _BUCKET_SAYS = "spectrum scan error", ("http response error", "s3serviceexception")
"""SQLSTATEs: no such table, no such schema; no right to it; no such column; and, with class 22, a value that does not go into its column:
of another type, or not to be compared with it, not in a table, not done to such a thing, NULL. Staging has the types the loader makes, so
what goes into it goes into a target that is as the loader made it. Where Redshift's nodes find out, and not its leader, a value that
does not go in is an internal error (XX000), known by its text; so is what COPY finds in an object, and what the bucket answers in place of
one. Any other that stays the same until a person acts says nothing of one target alone."""


def refusal(target: TargetTable, code: str, said: str, grant_select_to: Sequence[str]) -> Invalid | None:
    """What to tell a person when a commit's statement on this target was refused; None where that is not the target's own fault. `said`:
    the warehouse's words. The field `topic` says whose it is."""
    name, source = f"{target.schema}.{target.name}", target.source.table
    if code in _GONE:
        return gone(target, grant_select_to)
    short = f"table {name} doesn't take the rows of {source}: {said}"
    if code == NOT_ALLOWED:
        return _taken(target, short)
    if code == _SHORT and target.mode.keyed:
        return Unfit(f"{short}. Add the column again, and read the table: {reading(source)}", topic=target.topic, table=name)
    if code == _SHORT:
        return Invalid(f"{short}. Add the column again, and start the loader", topic=target.topic, table=name)
    if code in _OTHER or code.startswith("22") or any(words in said.lower() for words in _NODES_SAY):
        # Somebody changed a column, or put a view in its place.
        if target.mode.keyed:
            return Unfit(f"{short}. Make it take them, or {anew(target)}", topic=target.topic, table=name)
        return Invalid(f"{short}. Make it take them, and start the loader again", topic=target.topic, table=name)
    return None


def not_copied(load: StagedLoad, code: str, said: str) -> Invalid | None:
    """What to tell a person when COPY refuses these rows again and again, and takes those of other tables; None where that is not for the
    rows' sake: what can't be read may be read later, or is written anew."""
    target, source, words = load.target, load.target.source.table, said.lower()
    scanned = _SCAN_SAYS in words and not any(answer in words for answer in _BUCKET_SAYS)
    if not (scanned or code.startswith(("22", "23")) or any(value in words for value in _NODES_SAY)):
        return None
    name = f"{target.schema}.{target.name}"
    kind, then = (Unfit, f"read the table again: {reading(source)}") if target.mode.keyed else (Invalid, "start the loader again")
    return kind(
        f"table {name} doesn't take the rows of {source}: COPY of {load.manifest_url} is refused, and that of other tables is not. Mend"
        f" what the warehouse names, and {then} ({said})",
        topic=target.topic,
        table=name,
        manifest=load.manifest_url,
    )


def not_done(target: TargetTable, statement: str, code: str, said: str) -> Invalid:
    """What to tell a person when a statement that makes, alters or looks at a target was refused. A setting, or a right to make tables, is
    mended once for all of them, and faster than they are read again."""
    name = f"{target.schema}.{target.name}"
    if statement.startswith("GRANT"):
        return Invalid(
            f"{statement}: {said}. target.grant_select_to names who may read the tables: mend it, or make the user, group or role, and"
            " start the loader again",
            table=name,
            setting="target.grant_select_to",
        )
    if code == NOT_ALLOWED and statement.startswith("CREATE"):
        place = "DATABASE its name" if statement.startswith("CREATE SCHEMA") else f"SCHEMA {quote(target.schema)}"
        return Invalid(f"{statement}: {said}. Run: GRANT CREATE ON {place} TO the loader's user, and start the loader again", table=name)
    if code == NOT_ALLOWED:
        return _taken(target, f"table {name} can't follow {target.source.table}: {statement}: {said}")
    return refused(target, statement, said)


def _taken(target: TargetTable, what: str) -> Invalid:
    """Of a table to which the loader has no right any more. It lacks nothing yet, and a right is given back faster than a table is read
    again."""
    owned = f"ALTER TABLE {qualified(target.schema, target.name)} OWNER TO the loader's user"
    message = f"{what}. Give the right back ({owned}), and start the loader again"
    return Invalid(message, topic=target.topic, table=f"{target.schema}.{target.name}")


def of_table(error: Unavailable, target: TargetTable, statement: str = "", **more: object) -> Unavailable:
    """The error, told with the table it was met at: it may be one that keeps all the others waiting. `more`: fields."""
    if not error.fields.get("code"):
        return error  # not the warehouse's own words: the session is over
    table = f"{target.schema}.{target.name}"
    where = f"table {table}: {statement[:200]}" if statement else f"table {table}"
    return Unavailable(f"{error.message} ({where})", **{**error.fields, "topic": target.topic, "table": table, **more})


def gone(target: TargetTable, grant_select_to: Sequence[str]) -> Invalid:
    """Of a table that was there before: made again by the loader, it would lack rows. Unfit where a reading brings them."""
    name, source = f"{target.schema}.{target.name}", target.source.table
    if target.mode.keyed:
        message = f"table {name} is gone from the warehouse: {reading(source)} makes it again and fills it"
        return Unfit(message, topic=target.topic, table=name)
    return Invalid(
        f"table {name} is gone from the warehouse, and its events with it, which MySQL's tables don't hold. Make it again as the"
        f" loader's user, and start the loader, which goes on behind them:"
        f" {'; '.join(create_statements(target, grant_select_to))}. What the binlog still has of them then comes with"
        f" streamer --from-timestamp T --until T2 -t {source} --again",
        topic=target.topic,
        table=name,
    )


def elsewhere(target: TargetTable, former: tuple[str, str], *, both: bool) -> Invalid:
    """Of a table that was loaded under another name, by schema and table, and not moved. A setting did this, and may be taken back:
    nothing is passed over meanwhile. `both`: there is a table of the present name, too."""
    name, source, before = f"{target.schema}.{target.name}", target.source.table, ".".join(former)
    move = "; ".join(moving(target, former))
    if both:
        move = f"DROP TABLE {qualified(*former)} where {name}, which is there, too, holds them all; else take that away, and {move}"
    anew = f". Or have them read into a new one: loader pause -t {source}, and {reading(source)}" if target.mode.keyed else ""
    return Invalid(
        f"table {name} is to be loaded, and the rows of {source} so far are in {before}. Set target.schema and target.table back. Or move"
        f" them while no loader runs, as its user: {move}{anew}",
        topic=target.topic,
        table=name,
        former=before,
    )


def moving(target: TargetTable, former: tuple[str, str]) -> list[str]:
    """The statements that give the former table, by schema and name, the target's name. Source: Redshift guide, "ALTER TABLE", which has no
    SET SCHEMA."""
    here, there = qualified(target.schema, target.name), qualified(*former)
    if target.schema == former[0]:
        return [f"ALTER TABLE {there} RENAME TO {quote(target.name)}"]
    return [
        f"CREATE SCHEMA IF NOT EXISTS {quote(target.schema)}",
        "BEGIN",
        f"CREATE TABLE {here} (LIKE {there})",
        f"INSERT INTO {here} SELECT * FROM {there}",
        f"DROP TABLE {there}",
        "COMMIT",
    ]
