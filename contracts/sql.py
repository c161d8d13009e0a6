"""Names in Redshift's SQL: the only way a name of someone else's making gets into a statement.

Source: Redshift guide, "Names and identifiers": at most 127 bytes of UTF-8, ASCII letters folded to lower case even in quotes (but for
sessions with `enable_case_sensitive_identifier`), a quote within quotes is doubled.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from contracts.errors import Invalid

NAME_BYTES_MAX = 127
_HASH_CHARACTERS = 8
_QUALIFIED = re.compile(r'"((?:[^"]|"")+)"\."((?:[^"]|"")+)"')
# PostgreSQL's and Redshift's own columns, which no table may declare.
_SYSTEM_COLUMNS = frozenset(["oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "deletexid", "insertxid"])


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


def unqualified(named: str) -> tuple[str, str]:
    """Schema and name of what `qualified` made."""
    found = _QUALIFIED.fullmatch(named)
    if found is None:
        raise ValueError(f"not a qualified name: {named}")
    return found[1].replace('""', '"'), found[2].replace('""', '"')


def held_name(name: str, taken: Iterable[str] = ()) -> str:
    """The name Redshift can hold for this one: folded to lower case. When it is over 127 bytes, holds control characters, begins with `#`
    (a temporary table) or is in `taken`, it is cut and mended, and eight hex digits of the true name's hash follow. The same for ever."""
    kept = folded(name)
    if len(kept.encode(errors="replace")) <= NAME_BYTES_MAX and not has_control_characters(kept) and kept[:1] != "#" and kept not in taken:
        return kept
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    plain = "".join("_" if unicodedata.category(c) in ("Cc", "Cs") else c for c in kept)
    plain = "_" + plain[1:] if plain.startswith("#") else plain
    room = NAME_BYTES_MAX - _HASH_CHARACTERS - 1
    return f"{plain.encode()[:room].decode(errors='ignore')}_{digest}"


def held_column(name: str) -> str:
    """The name of a target's column for a source's column of this name."""
    return held_name(name, _SYSTEM_COLUMNS)
