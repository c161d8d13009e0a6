"""Names in SQL: the one function through which every identifier goes into a statement. Values never do; they are bound."""

IDENTIFIER_BYTES_MAX = 127


def quote(name: str) -> str:
    """`name` as a Redshift identifier: folded to lower case, as Redshift folds it, and quoted. Raises ValueError for what it would
    cut off or cannot hold: empty, over 127 bytes of UTF-8, NUL or another control character.
    Source: Redshift guide, "Names and identifiers"."""
    folded = name.lower()
    if not folded:
        raise ValueError("an identifier is not empty")
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in folded):
        raise ValueError(f"identifier {name!r} holds a control character")
    if len(folded.encode()) > IDENTIFIER_BYTES_MAX:
        raise ValueError(f"identifier {name!r} is longer than {IDENTIFIER_BYTES_MAX} bytes")
    return '"' + folded.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """`"schema"."name"`."""
    return f"{quote(schema)}.{quote(name)}"
