"""Would Redshift's own grammar take these statements? A journal checked with sqlfluff's redshift dialect, which is nobody's
translation of ours, plus rules of our own for what it lets through."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from sqlfluff.core import FluffConfig, Linter

from devstack.redshift.journal import Entry


@dataclass(frozen=True, slots=True)
class Problem:
    """A statement of a journal that Redshift would, as far as can be told here, refuse."""

    sql: str
    reason: str


# What Redshift refuses and sqlfluff's dialect accepts. Source of each: Redshift guide, the page of the statement.
DENIED: tuple[tuple[str, str], ...] = (
    (r"^CREATE\s+(UNIQUE\s+)?INDEX\b", "Redshift has no indexes"),
    (r"^ALTER\s+TABLE\b.*\bADD\s+COLUMN\b.*,\s*ADD\b", "ALTER TABLE takes one action"),
    (r"^MERGE\s+INTO\s+\S+\s+(?!USING\b)\S+\s+(\S+\s+)?USING\b", "MERGE: the target takes no alias"),
    (r"^MERGE\b.*\bWHEN\s+(NOT\s+)?MATCHED\s+AND\b", "MERGE: WHEN MATCHED takes no condition"),
    (
        r"^ALTER\s+TABLE\b.*\bTYPE\s+(?!(CHARACTER\s+VARYING|VARCHAR|NVARCHAR|TEXT)\b)\w+",
        "only VARCHAR columns change, and only their size",
    ),
    (r"^SAVEPOINT\b", "Redshift has no savepoints"),
    (r"\bON\s+CONFLICT\b", "Redshift has no ON CONFLICT"),
    (r"\bRETURNING\b", "Redshift has no RETURNING"),
    (r"\bDISTINCT\s+ON\s*\(", "Redshift has no DISTINCT ON"),
)
# What Redshift takes and sqlfluff's dialect does not know; each was looked up in the guide, and is taken out before the parse.
EXCEPTIONS: tuple[tuple[str, str, str], ...] = (
    (r"\bSERIALIZETOJSON\b", "", "COPY of nested Parquet into SUPER"),
    (r"\bIAM_ROLE\s+DEFAULT\b", "IAM_ROLE 'x'", "the cluster's default role"),
)


# A literal, a quoted name or a comment, whichever begins first: each may hold what looks like the others.
_OPAQUE = re.compile(r"""'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/""", re.DOTALL)


def problems(entries: Iterable[Entry]) -> list[Problem]:
    """One problem for each distinct statement (literals aside) that ran here and should not on Redshift. Statements that were
    refused here are not looked at. About 50 ms for each distinct statement."""
    found: dict[str, Problem] = {}
    for entry in entries:
        if not entry.ok or not entry.sql.strip():
            continue
        normal = normalised(entry.sql)
        if normal not in found and (reason := objection(normal)):
            found[normal] = Problem(entry.sql, reason)
    return list(found.values())


def normalised(sql: str) -> str:
    """The statement without what varies between its uses: literals, quoted names, parameters, the length of value lists."""
    sql = _OPAQUE.sub(lambda match: {"'": "'x'", '"': '"x"'}.get(match[0][0], " "), sql)
    sql = re.sub(r"\$\d+", "1", sql)
    sql = re.sub(r"\s+", " ", sql).strip().rstrip(";").strip()
    sql = re.sub(r"('x'|\b1\b)(?:, ?(?:'x'|1\b)){3,}", r"\1", sql)
    return re.sub(r"(\([^()]*\))(?:, ?\1)+", r"\1", sql)


def objection(sql: str) -> str:
    """Why Redshift would refuse the statement, empty when nothing speaks against it."""
    for pattern, reason in DENIED:
        if re.search(pattern, sql, re.IGNORECASE | re.DOTALL):
            return reason
    for pattern, replacement, _ in EXCEPTIONS:
        sql = re.sub(pattern, replacement, sql, flags=re.IGNORECASE)
    return unparsable(sql)


@cache
def unparsable(sql: str) -> str:
    parsed = linter().parse_string(sql + "\n")
    violations = [str(v) for v in parsed.violations]
    return violations[0] if violations else ""


@cache
def linter() -> Linter:
    return Linter(config=FluffConfig(overrides={"dialect": "redshift"}))
