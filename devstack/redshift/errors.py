"""PostgreSQL's errors as Redshift reports them."""

from collections.abc import Mapping

from devstack.redshift.refusal import SqlError

# AWS's wording of error 1023. Table, transaction and process numbers are Redshift's own there; here they say nothing.
VIOLATION = "Serializable isolation violation on table - {table}, transactions forming the cycle are: 0, 0 (pid:{pid})"
FIELDS_KEPT = frozenset("SCMDHP")


def serialization_failure(pid: int = 0, table: int = 0) -> dict[str, str]:
    """Error 1023, as the driver gets it: message "1023", the sentence in the detail."""
    return {"S": "ERROR", "C": "XX000", "M": "1023", "D": VIOLATION.format(table=table, pid=pid)}


def redshift_error(fields: Mapping[str, str]) -> dict[str, str]:
    """S, C and M are always in the result."""
    found = {"S": "ERROR", "C": "XX000", "M": "unknown error", **{k: v for k, v in fields.items() if k in FIELDS_KEPT}}
    code, message = found["C"], found["M"]
    if code == "40001":
        return serialization_failure()
    if code == "21000" and message.startswith("MERGE"):
        return {"S": "ERROR", "C": "XX000", "M": "Found multiple matches to update the same tuple."}
    found["M"] = found["M"].replace("jsonb", "super").replace("bytea", "varbyte")
    return found


def described(failure: SqlError) -> str:
    """Message and detail in one line, for the journal."""
    fields = redshift_error(failure.fields)
    return " ".join([fields["M"], *fields.get("D", "").split()])
