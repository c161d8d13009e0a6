"""The cases. References are pages of the Amazon Redshift Database Developer Guide by their file names."""

from tests.conformance.case import Case, Count, Done, Refused, Rows

T = "CREATE TABLE {s}.t (id BIGINT NOT NULL, v VARCHAR(4))"
TWO = "INSERT INTO {s}.t VALUES (1, 'a'), (2, 'b')"
STAGE = "CREATE TEMP TABLE stage (LIKE {s}.t)"
LENGTH = "SELECT character_maximum_length FROM svv_columns WHERE table_schema = '{s}'"
INSERT = "WHEN NOT MATCHED THEN INSERT VALUES (stage.id, stage.v)"
MERGE = f"MERGE INTO {{s}}.t USING stage ON {{s}}.t.id = stage.id WHEN MATCHED THEN UPDATE SET v = stage.v {INSERT}"
LOADED = "SELECT id, v FROM {s}.t ORDER BY id"


STATEMENTS: tuple[Case, ...] = (
    # names
    Case("quoted names fold to lower case", "r_names", (T, TWO, 'SELECT "ID" FROM "{s}"."T" ORDER BY 1'), Rows([[1], [2]])),
    Case("columns that differ in case collide", "r_names", ('CREATE TABLE {s}.t ("a" INT, "A" INT)',), Refused("42701")),
    Case(
        "a name of more than 63 bytes is kept whole",
        "r_names",
        (f"CREATE TABLE {{s}}.t ({'c' * 100} INT)", "SELECT column_name FROM svv_columns WHERE table_schema = '{s}'"),
        Rows([["c" * 100]]),
    ),
    Case("a database compares text by case", "r_DB_COLLATION", ("SELECT db_collation()",), Rows([["case_sensitive"]])),
    Case("a reserved word is no name", "r_pg_keywords", ("CREATE TABLE {s}.t (tag INT)",), Refused("42601")),
    Case("a reserved word in quotes is", "r_pg_keywords", ('CREATE TABLE {s}.t ("tag" INT)',), Done()),
    # types
    Case(
        "VARCHAR counts bytes",
        "r_Character_types",
        (T, "INSERT INTO {s}.t VALUES (1, 'ééé')"),
        Refused("22001", "value too long for type character varying(4)"),
    ),
    Case("VARCHAR takes what fits in bytes", "r_Character_types", (T, "INSERT INTO {s}.t VALUES (1, 'éé')"), Count(1)),
    Case("VARCHAR has at most 65535 bytes", "r_Character_types", ("CREATE TABLE {s}.t (v VARCHAR(65536))",), Refused()),
    Case("VARCHAR(MAX) is 65535", "r_Character_types", ("CREATE TABLE {s}.t (v VARCHAR(MAX))", LENGTH), Rows([[65535]])),
    Case("TEXT is VARCHAR(256)", "r_Character_types", ("CREATE TABLE {s}.t (v TEXT)", LENGTH), Rows([[256]])),
    Case("CHAR has at most 4096 bytes", "r_Character_types", ("CREATE TABLE {s}.t (v CHAR(4097))",), Refused()),
    Case(
        "CHAR takes single bytes only", "r_Character_types", ("CREATE TABLE {s}.t (v CHAR(4))", "INSERT INTO {s}.t VALUES ('é')"), Refused()
    ),
    Case("DECIMAL has at most 38 digits", "r_Numeric_types201", ("CREATE TABLE {s}.t (d DECIMAL(39, 0))",), Refused()),
    Case("DECIMAL(38, 37) exists", "r_Numeric_types201", ("CREATE TABLE {s}.t (d DECIMAL(38, 37))",), Done()),
    Case("there is no jsonb", "c_unsupported-postgresql-datatypes", ("CREATE TABLE {s}.t (j jsonb)",), Refused()),
    Case("there are no arrays", "c_unsupported-postgresql-datatypes", ("CREATE TABLE {s}.t (a INT[])",), Refused()),
    Case(
        "SUPER keeps parsed JSON",
        "r_SUPER_type",
        ("CREATE TABLE {s}.t (j SUPER)", "INSERT INTO {s}.t SELECT JSON_PARSE('{{\"a\":[1,2]}}')", "SELECT JSON_SERIALIZE(j) FROM {s}.t"),
        Rows([['{"a":[1,2]}']]),
    ),
    Case(
        "a string into SUPER is one string",
        "r_SUPER_type",
        (T, TWO, "CREATE TABLE {s}.u (j SUPER)", "INSERT INTO {s}.u SELECT v FROM {s}.t", "SELECT DISTINCT JSON_TYPEOF(j) FROM {s}.u"),
        Rows([["string"]]),
    ),
    Case("VARBYTE prints as hexadecimal digits", "r_VARBYTE_type", ("SELECT TO_HEX(FROM_HEX('00ff'))",), Rows([["00ff"]])),
    Case("a backslash in a string escapes", "open", (r"SELECT LEN('a\\b')",), Rows([[3]])),
    # keys and physical attributes
    Case(
        "a primary key is not enforced",
        "t_Defining_constraints",
        ("CREATE TABLE {s}.t (id INT NOT NULL, PRIMARY KEY (id))", "INSERT INTO {s}.t VALUES (1), (1)"),
        Count(2),
    ),
    Case("NOT NULL is enforced", "t_Defining_constraints", (T, "INSERT INTO {s}.t (v) VALUES ('a')"), Refused("23502")),
    Case(
        "dist, sort and encoding are kept",
        "r_PG_TABLE_DEF",
        (
            "CREATE TABLE {s}.t (a INT ENCODE az64, b INT ENCODE raw) DISTKEY (a) SORTKEY (b)",
            "SELECT column_name, encoding, distkey, sortkey FROM svv_redshift_columns WHERE schema_name = '{s}' ORDER BY 1",
        ),
        Rows([["a", "az64", True, 0], ["b", "raw", False, 1]]),
    ),
    Case("there are no indexes", "c_unsupported-postgresql-features", (T, "CREATE INDEX i ON {s}.t (id)"), Refused()),
    # ALTER TABLE
    Case("one action a statement", "r_ALTER_TABLE", (T, "ALTER TABLE {s}.t ADD COLUMN a INT, ADD COLUMN b INT"), Refused("42601")),
    Case(
        "a column is added at the end",
        "r_ALTER_TABLE",
        (T, TWO, "ALTER TABLE {s}.t ADD COLUMN a INT DEFAULT 7 ENCODE raw", "SELECT * FROM {s}.t ORDER BY 1"),
        Rows([[1, "a", 7], [2, "b", 7]]),
    ),
    Case("DEFAULT comes before ENCODE", "r_ALTER_TABLE", (T, "ALTER TABLE {s}.t ADD COLUMN a INT ENCODE raw DEFAULT 7"), Refused()),
    Case(
        "a VARCHAR grows",
        "r_ALTER_TABLE",
        (T, "ALTER TABLE {s}.t ALTER COLUMN v TYPE VARCHAR(9)", "INSERT INTO {s}.t VALUES (1, 'abcdefghi')"),
        Count(1),
        autocommit=True,
    ),
    Case("not in a transaction block", "r_ALTER_TABLE", (T, "ALTER TABLE {s}.t ALTER COLUMN v TYPE VARCHAR(9)"), Refused("25001")),
    Case("only VARCHAR changes", "r_ALTER_TABLE", (T, "ALTER TABLE {s}.t ALTER COLUMN id TYPE INT"), Refused(), autocommit=True),
    Case(
        "a column with a DEFAULT does not",
        "r_ALTER_TABLE",
        ("CREATE TABLE {s}.t (v VARCHAR(4) DEFAULT 'x')", "ALTER TABLE {s}.t ALTER COLUMN v TYPE VARCHAR(9)"),
        Refused(),
        autocommit=True,
    ),
    Case(
        "a column of the primary key does not",
        "r_ALTER_TABLE",
        ("CREATE TABLE {s}.t (v VARCHAR(4) NOT NULL, PRIMARY KEY (v))", "ALTER TABLE {s}.t ALTER COLUMN v TYPE VARCHAR(9)"),
        Refused(),
        autocommit=True,
    ),
    Case(
        "a column is renamed",
        "r_ALTER_TABLE",
        (T, TWO, "ALTER TABLE {s}.t RENAME COLUMN v TO w", "SELECT w FROM {s}.t ORDER BY 1"),
        Rows([["a"], ["b"]]),
    ),
    Case(
        "a dist key is not dropped",
        "r_ALTER_TABLE",
        ("CREATE TABLE {s}.t (a INT DISTKEY, b INT)", "ALTER TABLE {s}.t DROP COLUMN a"),
        Refused(),
    ),
    Case(
        "a column of the primary key is not dropped by itself",
        "r_ALTER_TABLE",
        ("CREATE TABLE {s}.t (a INT NOT NULL, b INT, PRIMARY KEY (a))", "ALTER TABLE {s}.t DROP COLUMN a"),
        Refused(),
    ),
    Case(
        "nor is one that a view needs",
        "r_ALTER_TABLE",
        (T, "CREATE VIEW {s}.w AS SELECT v FROM {s}.t", "ALTER TABLE {s}.t DROP COLUMN v"),
        Refused(),
    ),
    Case(
        "a column is replaced within a transaction",
        "r_ALTER_TABLE",
        (
            T,
            TWO,
            "ALTER TABLE {s}.t ADD COLUMN held VARCHAR(12)",
            "UPDATE {s}.t SET held = CAST(id AS VARCHAR(12)) WHERE v = 'a'",
            "ALTER TABLE {s}.t DROP COLUMN id",
            "ALTER TABLE {s}.t RENAME COLUMN held TO id",
            "SELECT id FROM {s}.t ORDER BY v",
        ),
        Rows([["1"], [None]]),
    ),
    # changes
    Case("no ON CONFLICT", "c_unsupported-postgresql-features", (T, "INSERT INTO {s}.t VALUES (1, 'a') ON CONFLICT DO NOTHING"), Refused()),
    Case("no RETURNING", "c_unsupported-postgresql-features", (T, "INSERT INTO {s}.t VALUES (1, 'a') RETURNING id"), Refused()),
    Case(
        "DELETE USING joins a staging table",
        "r_DELETE",
        (T, TWO, STAGE, "INSERT INTO stage VALUES (2, 'x')", "DELETE FROM {s}.t USING stage WHERE {s}.t.id = stage.id"),
        Count(1),
    ),
    Case(
        "UPDATE FROM joins",
        "r_UPDATE",
        (T, TWO, STAGE, "INSERT INTO stage VALUES (2, 'x')", "UPDATE {s}.t SET v = stage.v FROM stage WHERE {s}.t.id = stage.id", LOADED),
        Rows([[1, "a"], [2, "x"]]),
    ),
    Case("a WITH leads a SELECT", "r_WITH_clause", ("WITH x AS (SELECT 1 AS a) SELECT a FROM x",), Rows([[1]])),
    Case(
        "MERGE updates and inserts",
        "r_MERGE",
        (
            T,
            TWO,
            STAGE,
            "INSERT INTO stage VALUES (2, 'x'), (3, 'y')",
            MERGE,
            LOADED,
        ),
        Rows([[1, "a"], [2, "x"], [3, "y"]]),
    ),
    Case(
        "MERGE REMOVE DUPLICATES",
        "r_MERGE",
        (
            T,
            TWO,
            STAGE,
            "INSERT INTO stage VALUES (2, 'x'), (2, 'x')",
            "MERGE INTO {s}.t USING stage ON {s}.t.id = stage.id REMOVE DUPLICATES",
            LOADED,
        ),
        Rows([[1, "a"], [2, "x"]]),
    ),
    Case(
        "MERGE's target takes no alias",
        "r_MERGE",
        (T, STAGE, f"MERGE INTO {{s}}.t AS a USING stage ON a.id = stage.id WHEN MATCHED THEN DELETE {INSERT}"),
        Refused(),
    ),
    Case(
        "MERGE's source is a table",
        "r_MERGE",
        (T, f"MERGE INTO {{s}}.t USING (SELECT 1 AS id, 'a' AS v) stage ON {{s}}.t.id = stage.id WHEN MATCHED THEN DELETE {INSERT}"),
        Refused(),
    ),
    Case(
        "MERGE refuses two matches of one row",
        "r_MERGE",
        (
            T,
            TWO,
            STAGE,
            "INSERT INTO stage VALUES (2, 'x'), (2, 'y')",
            MERGE,
        ),
        Refused(text="Found multiple matches to update the same tuple"),
    ),
    # transactions
    Case(
        "TRUNCATE commits",
        "r_TRUNCATE",
        (
            T,
            TWO,
            "CREATE TABLE {s}.u (a INT)",
            "COMMIT",
            "INSERT INTO {s}.t VALUES (3, 'c')",
            "TRUNCATE {s}.u",
            "ROLLBACK",
            "SELECT COUNT(*) FROM {s}.t",
        ),
        Rows([[3]]),
    ),
    Case(
        "DDL rolls back",
        "c_serial_isolation",
        (T, "COMMIT", "ALTER TABLE {s}.t ADD COLUMN a INT", "ROLLBACK", "SELECT a FROM {s}.t"),
        Refused("42703"),
    ),
    Case("VACUUM stays outside of blocks", "r_VACUUM_command", (T, "VACUUM {s}.t"), Refused("25001")),
    Case("there are no savepoints", "c_unsupported-postgresql-features", ("SAVEPOINT x",), Refused()),
    Case(
        "LOCK takes tables in order",
        "r_LOCK",
        (T, "CREATE TABLE {s}.u (a INT)", "COMMIT", "LOCK {s}.u, {s}.t", "SELECT COUNT(*) FROM {s}.t"),
        Rows([[0]]),
    ),
    # functions
    Case(
        "DATEDIFF counts boundaries", "r_DATEDIFF_function", ("SELECT DATEDIFF(year, '2023-12-31'::DATE, '2024-01-01'::DATE)",), Rows([[1]])
    ),
    Case(
        "DATEADD keeps to the month's end",
        "r_DATEADD_function",
        ("SELECT DATEADD(month, 1, '2023-01-31'::DATE)::DATE::VARCHAR",),
        Rows([["2023-02-28"]]),
    ),
    Case(
        "LISTAGG joins in order",
        "r_LISTAGG",
        (T, TWO, "SELECT LISTAGG(v, '-') WITHIN GROUP (ORDER BY id DESC) FROM {s}.t"),
        Rows([["b-a"]]),
    ),
    Case(
        "ROW_NUMBER numbers",
        "r_WF_ROW_NUMBER",
        (T, TWO, "SELECT id, ROW_NUMBER() OVER (ORDER BY id DESC) FROM {s}.t ORDER BY id"),
        Rows([[1, 2], [2, 1]]),
    ),
    Case("OCTET_LENGTH counts bytes, LEN characters", "r_OCTET_LENGTH", ("SELECT OCTET_LENGTH('é'), LEN('é')",), Rows([[2, 1]])),
    Case(
        "SHA2 is hexadecimal",
        "SHA2",
        ("SELECT SHA2('a', 256)",),
        Rows([["ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"]]),
    ),
    Case(
        "generate_series reads no tables",
        "c_unsupported-postgresql-functions",
        (T, "INSERT INTO {s}.t SELECT g, 'x' FROM generate_series(1, 2) AS g"),
        Refused(),
    ),
    Case(
        "a late-binding view names schemas", "r_CREATE_VIEW", (T, "CREATE VIEW {s}.w AS SELECT id FROM t WITH NO SCHEMA BINDING"), Refused()
    ),
)
