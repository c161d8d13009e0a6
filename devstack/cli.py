"""The command line: up, down, status, env, sql, doctor."""

import argparse
import json
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contracts.errors import Invalid, PipelineError
from devstack.compose import docker_answers
from devstack.prerequisites import inspect_host, missing
from devstack.stack import SERVERS, Stack

EXAMPLES = """\
examples:
  python -m devstack up                        all servers, in .devstack/, until `down`
  python -m devstack up --only mysql,kafka     some of them
  python -m devstack up --port mysql=3306      a port of your choice
  eval "$(python -m devstack env)"             point the services at it
  python -m devstack sql "SELECT 1"            one statement on the warehouse
  python -m devstack down                      stop everything and remove its data

Exit codes: 0 done (status: all up), 1 failed (status: something is down), 2 something is missing on this host or misspelt.
TIDEMARK_STACK=native keeps a Docker engine out of it; TIDEMARK_STACK=docker insists on one."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m devstack", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="{up,down,status,env,sql,doctor}")
    for verb, about in (
        ("up", "start the stack and leave it running"),
        ("down", "stop it and remove what it wrote"),
        ("status", "each server, up or down, with its endpoint"),
        ("env", "the variables that point the services at it"),
        ("sql", "run one statement on the warehouse and show its rows"),
        ("doctor", "what this host lacks, and the command that installs it"),
    ):
        sub = verbs.add_parser(verb, help=about, description=about)
        sub.add_argument("--dir", type=Path, default=Path(".devstack"), help="where the stack keeps its state (default: .devstack)")
        if verb in ("up", "doctor"):
            sub.add_argument("--only", type=_servers, default=SERVERS, metavar="A,B", help=f"of {', '.join(SERVERS)}")
        if verb == "up":
            sub.add_argument("--port", type=_port, action="append", default=[], metavar="SERVER=PORT", help="else a free one is chosen")
        if verb == "down":
            sub.add_argument("--keep", action="store_true", help="stop, but leave the data for the next `up`")
        if verb == "sql":
            sub.add_argument("statement")
        elif verb != "down":
            sub.add_argument("--json", action="store_true", help="the answer as JSON on stdout")
    return top


def _servers(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in SERVERS:
            raise argparse.ArgumentTypeError(f"no server is called {name!r}; there are {', '.join(SERVERS)}")
    return names


def _port(text: str) -> tuple[str, int]:
    name, _, port = text.partition("=")
    if name not in SERVERS or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not SERVER=PORT with a server of {', '.join(SERVERS)}")
    return name, int(port)


def main(arguments: list[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    try:
        return {"up": _up, "down": _down, "status": _status, "env": _env, "sql": _sql, "doctor": _doctor}[chosen.verb](chosen)
    except PipelineError as error:
        print(f"devstack: {error.message}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def describe(stack: Stack) -> dict[str, dict[str, object]]:
    """Each server of the stack: alive, answering, endpoint, log."""
    endpoints = {
        "mysql": lambda: f"{stack.mysql.user}@{stack.mysql.host}:{stack.mysql.port}",
        "kafka": lambda: stack.kafka.bootstrap_servers,
        "s3": lambda: stack.s3.endpoint_url,
        "redshift": lambda: f"{stack.redshift.user}@{stack.redshift.host}:{stack.redshift.port}/{stack.redshift.database}",
    }
    answer: dict[str, dict[str, object]] = {}
    for name, server in stack.servers.items():
        up = server.alive() and server.answers()
        answer[name] = {"up": up, "endpoint": endpoints[name](), "log": str(stack.directory / name / "log")}
    return answer


def _up(chosen: argparse.Namespace) -> int:
    stack = Stack.plan(chosen.dir, chosen.only, outlive=True, ports=dict(chosen.port))
    stack.up()
    return _print_status(stack, chosen.json)


def _down(chosen: argparse.Namespace) -> int:
    if not (chosen.dir / "stack.json").exists():
        print(f"nothing runs in {chosen.dir}")
        return 0
    Stack.attach(chosen.dir).down(keep=chosen.keep)
    print("everything is stopped" + ("; its data is kept" if chosen.keep else " and removed"))
    return 0


def _status(chosen: argparse.Namespace) -> int:
    return _print_status(Stack.attach(chosen.dir), chosen.json)


def _print_status(stack: Stack, as_json: bool) -> int:
    answer = describe(stack)
    if as_json:
        print(json.dumps({"engine": stack.engine, "directory": str(stack.directory), "servers": answer}, indent=2))
    else:
        for name, server in answer.items():
            print(f"{name:<9} {'up  ' if server['up'] else 'down'} {server['endpoint']}")
    return 0 if all(server["up"] for server in answer.values()) else 1


def _env(chosen: argparse.Namespace) -> int:
    environment = Stack.attach(chosen.dir).environment()
    if chosen.json:
        print(json.dumps(environment, indent=2))
    else:
        for name, value in environment.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0


def _sql(chosen: argparse.Namespace) -> int:
    """One statement on the warehouse, its rows as a table: for looking without a client of one's own."""
    with Stack.attach(chosen.dir).redshift.connect(ssl=False) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(chosen.statement)
        if cursor.description is None:
            return 0
        table = Table(*(column[0] for column in cursor.description))
        for row in cursor.fetchall():
            table.add_row(*("NULL" if value is None else str(value) for value in row))
    Console().print(table, markup=False, highlight=False)
    return 0


def _doctor(chosen: argparse.Namespace) -> int:
    lacking = missing(inspect_host(), chosen.only)
    if chosen.json:
        items = [{"name": m.name, "wanted_for": m.wanted_for, "fix": m.fix, "automatic": m.automatic} for m in lacking]
        print(json.dumps({"docker": docker_answers(), "missing": items}, indent=2))
    elif lacking:
        print("\n".join(str(item) for item in lacking))
    else:
        print("nothing is missing; `python -m devstack up` starts the stack")
    if by_hand := [item for item in lacking if not item.automatic]:
        raise Invalid(f"{len(by_hand)} thing(s) to install first")
    return 0
