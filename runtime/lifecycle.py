"""Start and stop of a process: signals become a request to stop, errors become exit codes."""

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from contracts.errors import PipelineError
from runtime import crash
from runtime.crash import crash_point, crash_points
from runtime.logs import escape

__all__ = ["STOP_PATIENCE_SECONDS", "Stop", "crash_point", "crash_points", "run"]

STOP_PATIENCE_SECONDS = 10.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether someone asked this process to stop. The loop asks between two steps and finishes the one it is in."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        self._event.set()

    def requested(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        """Sleeps until asked to stop; True when it was."""
        return self._event.wait(timeout_seconds)


def run(main: Callable[[Stop], int]) -> int:
    """Runs `main` to its exit code. SIGTERM or SIGINT asks it to stop; a second one, or ten seconds without obeying, ends the process at
    once with 1: whatever it was doing is safe to be cut off. A PipelineError is one log line, one line on stderr, and its class's exit
    code."""
    log = structlog.get_logger()
    try:
        crash.validate()
        with _signals() as stop:
            code = main(stop)
            sys.stdout.flush()  # here, where somebody notices that nobody reads it
            return code
    except PipelineError as error:
        fields = {f"{name}_" if name in {"event", "error", "message"} else name: value for name, value in error.fields.items()}
        if structlog.is_configured():  # a fault in the settings comes before there is a log
            log.error("process.failed", error=type(error).__name__, message=error.message, **fields)
        print(f"{type(error).__name__}: " + "\n".join(map(escape, error.message.split("\n"))), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        log.exception("process.crashed", error=type(error).__name__)
        print(f"bug: {type(error).__name__}: {escape(str(error))}; the log holds its traceback", file=sys.stderr)
        return 1


@contextmanager
def _signals() -> Iterator[Stop]:
    """Signals seen at once, also while the main thread sits in a C library: Python runs a handler only between two bytecodes of the main
    thread, but writes the signal's number to the wake-up socket immediately, and a thread waits there."""
    stop = Stop()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    wakeup_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        while received := ours.recv(1):
            if received[0] not in _SIGNALS:
                continue
            if stop.requested():
                _end("second signal")
            stop.request()
            deadline = threading.Timer(STOP_PATIENCE_SECONDS, _end, [f"not stopped within {STOP_PATIENCE_SECONDS:.0f} s"])
            deadline.daemon = True
            deadline.start()

    threading.Thread(target=watch, name="signals", daemon=True).start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        theirs.close()


def _end(reason: str) -> None:
    frames = sys._current_frames().get(threading.main_thread().ident or 0)
    where = "".join(traceback.format_stack(frames)[-3:]) if frames else ""
    os.write(2, f"ended hard: {reason}; the main thread was at\n{where}".encode())
    os._exit(1)
