"""The native kernel, if it is there and of these sources."""

from importlib import import_module

VERSION = 2
"""Of the bindings: a kernel of another version was built from other sources."""


def fault() -> str:
    """Why the kernel can't be used; empty when it can."""
    try:
        version = getattr(import_module("tidemark_kernel"), "VERSION", 0)
    except ImportError as error:
        return f"it was not built ({error})"
    return "" if version == VERSION else f"it was built from other sources (version {version}, needed is {VERSION})"
