"""How changes are collected: by the native kernel where it was built, else the readable way."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

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
    native, because = kernel.choose("loader.decoder", wanted)
    if native:
        return Reader("kernel", import_module("loader.core.kernel").collect)
    return replace(PYTHON, because=because) if because else PYTHON
