"""The native kernel: whether it is there, of these sources, and wanted."""

from importlib import import_module

from contracts.errors import Invalid

VERSION = 6
"""Of the bindings: a kernel of another version was built from other sources."""


def choose(setting: str, wanted: str) -> tuple[bool, str]:
    """Whether the kernel runs, and why not where that was left open. `wanted` is what `setting` says: `auto`, the kernel if it is there, or
    one of the two, `kernel` or `python`. Raises Invalid when the kernel is asked for and it is not there."""
    fault = "" if wanted == "python" else _fault()
    if fault and wanted == "kernel":
        raise Invalid(f"{setting} is kernel, but {fault}: install Rust's cargo and install tidemark again, or write auto")
    return wanted != "python" and not fault, f"the kernel cannot be used: {fault}" if fault else ""


def told(name: str, because: str) -> dict[str, str]:
    """What the event `decoder.chosen` says."""
    return {"decoder": name, **({"because": because} if because else {})}


def _fault() -> str:
    """Why the kernel can't be used; empty when it can."""
    try:
        version = getattr(import_module("tidemark_kernel"), "VERSION", 0)
    except ImportError as error:
        return f"it was not built ({error})"
    return "" if version == VERSION else f"it was built from other sources (version {version}, needed is {VERSION})"
