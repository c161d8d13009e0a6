"""Transactions of every shape on tables of every kind of key. Each is made from nothing but chance, so that a server that dies in the
middle of one leaves nothing this would have to know."""

import random
from collections.abc import Callable
from typing import Any

import pymysql

DATABASE = "chaos"
ROWS = 3_000
"""Keys are drawn from so many."""
LARGE_ROWS = 4_000
"""Of the largest transaction."""

TABLES = {
    "plain": (
        "id BIGINT PRIMARY KEY, n INT NOT NULL DEFAULT 0, note VARCHAR(60), price DECIMAL(12,4), at DATETIME(6), ratio DOUBLE, bits BIT(9)"
    ),
    "paired": "a INT, b VARCHAR(20) COLLATE utf8mb4_bin, n INT, payload VARBINARY(40), PRIMARY KEY (b, a)",
    "letters": "code VARCHAR(30) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT, doc JSON",
    "parent": "id INT PRIMARY KEY, name TEXT CHARACTER SET latin1",
    "child": "id INT PRIMARY KEY, parent_id INT NOT NULL, n INT, FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE",
    "parted": "id INT PRIMARY KEY, kind ENUM('new','old','lost'), marks SET('a','b','c')",
    "keyless": "n INT, word VARCHAR(60), doc JSON",
    "wide": f"id INT PRIMARY KEY, {', '.join(f'c{n} INT' for n in range(299))}",
    "hostile 'näme`": "id INT UNSIGNED PRIMARY KEY, `select` YEAR, `Größe` TIME(3), `stamp` TIMESTAMP(6) NULL",
}
_AFTER = {"parted": " PARTITION BY HASH(id) PARTITIONS 4"}
TAGS = ("", "nightly")
"""Of the GTIDs."""
_KINDS, _MARKS = ("new", "old", None), ("a", "a,c", "")
_WORDS = ("", "a", "naïve", "日本語", "🦊 fox", "it's", "x" * 50, 'say "no"', "trailing  ")


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def create(connection: "pymysql.Connection[Any]") -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
        cursor.execute(f"USE {DATABASE}")
        for name, columns in TABLES.items():
            cursor.execute(f"CREATE TABLE {quoted(name)} ({columns}){_AFTER.get(name, '')}")


