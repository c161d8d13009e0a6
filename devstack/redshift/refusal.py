"""A statement the stand-in does not run, with the error fields a client sees."""

from collections.abc import Mapping
from typing import Self

SYNTAX = "42601"
NOT_IMPLEMENTED = "0A000"
INTERNAL = "XX000"


class SqlError(Exception):
    """An error answer to one statement. `fields` are those of ErrorResponse; S, C and M are always there (the driver
    fails with KeyError otherwise)."""

    def __init__(self, message: str, code: str = SYNTAX, **fields: str) -> None:
        super().__init__(message)
        self.fields: dict[str, str] = {"S": "ERROR", "C": code, "M": message, **fields}

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        error = cls(fields.get("M", "unknown error"), fields.get("C", INTERNAL))
        error.fields.update(fields)
        return error

    @property
    def code(self) -> str:
        return self.fields["C"]


def not_implemented(what: str) -> SqlError:
    """What Redshift may well do and the stand-in does not: refused aloud, so that no test passes by accident."""
    return SqlError(f"stand-in: {what} is not implemented", NOT_IMPLEMENTED)


def syntax_error(near: str) -> SqlError:
    return SqlError(f'syntax error at or near "{near}"' if near else "syntax error at end of input", SYNTAX)
