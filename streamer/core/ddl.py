"""What the text of a QUERY event means for the stream.

Table maps say what a table is; only text says that one was emptied, dropped or renamed, that its rows changed without row events, where
transactions begin and end outside InnoDB, and that someone wrote rows as statements. All else is None.

Source: MySQL 9.7 manual, "SQL Statements"; what the server rewrites before logging was seen on one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from contracts.table import TableId
from streamer.core.events import Query
from streamer.core.names import Spelling, as_typed
from streamer.core.sql import VERSION_LATEST, Token, TokenKind, tokens


class Control(Enum):
    """Transaction control. Of a non-transactional table's changes COMMIT is the end; nothing else is in the binlog."""

    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    ROLLBACK_TO = "rollback to"
    RELEASE = "release"


class XaVerb(Enum):
    START = "start"
    END = "end"
    PREPARE = "prepare"
    COMMIT = "commit"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Xa:
    """`xid`: as `events.XaPrepare` spells it."""

    verb: XaVerb
    xid: str


class Verb(Enum):
    CREATE = "create"
    ALTER = "alter"
    DROP = "drop"
    RENAME = "rename"
    TRUNCATE = "truncate"


@dataclass(frozen=True, slots=True)
class TableChange:
    """DDL on tables. `tables`: those named as its object, as the server spells them. `renames`: from, to, in order; also of an ALTER
    that renames. `rows_unseen`: rows went or came without row events (TRUNCATE, DROP or EXCHANGE PARTITION, IMPORT or DISCARD TABLESPACE);
    an exchange names both. `rewrites`: rows may hold other values or columns than before, without row events. `if_not_exists`: of a
    CREATE, which may be none."""

    verb: Verb
    tables: tuple[TableId, ...]
    renames: tuple[tuple[TableId, TableId], ...] = ()
    rows_unseen: bool = False
    rewrites: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseDropped:
    """DROP DATABASE: every table in it is gone."""

    database: str


