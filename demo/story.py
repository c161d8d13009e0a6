"""The demo's acts, in order: traffic, a loader killed between upload and commit, its orphans shown and removed, every row compared."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from redshift_connector.core import Connection
from rich.console import Console

from demo.gauges import Gauges, Reading, read
from demo.shop import TABLES, Shop
from devstack.pipeline import BUCKET, Pipeline, Service

TRAFFIC = timedelta(seconds=16)
SETTLED = timedelta(seconds=40)  # longest wait for the warehouse to take over the last transaction
CRASH = "loader.stage.before:4"  # data and manifests are in the bucket, nothing of them is in the warehouse


class Failed(Exception):
    """The demo did not show what it promises; the message says what."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of the closing summary."""

    transactions: int
    row_changes: int
    records: int
    batches: int
    orphans: int
    rows_compared: int
    elapsed_s: float


class Story:
    def __init__(self, pipeline: Pipeline, shop: Shop, warehouse: Connection, console: Console) -> None:
        self._pipeline = pipeline
        self._shop = shop
        self._warehouse = warehouse
        self._console = console
        self._started = time.monotonic()

    def play(self) -> Outcome:
        """Raises Failed."""
        self._say("Streamer and loader start; a small shop opens: " + ", ".join(TABLES))
        self._pipeline.start("streamer")
        loader = self._pipeline.start("loader", crash=CRASH)
        stop = threading.Event()
        traffic = threading.Thread(target=self._trade, args=(stop,), daemon=True)
        traffic.start()
        try:
            loader = self._watch(loader)
        finally:
            stop.set()
            traffic.join()
        reading = self._settle(loader)
        orphans = self._clean_up()
        compared = self._compare()
        counts = self._shop.counts
        elapsed = time.monotonic() - self._started
        return Outcome(counts.transactions, counts.rows, reading.records, reading.batches, orphans, compared, elapsed)

    def _trade(self, stop: threading.Event) -> None:
        while not stop.wait(0.004):
            self._shop.act()

    def _watch(self, loader: Service) -> Service:
        """Shows the figures until the traffic's time is over; when the loader has died at its crash point, starts another."""
        killed = False
        until = time.monotonic() + TRAFFIC.total_seconds()
        with Gauges(self._console) as gauges:
            while time.monotonic() < until or not killed:
                if time.monotonic() > until + SETTLED.total_seconds():
                    raise Failed(f"the loader never reached {CRASH}; its log ends:\n{loader.tail()}")
                gauges.show(self._shop.counts, read(self._warehouse), "running", datetime.now(UTC))
                if not killed and not loader.running():
                    if loader.process.returncode != -9:
                        raise Failed(f"the loader ended with exit code {loader.process.returncode}; its log ends:\n{loader.tail()}")
                    killed = True
                    self._say("SIGKILL: the loader died between upload and commit. Another one takes over")
                    loader = self._pipeline.start("loader")
                self._must_run("streamer")
                time.sleep(0.2)
        return loader

    def _settle(self, loader: Service) -> Reading:
        """Waits until the warehouse holds every transaction MySQL has committed."""
        self._say("The shop closes; the last rows go through")
        with self._pipeline.stack.mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)")
            (closed_us,) = cursor.fetchone() or (0,)
        with Gauges(self._console) as gauges:
            deadline = time.monotonic() + SETTLED.total_seconds()
            while (reading := read(self._warehouse)).complete_up_to_us < closed_us:
                gauges.show(self._shop.counts, reading, "running", datetime.now(UTC))
                self._must_run("streamer")
                if not loader.running() or time.monotonic() > deadline:
                    raise Failed(f"the loader did not catch up; its log ends:\n{loader.tail()}")
                time.sleep(0.2)
        return reading

    def _clean_up(self) -> int:
        """The janitor shows and removes exactly what was interrupted: what the bucket holds and the ledger does not."""
        interrupted = self._unloaded()
        if not interrupted:
            raise Failed("the killed loader left nothing in the bucket: it was not killed between upload and commit")
        table = next(name for name in TABLES if any(f"shop.shop.{name}/" in key for key in interrupted))
        self._show("janitor", "orphans", "-t", f"shop.{table}", expect=4)
        self._show("janitor", "orphans", "-t", f"shop.{table}", "--all", expect=0)
        left = self._unloaded()
        if left != {key for key in interrupted if f"shop.shop.{table}/" not in key}:
            raise Failed(f"janitor orphans -t shop.{table} --all should have removed that table's orphans only; left: {sorted(left)}")
        if left:
            self._show("janitor", "orphans", "--all-tables", "--all", expect=0)
        if left := self._unloaded():
            raise Failed(f"orphans are left in the bucket: {sorted(left)}")
        return len({_stem(key) for key in interrupted})

    def _compare(self) -> int:
        """Every row of every table, by the auditor."""
        self._say("Every row of every table is compared")
        verify = ("auditor", "verify", *(f"--table=shop.{name}" for name in TABLES))
        done = self._pipeline.run(*verify, "--json")
        if done.returncode != 0:
            shown = self._pipeline.run(*verify)  # the differing rows, for people
            raise Failed(f"MySQL and the warehouse differ\n{shown.stdout}\n{done.stderr}")
        verdicts = orjson.loads(done.stdout)
        for verdict in verdicts:
            line = f"  {verdict['table']}: {verdict['source_rows']:,} rows in MySQL, {verdict['warehouse_rows']:,} in the warehouse: equal"
            self._console.print(line, highlight=False, soft_wrap=True)
        return sum(int(verdict["source_rows"]) for verdict in verdicts)

    def _unloaded(self) -> set[str]:
        """Keys in the bucket that belong to no ledger batch, worked out here and not by the janitor."""
        cursor = self._warehouse.cursor()
        cursor.execute("SELECT manifest_key FROM tidemark.ledger")
        loaded = {_stem(str(row[0])) for row in cursor.fetchall()}
        pages = self._pipeline.stack.s3.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {item["Key"] for page in pages for item in page.get("Contents", []) if _stem(item["Key"]) not in loaded}

    def _show(self, *command: str, expect: int) -> None:
        done = self._pipeline.run(*command)
        self._console.print(f"[dim]$ {' '.join(command)}[/dim]", highlight=False)
        self._console.print(done.stdout.rstrip(), highlight=False, soft_wrap=True)
        if done.returncode != expect:
            raise Failed(f"{' '.join(command)} returned {done.returncode}, not {expect}\n{done.stderr}")

    def _must_run(self, name: str) -> None:
        for service in self._pipeline.services:
            if service.name == name and not service.running():
                raise Failed(f"the {name} ended with exit code {service.process.returncode}; its log ends:\n{service.tail()}")

    def _say(self, text: str) -> None:
        self._console.print(f"[bold green]•[/bold green] {text}", highlight=False, soft_wrap=True)


def _stem(key: str) -> str:
    """What the two objects of one attempt share: the last part of the key without its suffix."""
    return key.rpartition("/")[2].rpartition(".")[0]


def print_summary(outcome: Outcome, console: Console) -> None:
    console.print(
        f"\n[bold]Equal.[/bold] {outcome.rows_compared:,} rows in {len(TABLES)} tables are the same in MySQL and in the warehouse,\n"
        f"after {outcome.transactions:,} transactions ({outcome.row_changes:,} row changes), {outcome.records:,} changes loaded in "
        f"{outcome.batches:,} batches,\none SIGKILL between upload and commit, {outcome.orphans} orphaned batches found, proven and "
        f"removed. {outcome.elapsed_s:.0f} s.",
        highlight=False,
        soft_wrap=True,
    )
