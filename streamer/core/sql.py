"""SQL text → tokens: enough of MySQL's lexer to find verbs and names, and nothing of its grammar.

Source: MySQL manual, "Comments", "Schema Object Names", "String Literals".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

NO_BACKSLASH_ESCAPES = 1 << 20  # bit of sql_mode
VERSION_LATEST = 999_999


class TokenKind(Enum):
    WORD = "word"  # unquoted: a keyword or a name
    QUOTED = "quoted"  # `…` or "…": where a name may stand, it is one
    TEXT = "text"  # '…'
    MARK = "mark"  # any other single character


@dataclass(frozen=True, slots=True)
class Token:
    """`text`: without quotes. `keyword`: in capitals if it is a word, else ""."""

    kind: TokenKind
    text: str

    @property
    def keyword(self) -> str:
        return self.text.upper() if self.kind is TokenKind.WORD else ""


_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<line>\#[^\n]*|--(?=[\s\x00-\x1f]|\Z)[^\n]*)
    | /\*!(?P<version>[0-9]{5,6}(?![0-9]))?(?P<hint>)
    | (?P<comment>/\*.*?(?:\*/|\Z))
    | (?P<end>\*/)
    | `(?P<backtick>(?:[^`]|``)*)`
    | (?P<word>[0-9A-Za-z_$\x80-\U0010ffff]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPING = {quote: re.compile(rf"{quote}((?:[^{quote}\\]|\\.|{quote}{quote})*){quote}", re.DOTALL) for quote in "'\""}
_PLAIN = {quote: re.compile(rf"{quote}((?:[^{quote}]|{quote}{quote})*){quote}", re.DOTALL) for quote in "'\""}


def tokens(sql: str, sql_mode: int = 0, version: int = VERSION_LATEST) -> Iterator[Token]:
    """What the server of this version (90704 for 9.7.4) executes: comments are left out, versioned hints that apply are not. Text that
    ends inside a quote ends with a MARK of that quote."""
    literals = _PLAIN if sql_mode & NO_BACKSLASH_ESCAPES else _ESCAPING
    at, hints = 0, 0
    while at < len(sql):
        first = sql[at]
        if first in "'\"":
            if (literal := literals[first].match(sql, at)) is None:
                yield Token(TokenKind.MARK, first)
                return
            kind = TokenKind.TEXT if first == "'" else TokenKind.QUOTED
            yield Token(kind, literal[1].replace(first * 2, first))
            at = literal.end()
            continue
        match = _TOKEN.match(sql, at)
        if match is None or (match["end"] and not hints):
            yield Token(TokenKind.MARK, first)
            at += 1
            continue
        at = match.end()
        if match["hint"] is not None:
            if match["version"] and int(match["version"]) > version:
                close = sql.find("*/", at)
                at = len(sql) if close < 0 else close + 2
            else:
                hints += 1
        elif match["end"]:
            hints -= 1
        elif match["backtick"] is not None:
            yield Token(TokenKind.QUOTED, match["backtick"].replace("``", "`"))
        elif match["word"]:
            yield Token(TokenKind.WORD, match["word"])
