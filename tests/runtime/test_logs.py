import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from runtime import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object_with_service_time_and_level() -> None:
    out = io.StringIO()
    logs.configure("info", "json", "loader", to=out)
    structlog.get_logger().info("batch.committed", topic="shop.shop.orders", rows=3, big=2**70)
    line = json.loads(out.getvalue())
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "batch.committed",
        "topic": "shop.shop.orders",
        "rows": 3,
        "big": str(2**70),
        "level": "info",
        "service": "loader",
    }


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_name_can_neither_forge_a_line_nor_colour_a_terminal(form: str) -> None:
    out = io.StringIO()
    logs.configure("info", form, "loader", to=out)  # type: ignore[arg-type]  # parametrize has plain str
    structlog.get_logger().info("table.parked", table='t"\n{"event":"forged"}\x1b[31m\x9b\u2028\u202e\ud800', more={"k\n": ["\x07"]})
    text = out.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert not any(character in text for character in "\x1b\x9b\x07\u2028\u202e")
    assert r"\x1b" in text.replace("\\\\", "\\")


def test_very_long_text_is_cut() -> None:
    out = io.StringIO()
    logs.configure("info", "json", "loader", to=out)
    structlog.get_logger().info("table.parked", table="x" * 100_000)
    assert len(out.getvalue()) < 5000


def test_lines_below_the_level_are_dropped() -> None:
    out = io.StringIO()
    logs.configure("warning", "json", "loader", to=out)
    structlog.get_logger().info("batch.committed")
    assert out.getvalue() == ""


def test_libraries_debug_lines_never_pass_and_their_warnings_become_json() -> None:
    out = io.StringIO()
    logs.configure("debug", "json", "loader", to=out)
    logging.getLogger("botocore.auth").debug("credentials: hunter2")
    logging.getLogger("botocore.retry").warning("slow down\nplease")
    line = json.loads(out.getvalue())
    assert (line["event"], line["logger"], line["level"]) == ("slow down\\x0aplease", "botocore.retry", "warning")


def test_a_secret_as_a_field_prints_as_stars() -> None:
    out = io.StringIO()
    logs.configure("info", "json", "loader", to=out)
    structlog.get_logger().info("x.y", password=SecretStr("hunter2"))
    assert "hunter2" not in out.getvalue()


def test_a_traceback_is_in_the_line_without_local_values() -> None:
    out = io.StringIO()
    logs.configure("info", "json", "loader", to=out)
    password = "hun" + "ter2"
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        structlog.get_logger().exception("process.crashed")
    assert "RuntimeError: boom" in json.loads(out.getvalue())["exception"]
    assert password not in out.getvalue()
