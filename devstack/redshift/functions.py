"""Functions Redshift has and the stand-in runs, each with PostgreSQL's spelling. What is not here is refused by name.

Source: Redshift guide, "SQL functions reference". Functions that differ in PostgreSQL live in schema `standin` (bootstrap.sql)."""

from dataclasses import dataclass

from devstack.redshift.refusal import SqlError, not_implemented

MANY = 100


@dataclass(frozen=True, slots=True)
class Function:
    """PostgreSQL's template: `{0}` is the first argument, `{args}` all of them. `arguments` is the inclusive range allowed."""

    template: str
    arguments: tuple[int, int]
    aggregate: bool = False
    window: bool = False

    def call(self, name: str, arguments: list[str]) -> str:
        low, high = self.arguments
        if not low <= len(arguments) <= high:
            raise SqlError(f"function {name.lower()} does not take {len(arguments)} arguments", "42883")
        return self.template.format(*arguments, args=", ".join(arguments))


def same(names: str, low: int, high: int) -> dict[str, Function]:
    return {name: Function(f"pg_catalog.{name.lower()}({{args}})", (low, high)) for name in names.split()}


def special(**templates: tuple[str, int, int]) -> dict[str, Function]:
    return {name: Function(template, (low, high)) for name, (template, low, high) in templates.items()}


SCALAR: dict[str, Function] = {
    **same("ABS CEIL CEILING FLOOR SIGN EXP LN LOG SQRT RADIANS DEGREES SIN COS TAN", 1, 1),
    **same("MOD POWER REPEAT LEFT RIGHT", 2, 2),
    **same("ROUND TRUNC", 1, 2),
    **same("RANDOM PG_BACKEND_PID", 0, 0),
    **same("CURRENT_DATABASE CURRENT_SCHEMA", 0, 0),
    **same("PG_TERMINATE_BACKEND PG_CANCEL_BACKEND", 1, 1),
    **same("HAS_TABLE_PRIVILEGE HAS_SCHEMA_PRIVILEGE", 2, 3),
    **same("UPPER LOWER INITCAP REVERSE ASCII CHR MD5 OCTET_LENGTH", 1, 1),
    **same("LPAD RPAD", 2, 3),
    **same("LTRIM RTRIM BTRIM", 1, 2),
    **same("REPLACE TRANSLATE SPLIT_PART", 3, 3),
    **same("SUBSTR", 2, 3),
    **same("STRPOS", 2, 2),
    **same("TO_CHAR TO_DATE TO_NUMBER TO_TIMESTAMP", 2, 2),
    **special(
        COALESCE=("coalesce({args})", 1, MANY),
        NVL=("coalesce({args})", 1, MANY),
        NVL2=("CASE WHEN ({0}) IS NOT NULL THEN {1} ELSE {2} END", 3, 3),
        NULLIF=("nullif({args})", 2, 2),
        GREATEST=("greatest({args})", 1, MANY),
        LEAST=("least({args})", 1, MANY),
        CONCAT=("(({0}) || ({1}))", 2, 2),
        LEN=("pg_catalog.length({0})", 1, 1),
        LENGTH=("pg_catalog.length({0})", 1, 1),
        CHAR_LENGTH=("pg_catalog.length({0})", 1, 1),
        CHARACTER_LENGTH=("pg_catalog.length({0})", 1, 1),
        CHARINDEX=("pg_catalog.strpos({1}, {0})", 2, 2),
        SHA2=("standin.sha2({args})", 2, 2),
        SHA=("standin.sha1({0})", 1, 1),
        SHA1=("standin.sha1({0})", 1, 1),
        FUNC_SHA1=("standin.sha1({0})", 1, 1),
        TO_HEX=("standin.to_hex({0})", 1, 1),
        FROM_HEX=("standin.from_hex({0})", 1, 1),
        TO_VARBYTE=("standin.to_varbyte({args})", 2, 2),
        FROM_VARBYTE=("standin.from_varbyte({args})", 2, 2),
        STRTOL=("standin.strtol({args})", 2, 2),
        GETDATE=("standin.getdate()", 0, 0),
        DATE_TRUNC=("standin.date_trunc({args})", 2, 2),
        DATE=("CAST({0} AS date)", 1, 1),
        LAST_DAY=("standin.last_day({0})", 1, 1),
        ADD_MONTHS=("standin.dateadd('month', {1}, {0})", 2, 2),
        CONVERT_TIMEZONE=("standin.convert_timezone({args})", 2, 3),
        JSON_PARSE=("standin.json_parse({0})", 1, 1),
        JSON_SERIALIZE=("standin.json_serialize({0})", 1, 1),
        IS_VALID_JSON=("standin.is_valid_json({0})", 1, 1),
        CAN_JSON_PARSE=("standin.is_valid_json({0})", 1, 1),
        JSON_TYPEOF=("pg_catalog.jsonb_typeof({0})", 1, 1),
        JSON_EXTRACT_PATH_TEXT=("standin.json_extract_path_text({args})", 2, 6),
        PG_LAST_COPY_COUNT=("standin.pg_last_copy_count()", 0, 0),
        PG_LAST_COPY_ID=("standin.pg_last_copy_id()", 0, 0),
        DB_COLLATION=("CAST('case_sensitive' AS pg_catalog.varchar)", 0, 0),
        VERSION=("standin.version()", 0, 0),
    ),
}
AGGREGATES: dict[str, Function] = {
    name: Function(f"pg_catalog.{name.lower()}({{args}})", (1, 1), aggregate=True)
    for name in ["COUNT", "SUM", "MIN", "MAX", "STDDEV", "STDDEV_SAMP", "STDDEV_POP", "VARIANCE", "BOOL_AND", "BOOL_OR"]
}
WINDOW: dict[str, Function] = {
    name: Function(f"pg_catalog.{name.lower()}({{args}})", (low, high), window=True)
    for name, low, high in (
        ("ROW_NUMBER", 0, 0), ("RANK", 0, 0), ("DENSE_RANK", 0, 0), ("PERCENT_RANK", 0, 0), ("CUME_DIST", 0, 0), ("NTILE", 1, 1),
        ("LAG", 1, 2), ("LEAD", 1, 2), ("FIRST_VALUE", 1, 1), ("LAST_VALUE", 1, 1), ("NTH_VALUE", 2, 2),
    )
}  # fmt: skip
COPY_HISTORY = frozenset(["PG_LAST_COPY_COUNT", "PG_LAST_COPY_ID"])


def function(name: str) -> Function:
    """The function called `name` (in capitals). Raises SqlError 0A000 for what is not on the list."""
    found = SCALAR.get(name) or AGGREGATES.get(name) or WINDOW.get(name)
    if found is None:
        raise not_implemented(f"function {name.lower()}()")
    return found
