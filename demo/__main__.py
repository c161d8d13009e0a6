"""`python -m demo [--keep] [--seed N]`: exit 0 when every row is equal, 1 with what differs."""

import argparse
import shlex
import shutil
import sys
from pathlib import Path

import redshift_connector
from rich.console import Console

from contracts.errors import PipelineError
from demo.shop import Shop
from demo.story import Failed, Story, print_summary
from devstack.pipeline import BUCKET, Pipeline, running_pipeline, stop_kept
from devstack.stack import Stack, running_stack

DIRECTORY = Path(".devstack/demo")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave servers and services running, and say how to look at them")
    parser.add_argument("--down", action="store_true", help="stop and remove what --keep left")
    parser.add_argument("--seed", type=int, default=7, help="of the shop's traffic (default 7)")
    arguments = parser.parse_args()
    console = Console()
    try:
        _clear()
        if arguments.down:
            return 0
        if not arguments.keep:
            with running_stack(DIRECTORY) as stack:
                return _play(stack, arguments.seed, False, console)
        stack = Stack.plan(DIRECTORY, outlive=True)
        stack.up()
        return _play(stack, arguments.seed, True, console)
    except PipelineError as error:
        console.print(f"[red]{error.message}[/red]", highlight=False)
        return error.exit_code


def _clear() -> None:
    """Nothing of an earlier run is left: not its services, servers or files."""
    stop_kept(DIRECTORY / "pipeline")
    if (DIRECTORY / "stack.json").exists():
        Stack.attach(DIRECTORY).down()
    shutil.rmtree(DIRECTORY, ignore_errors=True)


def _play(stack: Stack, seed: int, keep: bool, console: Console) -> int:
    with stack.mysql.connect() as source, running_pipeline(stack, DIRECTORY / "pipeline", keep=keep) as pipeline:
        shop = Shop(source, seed)
        shop.create()
        shop.fill(customers=500, products=200)
        redshift = stack.redshift
        warehouse = redshift_connector.connect(
            host=redshift.host, port=redshift.port, database=redshift.database, user=redshift.user, password=redshift.password, ssl=False
        )
        warehouse.autocommit = True
        try:
            outcome = Story(pipeline, shop, warehouse, console).play()
        except Failed as error:
            console.print(f"\n[bold red]Failed:[/bold red] {error}", highlight=False, markup=True)
            return 1
        print_summary(outcome, console)
    if keep:
        _say_how_to_look(stack, pipeline, console)
    return 0


def _say_how_to_look(stack: Stack, pipeline: Pipeline, console: Console) -> None:
    mysql, redshift, s3 = stack.mysql, stack.redshift, stack.s3
    console.print(
        f"""
Everything goes on running. Look at it:
  MySQL      {shlex.join(mysql.command("mysql", "shop"))}
  warehouse  PGPASSWORD={redshift.password} psql -h {redshift.host} -p {redshift.port} -U {redshift.user} {redshift.database}
             or, without psql: .venv/bin/python -m devstack sql --dir {DIRECTORY} "SELECT * FROM tidemark.watermarks"
  bucket     AWS_ACCESS_KEY_ID={s3.access_key} AWS_SECRET_ACCESS_KEY={s3.secret_key} aws --endpoint-url {s3.endpoint_url} s3 ls --recursive s3://{BUCKET}
  commands   export TIDEMARK_CONFIG={pipeline.config_path.absolute()}
             .venv/bin/janitor list -t shop.orders
Stop it with: make down""",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
