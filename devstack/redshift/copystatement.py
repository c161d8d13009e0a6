"""COPY as written. Only what Redshift documents for Parquet, signed in by an IAM role.

Source: Redshift guide, "COPY from columnar data formats"."""

import re

from devstack.redshift.changes import target
from devstack.redshift.lexer import Kind
from devstack.redshift.plan import Copy
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented

ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+(,arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+)*")
ON_OFF = ("ON", "OFF", "TRUE", "FALSE")


def copy(reader: Reader) -> Copy:
    """Raises SqlError for a source, an option or a form of sign-in the stand-in (or Redshift, for Parquet) has not."""
    reader.expect("COPY")
    table = target(reader)
    columns = tuple(reader.names_in_parentheses()) if reader.sees("(") else ()
    reader.expect("FROM")
    url = reader.string() if reader.peek().kind is Kind.STRING else ""
    if not re.fullmatch(r"s3://[^/]+/.+", url):
        raise not_implemented("COPY from anything but 's3://bucket/key'")
    seen: set[str] = set()
    manifest = serialize = signed = parquet = False
    invalid: str | None = None
    while not reader.done:
        word = reader.next().upper
        if word in seen:
            raise SqlError(f"conflicting or redundant options: {word}")
        seen.add(word)
        if word == "IAM_ROLE":
            iam_role(reader)
            signed = True
        elif word == "FORMAT":
            reader.accept("AS")
            if not reader.accept("PARQUET"):
                raise not_implemented(f"COPY of format {reader.peek().text}")
            parquet = True
        elif word == "PARQUET":
            parquet = True
        elif word == "MANIFEST":
            manifest = True
        elif word == "SERIALIZETOJSON":
            serialize = True
        elif word == "STATUPDATE":
            reader.accept_one(*ON_OFF)
        elif word == "ACCEPTINVCHARS":
            reader.accept("AS")
            invalid = reader.string() if reader.peek().kind is Kind.STRING else "?"
            if len(invalid.encode()) != 1:
                raise SqlError("ACCEPTINVCHARS replacement must be one ASCII character")
        elif word in ("CREDENTIALS", "WITH", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
            raise not_implemented(f"COPY sign-in by {word} (use IAM_ROLE)")
        elif word in ("FILLRECORD", "EXPLICIT_IDS", "REGION"):
            raise not_implemented(f"COPY option {word}")
        else:
            raise SqlError(f"COPY with FORMAT PARQUET does not support option {word or reader.peek().text}", "0A000")
    if not parquet:
        raise not_implemented("COPY of a format other than PARQUET")
    if not signed:
        raise SqlError("COPY needs IAM_ROLE 'arn:aws:iam::<account>:role/<name>' or IAM_ROLE default")
    return Copy(table, columns, url, manifest, serialize, invalid)


def iam_role(reader: Reader) -> None:
    if reader.accept("DEFAULT"):
        return
    role = reader.string()
    if role.lower() != "default" and not ROLE.fullmatch(role):
        raise SqlError(f"Invalid IAM role {role!r}", "XX000")
