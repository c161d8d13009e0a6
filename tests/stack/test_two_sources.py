"""Two MySQL servers with a pipeline each, into one Kafka and one warehouse: apart by prefix and by target schema, and kept apart."""

from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from demo.shop import TABLES, Shop
from devstack.mysql import MysqlServer
from devstack.pipeline import CAPTURE_PASSWORD, CAPTURE_USER, Pipeline, running_pipeline, wait_until
from devstack.stack import Stack
from tests.stack.scenario import logs, traffic

pytestmark = [pytest.mark.stack, pytest.mark.long]

DATABASE = "twosrc"


def settings(name: str, server: MysqlServer, target: str) -> dict[str, object]:
    return {
        "mysql": {"port": server.port},
        "redshift": {"schema": f"tidemark_{name}"},
        "s3": {"prefix": f"lake-{name}"},
        "target": {"schema": target},
    }


def assert_equal(pipeline: Pipeline) -> int:
    tables = [f"--table={DATABASE}.{table}" for table in TABLES]
    done = pipeline.run("auditor", "verify", "--json", "--patience=60s", *tables, timeout_s=120)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs(pipeline)}"
    verdicts = orjson.loads(done.stdout)
    assert {verdict["target"].split(".")[0].strip('"') for verdict in verdicts} == {f"{pipeline.name}_{DATABASE}"}
    return sum(verdict["source_rows"] for verdict in verdicts)


def test_two_servers_share_kafka_and_warehouse_and_never_a_table(stack: Stack, tmp_path: Path) -> None:
    other = MysqlServer(tmp_path / "us", server_id=21, name="mysql-us")
    other.start()
    try:
        other.create_capture_user(CAPTURE_USER, CAPTURE_PASSWORD)
        with ExitStack() as opened:
            pipelines, shops = [], []
            for seed, (name, server) in enumerate((("eu", stack.mysql), ("us", other)), start=1):
                shop = Shop(opened.enter_context(server.connect()), seed, database=DATABASE)
                shop.create()
                shop.fill(customers=20 * seed, products=10)
                options = settings(name, server, f"{name}_{{db}}")
                pipeline = opened.enter_context(
                    running_pipeline(stack, tmp_path / f"{name}-pipeline", name=name, tables=[f"{DATABASE}.*"], settings=options)
                )
                pipeline.start("streamer")
                pipeline.start("loader", f"--instance={name}")
                pipelines.append(pipeline)
                shops.append(shop)
            with traffic(shops[0]), traffic(shops[1]):
                wait_until(lambda: min(shop.counts.transactions for shop in shops) > 300, 60, "no traffic")
            rows = [assert_equal(pipeline) for pipeline in pipelines]
            assert rows[0] != rows[1]
            third = Pipeline(
                stack, tmp_path / "third", name="third", tables=[f"{DATABASE}.*"], settings=settings("third", other, "eu_{db}")
            )
            third.prepare()
            assert third.start("streamer").running()
            loader = third.start("loader", "--instance=third")
            try:
                assert loader.wait(60) == 2
                assert "loaded by another pipeline, whose ledger is in schema tidemark_eu" in loader.tail()
            finally:
                third.stop()
            assert assert_equal(pipelines[1]) == rows[1]
    finally:
        other.stop()
