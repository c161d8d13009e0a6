import argparse
from datetime import timedelta

import pytest

from contracts.table import TableId
from runtime import command


def parser() -> argparse.ArgumentParser:
    out = command.parser("janitor", "Looks after the bucket.", "janitor list -t shop.orders\njanitor")
    out.add_argument("--dry-run", action="store_true")
    out.add_argument("-t", "--table", dest="only", action="append", default=[])
    command.json_flag(out)
    verbs = out.add_subparsers(dest="verb")
    listing = command.verb(verbs, "list", "Lists.", "janitor list -t shop.orders")
    listing.add_argument("-t", dest="table", type=command.table)
    listing.add_argument("--older-than", type=command.duration)
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    return out


def test_help_ends_in_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["list", "--help"]):
        with pytest.raises(SystemExit) as caught:
            parser().parse_args(arguments)
        assert caught.value.code == 0
        text = capsys.readouterr().out
        assert "examples:\n  janitor list -t shop.orders" in text
        assert "4 a showing command found something" in text


def test_common_flags_stand_before_or_after_the_verb() -> None:
    assert parser().parse_args(["--config", "a", "list"]).config == "a"
    assert parser().parse_args(["list", "--config", "a"]).config == "a"


def test_arguments_arrive_as_values() -> None:
    args = parser().parse_args(["list", "-t", "shop.orders", "--older-than", "7d"])
    assert (args.table, args.older_than) == (TableId("shop", "orders"), timedelta(days=7))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["list", "--older-than", "soon"], "write 90s, 15m, 1h or 7d"),
        (["list", "-t", "orders"], "not database.table"),
        (["list", "--older", "7d"], "--older"),
        (["lst"], "choose from"),
    ],
)
def test_bad_usage_exits_2_and_says_what_is_wrong(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "flag"), [("--dry-run list", "--dry-run"), ("-t shop.orders --config a list --json", "-t/--table"), ("--json list", "")]
)
def test_a_flag_in_front_of_a_verb_that_does_not_take_it_is_refused(arguments: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not flag:
        assert command.parse(parser(), arguments.split()).json
        return
    with pytest.raises(SystemExit) as caught:
        command.parse(parser(), arguments.split())
    assert caught.value.code == 2
    assert f"{flag} is for janitor without a verb, and list does not take it" in capsys.readouterr().err


def test_without_a_verb_every_flag_is_taken() -> None:
    args = command.parse(parser(), ["--dry-run", "-t", "shop.orders"])
    assert (args.dry_run, args.only, args.verb) == (True, ["shop.orders"], None)
