"""`auditor verify`: the command line, and the only place that wires settings to real clients."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson

from auditor.core.diff import Key, RowDifference
from auditor.core.withheld import Withheld
from auditor.edges.mysql import MysqlSource
from auditor.edges.redshift import RedshiftWarehouse
from auditor.ports import NotNow, Target
from auditor.service import Auditor, Verdict
from contracts.errors import Invalid, PipelineError, Refused, Unavailable
from contracts.table import TableId
from runtime import command
from runtime.command import ExitCode
from runtime.connect import mysql, redshift
from runtime.lifecycle import Stop, run
from runtime.progress import gauge

EXAMPLES = """
auditor verify                           every table the loader has loaded
auditor verify -t shop.orders            one table; repeat -t for more
auditor verify -t shop.orders --json     one JSON array of verdicts
auditor verify --strict                  exit 4 also for what did not fit and is in quarantine
"""
SHOWN_MAX = 20  # differing rows printed for a table, and as many entries of quarantine; --json holds all


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    return run(lambda stop: _verify(arguments, stop))


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("auditor", "Proves that MySQL and the warehouse hold the same rows, or names those that differ.", EXAMPLES)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verify")
    verify = command.verb(verbs, "verify", "compare every row of tables", EXAMPLES)
    verify.add_argument("-t", "--table", type=command.table, action="append", default=[], metavar="DB.TABLE", help="repeatable")
    verify.add_argument(
        "--patience",
        type=command.duration,
        default=timedelta(minutes=2),
        metavar="DURATION",
        help="how long to wait for the warehouse to take over what MySQL has committed (default 2m)",
    )
    verify.add_argument("--strict", action="store_true", help="end with exit 4 also where the quarantine holds what did not fit")
    command.json_flag(verify, "one JSON array of all verdicts, at the end,")
    return parser


def _verify(arguments: argparse.Namespace, stop: Stop) -> int:
    settings = command.start(arguments, "auditor", os.environ, uses={"mysql", "redshift"}, shows=True)
    keys = {TableId.parse(name): override.key for name, override in settings.tables.override.items() if override.key}
    with mysql.connect(settings.mysql) as source, redshift.connect(settings.redshift, autocommit=True) as target:
        server = MysqlSource(source, keys)
        warehouse = RedshiftWarehouse(target, settings.redshift.schema_, settings.topics)
        auditor = Auditor(server, warehouse, SystemClock(), arguments.patience)
        chosen = auditor.choose(arguments.table, timedelta(seconds=settings.batch.seconds * 2 + 30))
        if not arguments.table:
            chosen = {table: where for table, where in chosen.items() if _is_to_compare(server, table, where)}
        verdicts, faults = _verdicts(auditor, chosen, stop, told=not arguments.json)
    if arguments.json:
        told = [*map(_json, verdicts), *({"table": str(table), "equal": None, "error": fault.message} for table, fault in faults.items())]
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    if any(verdict.different or (arguments.strict and verdict.withheld) for verdict in verdicts):
        return ExitCode.FOUND
    if len(verdicts) + len(faults) < len(chosen):
        return ExitCode.FAILED
    return max((fault.exit_code for fault in faults.values()), default=ExitCode.DONE)


def _is_to_compare(server: MysqlSource, table: TableId, where: Target | None) -> bool:
    """Of all that were loaded. Says why not."""
    if where is not None and where.append:
        print(_append(table), file=sys.stderr)
        return False
    try:
        if server.has(table):
            return True
    except Invalid:
        return True  # comparing it says why it can't be
    print(f"{table} is gone from MySQL; what was loaded of it stays in the warehouse and is not compared", file=sys.stderr)
    return False


def _verdicts(
    auditor: Auditor, chosen: Mapping[TableId, Target | None], stop: Stop, *, told: bool
) -> tuple[list[Verdict], dict[TableId, PipelineError]]:
    """Of each table, or why there is none. A side that does not answer, or does not come to hold what it should, ends it: the next table
    would wait as long again."""
    verdicts: list[Verdict] = []
    faults: dict[TableId, PipelineError] = {}
    for table, where in chosen.items():
        if stop.requested():
            break
        try:
            if where is not None and where.append:
                raise Invalid(_append(table))
            verdicts.append(_compared(auditor, table, where))
        except (Refused, Invalid, Unavailable) as error:
            faults[table] = error
            print(f"{table}: {error.message}", file=sys.stderr)
            if isinstance(error, Unavailable) and not isinstance(error, NotNow):
                break
        else:
            if told:
                print(_line(verdicts[-1]), flush=True)
    return verdicts, faults


def _compared(auditor: Auditor, table: TableId, where: Target | None) -> Verdict:
    with gauge(f"comparing {table}, rows", "verify.progress") as shown:
        return auditor.verify(table, where, lambda rows: shown.at(rows, None))


def _append(table: TableId) -> str:
    return f"{table} is an append table: it holds every event, so its rows are not the source's and cannot be compared with them"


def _line(verdict: Verdict) -> str:
    head = f"{verdict.table}: {verdict.source_rows:,} rows in MySQL, {verdict.warehouse_rows:,} in {verdict.target}"
    told = f"{len(verdict.different):,} DIFFER" if verdict.different else "equal"
    if verdict.withheld:
        told += f"{', besides' if verdict.different else ', but for'} {len(verdict.withheld):,} in quarantine"
    shown = [*_shown([_difference(item) for item in verdict.different]), *_shown([_withheld(item) for item in verdict.withheld])]
    return "\n".join([f"{head}: {told}", *shown])


def _shown(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:SHOWN_MAX])
    if len(lines) > SHOWN_MAX:
        yield f"  … and {len(lines) - SHOWN_MAX:,} more (--json shows all)"


def _withheld(item: Withheld) -> str:
    return f"key {_key(item.key)}: in quarantine, {item.column or 'the row'}: {item.reason}"


def _difference(item: RowDifference) -> str:
    sides = [f"\n    {name}: {_row(row)}" for name, row in (("MySQL", item.source), ("warehouse", item.warehouse)) if row is not None]
    columns = f" in {', '.join(item.columns)}" if item.columns else ""
    return f"key {_key(item.key)}: {item.difference.value}{columns}{''.join(sides)}"


def _key(key: Key) -> str:
    return ", ".join("NULL" if part is None else part for part in key)


def _row(row: Sequence[str | None]) -> str:
    return " | ".join("NULL" if value is None else value if len(value) <= 60 else f"{value[:60]}…" for value in row)


def _json(verdict: Verdict) -> dict[str, Any]:
    return {
        "table": str(verdict.table),
        "target": verdict.target,
        "equal": not verdict.different,
        "source_rows": verdict.source_rows,
        "warehouse_rows": verdict.warehouse_rows,
        "rounds": verdict.rounds,
        "different": [
            {
                "key": item.key,
                "difference": item.difference.value,
                "columns": item.columns,
                "mysql": item.source,
                "warehouse": item.warehouse,
            }
            for item in verdict.different
        ],
        "quarantined": [{"key": item.key, "column": item.column, "reason": item.reason} for item in verdict.withheld],
    }


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, pause: timedelta) -> None:
        time.sleep(pause.total_seconds())
