"""Names in Redshift's SQL: the only way a name of someone else's making gets into a statement.

Source: Redshift guide, "Names and identifiers": at most 127 bytes of UTF-8, ASCII letters folded to lower case even in quotes (but for
sessions with `enable_case_sensitive_identifier`), a quote within quotes is doubled.
"""

import unicodedata

from contracts.errors import Invalid

NAME_BYTES_MAX = 127


def folded(name: str) -> str:
    """The name as Redshift keeps it: ASCII letters in lower case, all others as they are."""
    return "".join(c.lower() if c.isascii() else c for c in name)


def has_control_characters(name: str) -> bool:
    """Whether the name holds NUL, another control character, or half of a surrogate pair: nothing SQL should carry."""
    return any(unicodedata.category(c) in ("Cc", "Cs") for c in name)


def quote(name: str, *, keep_case: bool = False) -> str:
    """The name as a delimited identifier, folded; `keep_case` is for users and roles, which an identity provider may spell in capitals.
    Raises Invalid when Redshift couldn't hold the name as it stands: it is never cut or mended here."""
    if not name:
        raise Invalid("an SQL name is empty")
    if has_control_characters(name):
        raise Invalid(f"SQL name {name!r} holds control characters; name it otherwise")
    size_bytes = len(name.encode())
    if size_bytes > NAME_BYTES_MAX:
        raise Invalid(f"SQL name {name!r} takes {size_bytes} bytes, Redshift keeps {NAME_BYTES_MAX}; use a shorter one")
    kept = name if keep_case else folded(name)
    return '"' + kept.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """`"schema"."name"`. Raises Invalid."""
    return f"{quote(schema)}.{quote(name)}"
