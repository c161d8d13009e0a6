"""A cursor over a statement's tokens: what every part of the grammar reads with."""

from dataclasses import dataclass, field

from devstack.redshift.lexer import Kind, Token
from devstack.redshift.names import LongNames, Relation, folded, quoted
from devstack.redshift.refusal import SqlError, not_implemented, syntax_error
from devstack.redshift.reservedwords import RESERVED


@dataclass(slots=True)
class Reader:
    """Tokens from `at` on. Keywords are compared without case; a name in quotes is never a keyword."""

    tokens: list[Token]
    long_names: LongNames
    case_sensitive: bool = False
    at: int = 0
    relations: list[Relation] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)

    def peek(self, ahead: int = 0) -> Token:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def next(self) -> Token:
        token = self.peek()
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def sees(self, *expected: str) -> bool:
        """Whether the next tokens are these keywords or symbols."""
        return all(self.peek(i).upper == word for i, word in enumerate(expected))

    def sees_one(self, *choices: str) -> bool:
        return self.peek().upper in choices

    def accept(self, *expected: str) -> bool:
        if not self.sees(*expected):
            return False
        self.at += len(expected)
        return True

    def accept_one(self, *choices: str) -> str | None:
        return self.next().upper if self.sees_one(*choices) else None

    def expect(self, *expected: str) -> None:
        for word in expected:
            if not self.accept(word):
                raise self.error()

    def expect_one(self, *choices: str) -> str:
        found = self.accept_one(*choices)
        if found is None:
            raise self.error()
        return found

    @property
    def done(self) -> bool:
        return self.peek().kind is Kind.END

    def end(self) -> None:
        """Nothing may follow: a word the grammar does not know is refused here, never passed on."""
        if not self.done:
            raise not_implemented(f"{self.peek().text!r} at this place, or it is a syntax error") if not self.sees(";") else self.error()

    def error(self) -> SqlError:
        return syntax_error(self.peek().text)

    # names ---------------------------------------------------------------------------------------------------------------

    def sees_name(self) -> bool:
        token = self.peek()
        return token.kind is Kind.QUOTED or (token.kind is Kind.WORD and token.upper not in RESERVED)

    def name(self) -> str:
        """An identifier, folded. A reserved word needs quotes, as in Redshift."""
        if not self.sees_name():
            raise self.error()
        return self.label()

    def label(self) -> str:
        """An identifier where even a reserved word may stand (after AS)."""
        token = self.next()
        if token.kind not in (Kind.WORD, Kind.QUOTED):
            self.at -= 1
            raise self.error()
        name = folded(token.text, quoted=token.kind is Kind.QUOTED, case_sensitive=self.case_sensitive)
        self.long_names.note(name)
        return name

    def name_sql(self) -> str:
        return quoted(self.name())

    def names_in_parentheses(self) -> list[str]:
        self.expect("(")
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        self.expect(")")
        return found

    def relation(self) -> Relation:
        first = self.name()
        if not self.accept("."):
            return Relation(None, first)
        second = self.label()
        if self.sees("."):
            raise not_implemented("a name of three parts (cross-database access)")
        return Relation(first, second)

    # values --------------------------------------------------------------------------------------------------------------

    def string(self) -> str:
        if self.peek().kind is not Kind.STRING:
            raise self.error()
        return self.next().text

    def integer(self) -> int:
        token = self.peek()
        if token.kind is not Kind.NUMBER or not token.text.isdigit():
            raise self.error()
        return int(self.next().text)
