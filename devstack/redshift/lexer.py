"""Redshift SQL as tokens. Source: PostgreSQL 8.0's lexical rules, which Redshift keeps: a backslash in a string is an escape."""

import re
from dataclasses import dataclass
from enum import Enum

from devstack.redshift.refusal import SqlError, not_implemented, syntax_error


class Kind(Enum):
    WORD = "word"
    QUOTED = "quoted"
    STRING = "string"
    NUMBER = "number"
    PARAMETER = "parameter"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `text`: a word as sent, a quoted name without its quotes, a string's decoded value."""

    kind: Kind
    text: str

    @property
    def upper(self) -> str:
        """The word in capitals for keyword comparisons, the symbol itself, and nothing for names in quotes and strings."""
        if self.kind is Kind.WORD:
            return self.text.upper()
        return self.text if self.kind is Kind.SYMBOL else ""


SCAN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>'(?:[^'\\]|''|\\.)*')
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<parameter>\$\d+)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[#A-Za-z_\u0080-\U0010ffff][\w$#\u0080-\U0010ffff]*)
    |(?P<symbol>::|<=|>=|<>|!=|\|\||!~\*|!~|~\*|[-+*/%^<>=~(),.;|&])""",
    re.S | re.X,
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def tokens(sql: str) -> list[Token]:
    """The statement's tokens without white space and comments, closed by an END. Raises SqlError at what is no Redshift token."""
    found: list[Token] = []
    at = 0
    while at < len(sql):
        match = SCAN.match(sql, at)
        if match is None:
            raise unreadable(sql[at:])
        at = match.end()
        group, text = str(match.lastgroup), match.group()
        if group == "space":
            continue
        if group == "string":
            text = decoded(text[1:-1])
        elif group == "quoted":
            text = text[1:-1].replace('""', '"')
        found.append(Token(Kind(group), text))
    found.append(Token(Kind.END, ""))
    return found


def unreadable(rest: str) -> SqlError:
    if rest.startswith(("'", '"', "/*")):
        return SqlError(f"unterminated quoted text at or near {rest[:20]!r}")
    if rest.startswith(("[", "]", "{", "@", "?", ":")):
        return not_implemented(f"{rest[:1]!r} (SUPER navigation, arrays and special operators)")
    return syntax_error(rest[:1])


def decoded(body: str) -> str:
    """A string literal's value: doubled quotes and backslash escapes resolved."""
    if "\\" not in body:
        return body.replace("''", "'")

    def resolve(match: re.Match[str]) -> str:
        text = match.group()
        if text == "''":
            return "'"
        if match.group("octal"):
            return chr(int(match.group("octal"), 8))
        return ESCAPES.get(text[1], text[1])

    return re.sub(r"''|\\(?P<octal>[0-7]{1,3})|\\.", resolve, body, flags=re.S)


def literal(value: str) -> str:
    """`value` as a PostgreSQL string literal."""
    quoted = value.replace("'", "''")
    if "\\" in value:
        return "E'" + quoted.replace("\\", "\\\\") + "'"
    return f"'{quoted}'"
