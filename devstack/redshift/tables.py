"""CREATE TABLE: columns, constraints that only inform, and the physical attributes PostgreSQL has not."""

from dataclasses import dataclass, field

from devstack.redshift import expressions, queries
from devstack.redshift.attributes import ENCODINGS, Attributes
from devstack.redshift.columntypes import read_type
from devstack.redshift.lexer import literal
from devstack.redshift.names import Relation, quoted
from devstack.redshift.plan import Script
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented

COLUMNS_MAX = 1600


def create_table(reader: Reader) -> Script:
    """The plan of CREATE [TEMP] TABLE, read after the word CREATE."""
    reader.accept("LOCAL")
    temporary = reader.accept_one("TEMP", "TEMPORARY") is not None
    reader.expect("TABLE")
    only_if_new = reader.accept("IF", "NOT", "EXISTS")
    table = reader.relation()
    temporary = temporary or table.temporary
    if temporary and table.schema is not None:
        raise SqlError("cannot create temporary relation in non-temporary schema", "42P16")
    head = f"CREATE {'TEMP ' if temporary else ''}TABLE {table.sql}"
    attributes = Attributes()
    if reader.sees("("):
        definition = elements(reader, attributes)
        table_attributes(reader, attributes)
        if reader.sees("AS"):
            raise not_implemented("CREATE TABLE AS with a column list")
        attributes.check(definition.names)
        steps = [f"{head} {definition.sql(attributes)}", *definition.after(table, attributes)]
        tag = "CREATE TABLE"
    else:
        table_attributes(reader, attributes)
        reader.expect("AS")
        steps, tag = [f"{head} AS {created_as(reader)}"], "SELECT"
    reader.end()
    existing = Relation("pg_temp", table.name) if temporary else table
    return Script("create table", tuple(steps), tag, unless_exists=existing if only_if_new else None, only_if_new=only_if_new)


@dataclass(slots=True)
class Definition:
    """What stands between the parentheses: columns by name, and the tables it is LIKE."""

    columns: dict[str, str] = field(default_factory=dict)
    likes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return list(self.columns)

    def sql(self, attributes: Attributes) -> str:
        """A key's columns are NOT NULL, which is all of a primary key that is enforced."""
        written = [
            f"{text} NOT NULL" if name in attributes.primary_key and "NOT NULL" not in text else text for name, text in self.columns.items()
        ]
        return f"({', '.join([*self.likes, *written])})"

    def after(self, table: Relation, attributes: Attributes) -> list[str]:
        """LIKE keeps dist, sort and encoding, but never the key."""
        if self.columns:
            return attributes.comments(table, self.names)
        return [f"SELECT standin.forget_primary_key({literal(table.sql)}::regclass)"]


def created_as(reader: Reader) -> str:
    if reader.accept("("):
        inner = queries.query(reader)
        reader.expect(")")
        return inner
    return queries.query(reader)


def elements(reader: Reader, attributes: Attributes) -> Definition:
    reader.expect("(")
    found = Definition()
    while True:
        if reader.accept("LIKE"):
            found.likes.append(like(reader))
        elif not table_constraint(reader, attributes):
            name, written = column(reader, attributes)
            if name in found.columns:
                raise SqlError(f'column "{name}" specified more than once', "42701")
            found.columns[name] = written
        if not reader.accept(","):
            break
    reader.expect(")")
    if len(found.columns) > COLUMNS_MAX:
        raise SqlError(f"tables can have at most {COLUMNS_MAX} columns", "54011")
    return found


def like(reader: Reader) -> str:
    """LIKE keeps types, NOT NULL, dist, sort and encoding; with INCLUDING DEFAULTS the defaults too, never the key."""
    parent = reader.relation()
    defaults = " INCLUDING DEFAULTS" if reader.accept("INCLUDING", "DEFAULTS") else ""
    reader.accept("EXCLUDING", "DEFAULTS")
    return f"LIKE {parent.sql} INCLUDING CONSTRAINTS INCLUDING COMMENTS{defaults}"


def table_constraint(reader: Reader, attributes: Attributes) -> bool:
    if reader.accept("CONSTRAINT"):
        reader.name()
    elif not reader.sees_one("PRIMARY", "UNIQUE", "FOREIGN"):
        if reader.sees("CHECK"):
            raise not_implemented("CHECK constraint (Redshift has none)")
        return False
    if reader.accept("PRIMARY", "KEY"):
        attributes.primary_key = reader.names_in_parentheses()
    elif reader.accept("UNIQUE"):
        reader.names_in_parentheses()
    else:
        reader.expect("FOREIGN", "KEY")
        reader.names_in_parentheses()
        references(reader)
    return True


def references(reader: Reader) -> None:
    reader.expect("REFERENCES")
    reader.relation()
    if reader.sees("("):
        reader.names_in_parentheses()


def column(reader: Reader, attributes: Attributes) -> tuple[str, str]:
    """One column's name and its definition for PostgreSQL. DEFAULT, IDENTITY, then ENCODE, keys and NOT NULL in any order."""
    name = reader.name()
    kind = read_type(reader)
    written = f"{quoted(name)} {kind.postgres}{kind.column_check(quoted(name))}"
    while not reader.sees_one(",", ")") and not reader.done:
        if reader.accept("ENCODE"):
            attributes.encodings[name] = encoding(reader)
        elif reader.accept("DISTKEY"):
            attributes.dist_key = name
        elif reader.accept("SORTKEY"):
            attributes.sort_keys.append(name)
        elif reader.accept("PRIMARY", "KEY"):
            attributes.primary_key = [name]
        elif reader.accept("UNIQUE") or reader.accept("NULL"):
            pass
        elif reader.accept("NOT", "NULL"):
            written += " NOT NULL"
        elif reader.sees("REFERENCES"):
            references(reader)
        elif reader.accept("DEFAULT"):
            written += f" DEFAULT {expressions.operand(reader)}"
        elif reader.sees_one("IDENTITY", "GENERATED", "COLLATE"):
            raise not_implemented(f"column attribute {reader.peek().upper}")
        else:
            raise reader.error()
    return name, written


def encoding(reader: Reader) -> str:
    word = reader.next().upper
    if word not in ENCODINGS:
        raise SqlError(f'unrecognized encoding type "{word.lower()}"', "42601")
    return word


def table_attributes(reader: Reader, attributes: Attributes) -> None:
    while not reader.done and not reader.sees("AS"):
        if reader.accept("BACKUP"):
            reader.expect_one("YES", "NO")
        elif reader.accept("DISTSTYLE"):
            attributes.dist_style = reader.expect_one("AUTO", "EVEN", "KEY", "ALL")
        elif reader.accept("DISTKEY"):
            names = reader.names_in_parentheses()
            if len(names) != 1:
                raise SqlError("DISTKEY takes one column")
            attributes.dist_key = names[0]
        elif reader.accept("ENCODE", "AUTO") or reader.accept("SORTKEY", "AUTO"):
            pass
        elif reader.sees_one("COMPOUND", "INTERLEAVED", "SORTKEY"):
            if not reader.sees("SORTKEY"):
                attributes.sort_style = reader.next().upper
            reader.expect("SORTKEY")
            attributes.sort_keys = reader.names_in_parentheses()
        else:
            raise not_implemented(f"table attribute {reader.peek().text!r}")
