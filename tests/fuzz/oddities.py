"""Statements of odd syntax: DDL on tables nobody captures, DDL that leaves rows alone, and other ways to write the same."""

from random import Random

from tests.fuzz.tables import Table


def spelled(sql: str, random: Random) -> str:
    """The same statement with a comment, another blank or a mark behind it."""
    way = random.randrange(12)
    verb, _, rest = sql.partition(" ")
    if way == 0:
        return f"/* a; DROP TABLE t0; */ {sql}"
    if way == 1:
        return f"{verb}\n\t/* RENAME TO x */ {rest}"
    if way == 2:
        return f"-- TRUNCATE t0\n{sql}"
    if way == 3:
        return f"{verb.lower()} {rest} # , DROP COLUMN a"
    if way == 4:
        return f"/*!50000 {verb} */ {rest}"
    return sql


def odd_elsewhere(database: str, number: int, random: Random) -> list[str]:
    """DDL in a database nobody captures, on objects of their own names."""
    name = f"`{database}`.`odd``{number}`"
    routine = f"`{database}`.`r{number}`"
    every = (
        [
            f"CREATE TABLE {name} (`a.b` INT, `select` POINT NOT NULL SRID 4326, SPATIAL INDEX (`select`))",
            f"DROP TABLES IF EXISTS {name}, ` t0`",
        ],
        [
            f"CREATE TABLE {name} (a INT CHECK (a > 0), b INT DEFAULT (1 + (2)), INDEX ((a + 1)), KEY k (b DESC))",
            f"ALTER TABLE {name} ADD CONSTRAINT c CHECK (b <> 5) NOT ENFORCED, RENAME KEY k TO l",
            f"ALTER TABLE {name} DISABLE KEYS, ALTER b SET DEFAULT 7, COMMENT 'RENAME TO t0', ORDER BY a",
        ],
        [
            f"CREATE PROCEDURE {routine}() BEGIN TRUNCATE t0; DROP TABLE t1; RENAME TABLE t0 TO t1; END",
            f"DROP PROCEDURE {routine}",
        ],
        [
            f"CREATE OR REPLACE ALGORITHM=MERGE DEFINER=CURRENT_USER SQL SECURITY INVOKER VIEW {routine} AS SELECT 1 AS a",
            f"DROP VIEW {routine}",
        ],
        [
            f"CREATE EVENT {routine} ON SCHEDULE EVERY 1 YEAR DO TRUNCATE TABLE t0",
            f"ALTER EVENT {routine} DISABLE",
            f"DROP EVENT {routine}",
        ],
        ["CREATE TEMPORARY TABLE hidden (id INT) AS SELECT 5 AS id", "ALTER TABLE hidden ADD COLUMN b INT", "DROP TEMPORARY TABLE hidden"],
        [
            f"CREATE TABLE {name} (id INT PRIMARY KEY) PARTITION BY KEY (id) PARTITIONS 3",
            f"ALTER TABLE {name} COALESCE PARTITION 1",
            f"ALTER TABLE {name} REBUILD PARTITION ALL",
            f"DROP TABLE {name} CASCADE",
        ],
        [
            f"CREATE SCHEMA `{database}-{number}`",
            f"ALTER SCHEMA `{database}-{number}` CHARACTER SET = latin1",
            f"DROP SCHEMA `{database}-{number}`",
        ],
    )
    return list(random.choice(every))


def odd_here(table: Table, random: Random) -> list[str]:
    """DDL on a captured table whose rows stay as they are."""
    name, id = table.quoted, table.id.quoted
    ways = [
        [f"CREATE INDEX `ix` ON {name} ({id})", f"ALTER TABLE {name} DROP INDEX ix"],
        [f"ALTER TABLE {name} ADD KEY ix ({id}), COMMENT = 'DROP COLUMN a, RENAME TO b'", f"DROP INDEX ix ON {name}"],
        [f"ALTER TABLE {name} ENGINE = InnoDB, ROW_FORMAT = DYNAMIC"],
        [f"ALTER TABLE {name} ADD CONSTRAINT `drop` CHECK ({id} <> 12345678)", f"ALTER TABLE {name} DROP CHECK `drop`"],
        [f"ANALYZE TABLE {name}"],
        [f"OPTIMIZE TABLE {name}"],
        ["DROP TABLE IF EXISTS nowhere, `never was`"],
        [table.create(if_not_exists=True)],
    ]
    return list(random.choice(ways))
