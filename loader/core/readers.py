"""How changes are collected: by the native kernel where it was built, else the readable way."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from contracts.errors import Invalid
from loader.core.changes import OpenChanges, OpenDecodedChanges
from loader.core.plan import Destination
from runtime import kernel


@dataclass(frozen=True, slots=True)
class Reader:
    """`collect`: given a destination and its first change's seq, what collects its changes. `because`: why it is not the kernel, where
    that was left open; else empty."""

    name: str
    collect: Callable[[Destination, int], OpenChanges]
    because: str = ""


def collect_decoded(_: Destination, __: int) -> OpenChanges:
    return OpenDecodedChanges()


PYTHON = Reader("python", collect_decoded)


def choose(wanted: str) -> Reader:
    """`auto`: the kernel if it is there. Raises Invalid when `kernel` is asked for and it is not."""
    if wanted == "python":
        return PYTHON
    fault = kernel.fault()
    if not fault:
        return Reader("kernel", import_module("loader.core.kernel").collect)
    if wanted == "kernel":
        raise Invalid(f"loader.decoder is kernel, but {fault}: install Rust's cargo and install tidemark again, or write auto")
    return Reader("python", collect_decoded, f"the kernel cannot be used: {fault}")