@dataclass(frozen=True, slots=True)
class StatementDml:
    """Rows written as text (binlog_format STATEMENT or MIXED), also by a CREATE TABLE … SELECT: they cannot be decoded. `database`: the
    default one; `tables`: those the text names first, for the message; the statement may touch others."""

    verb: str
    database: str
    tables: tuple[TableId, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """DDL on tables whose names could not be made out. The caller must not assume it harmless."""

    verb: Verb


Statement = Control | Xa | TableChange | DatabaseDropped | StatementDml | Unreadable

_DML = {"INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "SELECT", "CALL", "DO", "TABLE", "VALUES"}
_QUERIES = {"SELECT", "TABLE", "VALUES", "WITH"}  # reserved words: a column or an option of such a name is quoted, or behind a dot
_REWRITES = {"MODIFY", "CHANGE", "CONVERT"}
_KEEPS_ROWS = {"INDEX", "KEY", "UNIQUE", "FULLTEXT", "SPATIAL", "CONSTRAINT", "FOREIGN", "CHECK", "PARTITION"}  # ADD or DROP of these
_NOT_A_TABLE = {"COLUMN", "INDEX", "KEY"}  # ALTER TABLE … RENAME of these


def read_statement(query: Query, version: int = VERSION_LATEST, spell: Spelling = as_typed) -> Statement | None:
    """None for text without meaning for rows: other DDL, accounts, settings. `spell`: how the server spells names. Never raises. Do not log
    the text: it may hold secrets."""
    found = tuple(tokens(query.sql, query.sql_mode, version))
    return _Text(found, spell(query.schema), spell).read()


class _Text:
    """A statement's tokens and how far they were read."""

    def __init__(self, found: tuple[Token, ...], database: str, spell: Spelling) -> None:
        self.tokens = found
        self.database = database
        self.spell = spell
        self.at = 0

    def read(self) -> Statement | None:
        while self._mark("("):  # a SELECT or INSERT may stand in brackets
            pass
        word = self._word()
        if word in ("BEGIN", "COMMIT"):
            return Control[word]
        if word == "START":
            return Control.BEGIN if self._words("TRANSACTION") else None
        if word == "ROLLBACK":
            self._words("WORK")
            return Control.ROLLBACK_TO if self._words("TO") else Control.ROLLBACK
        if word == "SAVEPOINT":
            return Control.SAVEPOINT
        if word == "RELEASE":
            return Control.RELEASE if self._words("SAVEPOINT") else None
        if word == "XA":
            return self._xa()
        if word in _DML:
            return self._dml(word)
        return self._ddl(word)

    def _ddl(self, word: str) -> Statement | None:
        if word == "TRUNCATE":
            self._words("TABLE")
            return self._change(Verb.TRUNCATE, [self._name()])
        if word == "RENAME":
            return self._renames() if self._words("TABLE", "TABLES") else None
        if word not in ("CREATE", "ALTER", "DROP"):
            return None
        if self._words("TEMPORARY"):
            return None  # seen by its own session alone
        if word == "DROP" and self._words("DATABASE", "SCHEMA"):
            self._exists()
            return DatabaseDropped(name) if (name := self._identifier()) is not None else Unreadable(Verb.DROP)
        if word != "ALTER":
            self._words("UNIQUE", "FULLTEXT", "SPATIAL")
            if self._words("INDEX"):
                return self._index()
        if not self._words("TABLE", "TABLES"):
            return None
        exists = self._exists()
        if word == "DROP":
            return self._change(Verb.DROP, self._list())
        table = self._name()
        if word == "CREATE":
            if table is None:
                return Unreadable(Verb.CREATE)
            if self._queries():
                return StatementDml("CREATE … SELECT", self.database, (table,))
            return TableChange(Verb.CREATE, (table,), if_not_exists=exists)
        return self._alter(table) if table is not None else Unreadable(Verb.ALTER)

    def _index(self) -> Statement:
        """CREATE or DROP INDEX … ON a table: what ALTER TABLE … ADD or DROP INDEX is; it may change the key its table map names."""
        while self.at < len(self.tokens) and not self._words("ON"):
            self.at += 1
        return self._change(Verb.ALTER, [self._name()])

    def _queries(self) -> bool:
        """Whether a CREATE TABLE takes rows from a query, seen from behind its name: one begins outside all brackets, or in brackets of its
        own. Written as row events, it has none."""
        depth, begins, dotted = 0, True, False
        while self.at < len(self.tokens):
            if self._mark("("):
                depth += 1
            elif self._mark(")"):
                depth -= 1
                begins = depth == 0
            else:
                if begins and not dotted and self._peek() in _QUERIES:
                    return True
                begins, dotted = depth == 0, self._mark(".")
                self.at += not dotted
        return False

    def _alter(self, table: TableId) -> Statement:
        renamed: TableId | None = None
        tables = [table]
        unseen = rewrites = False
        depth = 0
        begins = True  # a clause
        while self.at < len(self.tokens):
            rewrites = rewrites or (begins and self._rewrites())
            unseen = unseen or (begins and self._swaps_files())
            begins = False
            if self._mark("("):
                depth += 1
            elif self._mark(")"):
                depth -= 1
            elif depth == 0 and self._mark(","):
                begins = True
            elif depth == 0 and self._words("RENAME"):
                if self._peek() not in _NOT_A_TABLE:
                    if not self._words("TO", "AS"):
                        self._mark("=")
                    if (renamed := self._name()) is None:
                        return Unreadable(Verb.ALTER)
            elif depth == 0 and self._words("TRUNCATE", "DROP"):
                unseen = unseen or self._words("PARTITION")
            elif depth == 0 and self._words("EXCHANGE"):
                if self._words("PARTITION"):
                    self._identifier()
                    if not self._words("WITH") or not self._words("TABLE") or (other := self._name()) is None:
                        return Unreadable(Verb.ALTER)
                    tables.append(other)
                    unseen = True
            else:
                self.at += 1
        return TableChange(Verb.ALTER, tuple(tables), ((table, renamed),) if renamed else (), unseen, rewrites)

    def _rewrites(self) -> bool:
        """Whether the clause that begins here may change rows."""
        word, then = self._peek(), self.tokens[self.at + 1].keyword if self.at + 1 < len(self.tokens) else ""
        if word in ("ADD", "DROP"):
            return then not in _KEEPS_ROWS
        return word in _REWRITES or (word == "RENAME" and then == "COLUMN")

    def _swaps_files(self) -> bool:
        """Whether the clause that begins here takes the files of rows away, or puts others in: … TABLESPACE, of all or of partitions."""
        then = self.tokens[self.at + 1].keyword if self.at + 1 < len(self.tokens) else ""
        return self._peek() in ("IMPORT", "DISCARD") and then in ("TABLESPACE", "PARTITION")

    def _renames(self) -> Statement:
        pairs: list[tuple[TableId, TableId]] = []
        while True:
            before = self._name()
            after = self._name() if before and self._words("TO") else None
            if before is None or after is None:
                return Unreadable(Verb.RENAME)
            pairs.append((before, after))
            if not self._mark(","):
                return TableChange(Verb.RENAME, tuple(before for before, _ in pairs), tuple(pairs))

    def _xa(self) -> Statement | None:
        word = "START" if self._peek() == "BEGIN" else self._peek()
        self.at += 1
        if word not in XaVerb.__members__:
            return None
        gtrid = self._xid_part()
        bqual = self._xid_part() if self._mark(",") else ""
        form = self._word() if self._mark(",") else "1"
        return Xa(XaVerb[word], f"X'{gtrid}',X'{bqual}',{form}")

    def _xid_part(self) -> str:
        """X'…' as the server writes it, or '…' as a user may."""
        in_hex = self._words("X")
        token = self._next()
        if token is None or token.kind is not TokenKind.TEXT:
            return ""
        self.at += 1
        return token.text.lower() if in_hex else token.text.encode("utf-8").hex()

    def _dml(self, word: str) -> Statement:
        table: TableId | None = None
        if word in ("INSERT", "REPLACE"):
            while self._words("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"):
                pass
            table = self._name()
        elif word == "LOAD":
            while self.at < len(self.tokens) and not self._words("TABLE"):
                self.at += 1
            table = self._name()
        elif word == "UPDATE":
            while self._words("LOW_PRIORITY", "IGNORE"):
                pass
            table = self._name()
        elif word == "DELETE":
            while self._words("LOW_PRIORITY", "QUICK", "IGNORE"):
                pass
            table = self._name() if self._words("FROM") else None
        return StatementDml(word, self.database, (table,) if table else ())

    def _change(self, verb: Verb, tables: Iterable[TableId | None]) -> Statement:
        known: list[TableId] = []
        for table in tables:
            if table is None:
                return Unreadable(verb)
            known.append(table)
        return TableChange(verb, tuple(known), rows_unseen=verb is Verb.TRUNCATE)

    def _exists(self) -> bool:
        if not self._words("IF"):
            return False
        self._words("NOT")
        return self._words("EXISTS")

    def _list(self) -> list[TableId | None]:
        names = [self._name()]
        while self._mark(","):
            names.append(self._name())
        return names

    def _name(self) -> TableId | None:
        """`t`, `db.t` or `.t`; a bare name is of the default database, and of none without one."""
        if self._mark("."):
            first = None
        elif (first := self._identifier()) is None:
            return None
        if first is not None and not self._mark("."):
            return TableId(self.database, first) if self.database else None
        second = self._identifier()
        database = first if first is not None else self.database
        return TableId(database, second) if second and database else None

    def _identifier(self) -> str | None:
        token = self._next()
        if token is None or token.kind not in (TokenKind.WORD, TokenKind.QUOTED) or not token.text:
            return None
        self.at += 1
        return self.spell(token.text)

    def _next(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _peek(self) -> str:
        token = self._next()
        return token.keyword if token else ""

    def _word(self) -> str:
        word = self._peek()
        if word:
            self.at += 1
        return word

    def _words(self, *choices: str) -> bool:
        """Steps over the next token if it is one of these keywords."""
        if self._peek() in choices:
            self.at += 1
            return True
        return False

    def _mark(self, mark: str) -> bool:
        token = self._next()
        if token is not None and token.kind is TokenKind.MARK and token.text == mark:
            self.at += 1
            return True
        return False
