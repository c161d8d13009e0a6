"""What a statement that writes rows as text changes for certain. Where that is a table of the server's own, as with the heartbeat of RDS,
it hides no change of any other, and need not halt the stream.

Source: MySQL manual, "INSERT Statement", "DELETE Statement"; that triggers are refused on tables of `mysql` was seen on a server.
"""

from itertools import pairwise

from contracts.table import TableId
from runtime.selection import SYSTEM_DATABASES
from streamer.core.events import Query
from streamer.core.sql import Token, TokenKind, tokens

_WITHOUT_TRIGGERS = SYSTEM_DATABASES - {"sys"}  # sys is a database like any other to CREATE TRIGGER
_BEGINS = {("INSERT", "INTO"), ("REPLACE", "INTO"), ("DELETE", "FROM")}
_BEHIND_DELETE = {"WHERE", "ORDER", "LIMIT"}  # not a comma, USING or a dot, by which other tables come in
_READS = {"SELECT", "TABLE", "WITH"}  # maybe a view, and in it a function that writes
_NO_CALL = {"VALUES", "VALUE", "WHERE", "IN", "AND", "OR", "NOT"}  # behind any other word, `(` may call a function that writes


def is_bookkeeping(query: Query) -> bool:
    """Whether the statement changes nothing but a table of the server's own."""
    # In MySQL's own case: with case-sensitive names, `MYSQL` is somebody's database.
    return (target := sole_target(query)) is not None and target.database in _WITHOUT_TRIGGERS


def sole_target(query: Query) -> TableId | None:
    """The table that it names in full and changes, triggers aside, and no other; None when that is not certain from the text."""
    if "/*!" in query.sql:
        return None  # what of it is executed is the server's decision
    found = tuple(tokens(query.sql, query.sql_mode))
    if len(found) < 5 or (found[0].keyword, found[1].keyword) not in _BEGINS:
        return None
    database, dot, name = found[2:5]
    if not _is_name(database) or not _is_mark(dot, ".") or not _is_name(name):
        return None
    rest = found[5:]
    if found[0].keyword == "DELETE" and rest and rest[0].keyword not in _BEHIND_DELETE:
        return None
    if any(token.keyword in _READS for token in rest):
        return None
    if any(_is_name(before) and before.keyword not in _NO_CALL and _is_mark(after, "(") for before, after in pairwise(rest)):
        return None
    return TableId(database.text, name.text)


def _is_name(token: Token) -> bool:
    return token.kind in (TokenKind.WORD, TokenKind.QUOTED) and bool(token.text)


def _is_mark(token: Token, mark: str) -> bool:
    return token.kind is TokenKind.MARK and token.text == mark