class Workload:
    """One client's transactions. `ddl`: how many ALTERs were run."""

    def __init__(self, connection: "pymysql.Connection[Any]", seed: int) -> None:
        self._connection, self._random = connection, random.Random(seed)
        self.transactions = self.ddl = 0
        self._shapes: list[tuple[int, Callable[[Any], None]]] = [
            (130, self._small),
            (20, self._moves),
            (20, self._undone),
            (15, self._families),
            (10, self._medium),
            (10, self._keyless),
            (6, self._sparse),
            (2, self._large),
            (2, self._emptied),
            (1, self._altered),
        ]

    def act(self) -> None:
        """One transaction; what MySQL refuses of it is rolled back."""
        shapes = [shape for weight, shape in self._shapes for _ in range(weight)]
        with self._connection.cursor() as cursor:
            compressed = self._random.random() < 0.2
            cursor.execute(f"SET SESSION binlog_transaction_compression = {compressed:d}")
            tag = TAGS[self._random.random() < 0.1]
            cursor.execute(f"SET gtid_next = '{f'AUTOMATIC:{tag}' if tag else 'AUTOMATIC'}'")
            try:
                self._random.choice(shapes)(cursor)
                self._connection.commit()
            except (pymysql.err.IntegrityError, pymysql.err.DataError):
                self._connection.rollback()
        self.transactions += 1

    def _key(self) -> int:
        return self._random.randint(1, ROWS)

    def _word(self) -> str:
        return self._random.choice(_WORDS)

    def _small(self, cursor: Any) -> None:
        for _ in range(self._random.randint(1, 8)):
            self._random.choice((self._upsert, self._delete))(cursor)

    def _upsert(self, cursor: Any) -> None:
        key, word, n = self._key(), self._word(), self._random.randint(-(2**31), 2**31 - 1)
        sql, values = self._random.choice(
            (
                (
                    "INSERT INTO plain (id, n, note, price, at, ratio, bits) VALUES (%s, %s, %s, %s, NOW(6), %s, %s)"
                    " ON DUPLICATE KEY UPDATE n = plain.n DIV 2 + 1, note = VALUES(note), at = NOW(6)",
                    (key, n, word, n / 10_000, self._random.uniform(-1e30, 1e30), n % 512),
                ),
                ("REPLACE INTO paired VALUES (%s, %s, %s, %s)", (key % 50, word[:20].strip(), n, self._random.randbytes(key % 41))),
                (
                    "INSERT INTO letters VALUES (%s, %s, JSON_OBJECT('n', %s, 'word', %s)) ON DUPLICATE KEY UPDATE n = VALUES(n)",
                    (f"k{key % 500}", n, n, word),
                ),
                (
                    "REPLACE INTO parted (id, kind, marks) VALUES (%s, %s, %s)",
                    (key, self._random.choice(_KINDS), self._random.choice(_MARKS)),
                ),
                ("INSERT IGNORE INTO wide (id, c0, c150, c298) VALUES (%s, %s, %s, %s)", (key % 200, n, key, None)),
                (
                    "REPLACE INTO `hostile 'näme``` VALUES (%s, %s, %s, NOW(6))",
                    (key, self._random.choice((0, 1901, 2155, None)), f"{'-' * (n < 0)}{key % 838}:59:59.{key % 1000:03}"),
                ),
            )
        )
        cursor.execute(sql, values)

    def _delete(self, cursor: Any) -> None:
        table = self._random.choice(("plain", "parted", "hostile 'näme`", "parent"))
        cursor.execute(f"DELETE FROM {quoted(table)} WHERE id = %s", (self._key(),))

    def _moves(self, cursor: Any) -> None:
        """Keys that change, also into one another's place and in nothing but their letters' case."""
        cursor.execute("UPDATE IGNORE plain SET id = %s, n = n + 1 WHERE id = %s", (self._key(), self._key()))
        turned = "IF(BINARY code = LOWER(code), UPPER(code), LOWER(code))"
        cursor.execute(f"UPDATE letters SET code = {turned} WHERE code = %s", (f"k{self._key() % 500}",))
        cursor.execute("UPDATE IGNORE paired SET a = a + 1 WHERE a = %s ORDER BY a DESC", (self._key() % 50,))

    def _undone(self, cursor: Any) -> None:
        self._upsert(cursor)
        cursor.execute("SAVEPOINT here")
        self._upsert(cursor)
        self._delete(cursor)
        cursor.execute("ROLLBACK TO here")
        self._upsert(cursor)
        if self._random.random() < 0.3:
            self._connection.rollback()

    def _families(self, cursor: Any) -> None:
        parent = self._key() % 300
        cursor.execute("INSERT IGNORE INTO parent VALUES (%s, %s)", (parent, "naïve"))
        for _ in range(self._random.randint(1, 10)):
            cursor.execute("REPLACE INTO child VALUES (%s, %s, %s)", (self._key(), parent, self._key()))
        if self._random.random() < 0.3:
            cursor.execute("DELETE FROM parent WHERE id = %s", (self._key() % 300,))  # and its children, by cascade

    def _medium(self, cursor: Any) -> None:
        low = self._key()
        cursor.execute("UPDATE plain SET n = n DIV 2 + 3, at = NOW(6) WHERE id BETWEEN %s AND %s", (low, low + 400))
        cursor.execute("DELETE FROM parted WHERE id BETWEEN %s AND %s", (low, low + 40))

    def _large(self, cursor: Any) -> None:
        cursor.execute(
            "INSERT INTO plain (id, n, note) WITH RECURSIVE r (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < %s)"
            " SELECT i, i, 'large' FROM r ON DUPLICATE KEY UPDATE n = plain.n + 1",
            (self._random.randint(1_000, LARGE_ROWS),),
        )

    def _keyless(self, cursor: Any) -> None:
        """Rows that nothing tells from one another, twice now and then."""
        row = (self._random.randint(1, 40), self._word(), self._random.choice(("1.5", '{"b": [1, null]}', None)))
        cursor.executemany("INSERT INTO keyless VALUES (%s, %s, %s)", [row] * self._random.randint(1, 2))
        if self._random.random() < 0.6:
            cursor.execute(f"DELETE FROM keyless WHERE n = %s LIMIT {self._random.randint(1, 3)}", (self._random.randint(1, 40),))

    def _sparse(self, cursor: Any) -> None:
        """Of sessions that log no more than they have to, and documents of which only the change is logged."""
        cursor.execute("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
        cursor.execute(
            "UPDATE letters SET doc = JSON_SET(doc, '$.n', %s), n = %s WHERE code < %s", (self._key(), self._key(), f"k{self._key() % 100}")
        )
        cursor.execute("SET SESSION binlog_row_value_options = ''")
        self._connection.commit()
        cursor.execute("SET SESSION binlog_row_image = 'MINIMAL'")
        try:
            cursor.execute("DELETE FROM plain WHERE id = %s", (self._key(),))
            cursor.execute("INSERT IGNORE INTO paired VALUES (%s, 'sparse', %s, NULL)", (self._key() % 50, self._key()))
            self._connection.commit()
        finally:
            cursor.execute("SET SESSION binlog_row_image = 'FULL'")

    def _emptied(self, cursor: Any) -> None:
        if self._random.random() < 0.3:
            cursor.execute(f"TRUNCATE {self._random.choice(('paired', 'parted', 'child', 'keyless'))}")

    def _altered(self, cursor: Any) -> None:
        """A column comes, or the one that came goes."""
        cursor.execute("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = %s AND column_name = 'extra'", (DATABASE,))
        there = cursor.fetchone()[0]
        cursor.execute(f"ALTER TABLE parted {'DROP COLUMN extra' if there else 'ADD COLUMN extra INT NOT NULL DEFAULT 7'}")
        self.ddl += 1
