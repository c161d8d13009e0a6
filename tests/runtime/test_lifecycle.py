"""Signals and kills are seen from outside: each test runs a process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRELUDE = """
import sys, time, ctypes
from contracts.errors import *
from runtime import lifecycle, logs
from runtime.lifecycle import Stop, run
"""


def start(program: str, **environ: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program],
        cwd=ROOT,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("TIDEMARK")}, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def started(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"


LOOP = """
def main(stop):
    print("started", flush=True)
    while not stop.wait(30):
        pass
    print("drained", flush=True)
    return 0
raise SystemExit(run(main))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_loop_to_stop_and_the_exit_code_is_the_loops(number: signal.Signals) -> None:
    process = start(LOOP)
    started(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "drained\n", "")


STUCK = """
import threading
lifecycle.STOP_PATIENCE_SECONDS = 3600
def main(stop):
    threading.Thread(target=lambda: (stop.wait(60), print("seen", flush=True))).start()
    print("started", flush=True)
    while True:  # a C library that does not come back, as librdkafka's poll
        ctypes.CDLL(None).sem_wait(ctypes.create_string_buffer(64))
raise SystemExit(run(main))
"""


def test_a_stop_is_seen_while_a_c_library_holds_the_main_thread_and_a_second_signal_ends_it_hard() -> None:
    process = start(STUCK)
    started(process)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "seen\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "ended hard: second signal" in err


def test_who_does_not_obey_in_time_is_ended_hard_and_the_place_is_named() -> None:
    process = start(
        "lifecycle.STOP_PATIENCE_SECONDS = 0.2\ndef main(stop):\n  print('started', flush=True)\n  while True: time.sleep(1)\nrun(main)"
    )
    started(process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "not stopped within" in err
    assert "in main" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [("Unavailable", 1), ("Corrupt", 1), ("Fenced", 1), ("OutcomeUnknown", 1), ("Gone", 3), ("Refused", 3), ("Invalid", 2)],
)
def test_an_error_is_one_log_line_one_message_and_its_exit_code(error: str, code: int) -> None:
    process = start(
        "logs.configure('info', 'json', 'loader')\n"
        f"def main(stop): raise {error}('no bucket\\x1bhere', bucket='b', event=1)\n"
        "sys.exit(run(main))"
    )
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert out.count("\n") == 1
    assert '"event":"process.failed"' in out
    assert '"bucket":"b"' in out
    assert err == f"{error}: no bucket\\x1bhere\n"


def test_a_fault_before_there_is_a_log_leaves_stdout_to_the_answer() -> None:
    process = start("def main(stop): raise Invalid('one\\n  two')\nsys.exit(run(main))")
    assert process.communicate(timeout=30) == ("", "Invalid: one\n  two\n")


def test_a_bug_exits_1_with_its_traceback_in_the_log() -> None:
    process = start("logs.configure('info', 'json', 'loader')\ndef main(stop): 1/0\nsys.exit(run(main))")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "ZeroDivisionError" in out
    assert "line" in out
    assert err.startswith("bug: ZeroDivisionError")


POINTS = """
class Port:
    name = "p"
    def put(self, what): print("put", what, flush=True)
    def get(self): return 7
def main(stop):
    port = lifecycle.crash_points(Port(), "loader")
    assert (port.name, port.get()) == ("p", 7)
    for n in range(3): port.put(n)
    lifecycle.crash_point("loader.end")
    return 0
sys.exit(run(main))
"""


@pytest.mark.parametrize(
    ("point", "put", "code"),
    [
        ("loader.put.before", 0, -9),
        ("loader.put.after", 1, -9),
        ("loader.put.before:3", 2, -9),
        ("x,loader.put.after:2", 2, -9),
        ("loader.end", 3, -9),
        ("loader.put.after:4", 3, 0),
        ("", 3, 0),
    ],
)
def test_a_process_dies_at_the_nth_pass_of_its_crash_point(point: str, put: int, code: int) -> None:
    process = start(POINTS, TIDEMARK_CRASH=point, TIDEMARK_TEST="1")
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out.count("put")) == (code, put)


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"TIDEMARK_CRASH": "loader.put.before"}, "TIDEMARK_TEST=1"),
        ({"TIDEMARK_CRASH": "loader.put.before:0", "TIDEMARK_TEST": "1"}, "point:n"),
        ({"TIDEMARK_CRASH": ":3", "TIDEMARK_TEST": "1"}, "point:n"),
    ],
)
def test_a_crash_plan_outside_a_test_or_unreadable_is_refused_before_anything_runs(environ: dict[str, str], complaint: str) -> None:
    process = start(POINTS, **environ)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert complaint in err
    assert "put" not in out.replace("loader.put", "")


@pytest.mark.parametrize("rest", ["while True: print('x' * 70000)", "gone.poll(); print('a line that fits the buffer'); return 0"])
def test_a_closed_pipe_is_no_bug(rest: str) -> None:
    waits = "import select; gone = select.poll(); gone.register(1, 0)"
    process = start(
        f"{waits}\ndef main(stop):\n  print('started', flush=True)\n  {rest}\nsys.exit(run(main))",
        PYTHONUNBUFFERED="",
    )
    started(process)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=30) == 1
    process.stderr.close()
