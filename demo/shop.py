"""A small shop: five related tables, and traffic on them that never rests."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pymysql

TABLES = ("customers", "products", "orders", "order_items", "payments")

_DDL = (
    """CREATE TABLE customers (
         id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) NOT NULL, email VARCHAR(200) NOT NULL UNIQUE,
         city VARCHAR(60), active BOOLEAN NOT NULL DEFAULT TRUE, balance DECIMAL(12,2) NOT NULL DEFAULT 0, preferences JSON,
         created_at DATETIME(6) NOT NULL)""",
    """CREATE TABLE products (
         sku VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(120) NOT NULL, category ENUM('book','tool','toy','food') NOT NULL,
         price DECIMAL(10,2) NOT NULL, stock INT NOT NULL, weight_kg FLOAT, updated_at TIMESTAMP(6) NOT NULL)""",
    """CREATE TABLE orders (
         id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT UNSIGNED NOT NULL,
         status ENUM('new','paid','shipped') NOT NULL, total DECIMAL(12,2) NOT NULL, note TEXT, placed_at DATETIME(3) NOT NULL,
         FOREIGN KEY (customer_id) REFERENCES customers (id))""",
    """CREATE TABLE order_items (
         order_id BIGINT NOT NULL, line_no SMALLINT NOT NULL, sku VARCHAR(32) NOT NULL, quantity INT NOT NULL, price DECIMAL(10,2) NOT NULL,
         PRIMARY KEY (order_id, line_no), FOREIGN KEY (order_id) REFERENCES orders (id),
         FOREIGN KEY (sku) REFERENCES products (sku) ON UPDATE CASCADE)""",
    """CREATE TABLE payments (
         id BINARY(16) NOT NULL PRIMARY KEY, order_id BIGINT NOT NULL, amount DECIMAL(12,2) NOT NULL,
         method SET('card','voucher','cash') NOT NULL, paid_at TIMESTAMP(3) NOT NULL,
         FOREIGN KEY (order_id) REFERENCES orders (id))""",
)
_NAMES = ("Ada Lovelace", "Grace Hopper", "José Núñez", "Łucja Żak", "渡辺 健", "Sinéad O'Connor", "Zoë 🦊 Fox", "Иван Петров")
_CITIES = ("London", "Kraków", "東京", "São Paulo", "Nairobi", None)


@dataclass
class Counts:
    """What the traffic has done so far."""

    transactions: int = 0
    rows: int = 0  # row changes as MySQL counts them


class Shop:
    """Traffic of one seeded, single-threaded client. Every call of `act` is one transaction."""

    def __init__(self, connection: "pymysql.Connection[Any]", seed: int, database: str = "shop") -> None:
        self._connection = connection
        self.database = database
        self._random = random.Random(seed)
        self.counts = Counts()
        self._serial = 0
        self._customers: list[int] = []
        self._skus: list[str] = []
        self._open_orders: list[int] = []
        self._actions: list[tuple[int, Callable[[Any], None]]] = [
            (40, self._place_order),
            (25, self._pay),
            (10, self._cancel),
            (10, self._edit_customer),
            (8, self._add_customers),
            (4, self._reprice),
            (3, self._rename_sku),
        ]

    def create(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self.database}")
            self._connection.select_db(self.database)
            for statement in _DDL:
                cursor.execute(statement)

    def fill(self, customers: int, products: int) -> None:
        """The rows the shop opens with."""
        self._transaction(lambda cursor: self._insert_customers(cursor, customers))
        self._transaction(lambda cursor: self._insert_products(cursor, products))

    def act(self) -> None:
        weights = [weight for weight, _ in self._actions]
        self._transaction(self._random.choices(self._actions, weights)[0][1])

    def _transaction(self, work: Callable[[Any], None]) -> None:
        self._connection.begin()
        with self._connection.cursor() as cursor:
            work(cursor)
        self._connection.commit()
        self.counts.transactions += 1

    def _do(self, cursor: Any, sql: str, *args: Any) -> None:
        self.counts.rows += cursor.execute(sql, args)

    def _number(self) -> int:
        self._serial += 1
        return self._serial

    def _now(self) -> datetime:
        return datetime.now(UTC).replace(tzinfo=None)

    def _insert_customers(self, cursor: Any, count: int) -> None:
        for _ in range(count):
            number = self._number()
            preferences = f'{{"newsletter": {self._random.choice(("true", "false"))}, "sizes": [{number % 7}, 1.5], "näme": "x\\"y"}}'
            self._do(
                cursor,
                "INSERT INTO customers (name, email, city, balance, preferences, created_at) VALUES (%s, %s, %s, %s, %s, %s)",
                self._random.choice(_NAMES),
                f"c{number}@example.com",
                self._random.choice(_CITIES),
                self._money(500),
                self._random.choice((preferences, None)),
                self._now(),
            )
            self._customers.append(cursor.lastrowid)

    def _insert_products(self, cursor: Any, count: int) -> None:
        for _ in range(count):
            sku = f"SKU-{self._number():06d}"
            self._do(
                cursor,
                "INSERT INTO products VALUES (%s, %s, %s, %s, %s, %s, %s)",
                sku,
                f"Thing {sku[-3:]} — größer",
                self._random.choice(("book", "tool", "toy", "food")),
                self._money(90),
                10_000,
                self._random.choice((0.1, 1.25, 33.3, None)),
                self._now(),
            )
            self._skus.append(sku)

    def _add_customers(self, cursor: Any) -> None:
        self._insert_customers(cursor, self._random.choice((1, 1, 1, 20)))

    def _place_order(self, cursor: Any) -> None:
        customer = self._random.choice(self._customers)
        note = self._random.choice((None, "", "leave at the door", "x" * 300))
        self._do(
            cursor,
            "INSERT INTO orders (customer_id, status, total, note, placed_at) VALUES (%s, 'new', 0, %s, %s)",
            customer,
            note,
            self._now(),
        )
        order = cursor.lastrowid
        for line, sku in enumerate(self._random.sample(self._skus, self._random.randint(1, 5)), start=1):
            quantity = self._random.randint(1, 4)
            self._do(
                cursor,
                "INSERT INTO order_items SELECT %s, %s, sku, %s, price FROM products WHERE sku = %s",
                order,
                line,
                quantity,
                sku,
            )
            self._do(cursor, "UPDATE products SET stock = stock - %s WHERE sku = %s", quantity, sku)
        self._do(
            cursor,
            "UPDATE orders SET total = (SELECT SUM(price * quantity) FROM order_items WHERE order_id = %s) WHERE id = %s",
            order,
            order,
        )
        self._do(cursor, "UPDATE customers SET balance = balance - 1.25 WHERE id = %s", customer)
        self._open_orders.append(order)

    def _pay(self, cursor: Any) -> None:
        if order := self._take_order():
            payment = UUID(int=self._random.getrandbits(128)).bytes
            self._do(
                cursor,
                "INSERT INTO payments SELECT %s, id, total, %s, %s FROM orders WHERE id = %s",
                payment,
                self._random.choice(("card", "cash", "card,voucher")),
                self._now(),
                order,
            )
            self._do(cursor, "UPDATE orders SET status = 'paid' WHERE id = %s", order)

    def _cancel(self, cursor: Any) -> None:
        if order := self._take_order():
            self._do(cursor, "DELETE FROM order_items WHERE order_id = %s", order)
            self._do(cursor, "DELETE FROM orders WHERE id = %s", order)

    def _edit_customer(self, cursor: Any) -> None:
        self._do(
            cursor,
            "UPDATE customers SET city = %s, active = NOT active WHERE id = %s",
            self._random.choice(_CITIES),
            self._random.choice(self._customers),
        )

    def _reprice(self, cursor: Any) -> None:
        self._do(cursor, "UPDATE products SET price = price + 0.01, updated_at = %s WHERE category = 'toy'", self._now())

    def _rename_sku(self, cursor: Any) -> None:
        """A key change of the product; MySQL carries it into the order lines."""
        old = self._random.choice(self._skus)
        new = f"SKU-{self._number():06d}"
        self._do(cursor, "UPDATE products SET sku = %s WHERE sku = %s", new, old)
        self._skus[self._skus.index(old)] = new

    def _take_order(self) -> int | None:
        if not self._open_orders:
            return None
        return self._open_orders.pop(self._random.randrange(len(self._open_orders)))

    def _money(self, most: int) -> str:
        return f"{self._random.randrange(most * 100) / 100:.2f}"
