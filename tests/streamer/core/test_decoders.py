"""Which decoder runs, and what is said when it is not the kernel."""

import sys
from types import ModuleType
from typing import Any

import pytest

from contracts.errors import Invalid
from runtime.kernel import VERSION
from streamer.core import decoders
from streamer.core.packets import PythonPackets
from streamer.core.twin import PythonDecoder
from tests.decoders import needs_kernel


def without_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tidemark_kernel", None)


@needs_kernel
def test_the_kernel_runs_where_it_was_built() -> None:
    chosen = decoders.choose("auto")
    assert (chosen.name, chosen.because) == ("kernel", "")
    parts: list[Any] = [chosen.decoder, chosen.packets, chosen.row_packets, chosen.selected]
    assert {part.__module__ for part in parts} == {"streamer.core.kernel"}
    assert chosen == decoders.choose("kernel")


def test_without_a_kernel_python_decodes_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    without_kernel(monkeypatch)
    chosen = decoders.choose("auto")
    assert (chosen.name, chosen.decoder, chosen.packets) == ("python", PythonDecoder, PythonPackets)
    assert "was not built" in chosen.because


def test_python_is_taken_at_its_word() -> None:
    assert (decoders.choose("python").name, decoders.choose("python").because) == ("python", "")


def test_who_insists_on_a_kernel_that_is_not_there_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    without_kernel(monkeypatch)
    with pytest.raises(Invalid, match="install Rust's cargo"):
        decoders.choose("kernel")


def test_a_kernel_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("tidemark_kernel")
    other.VERSION = VERSION + 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tidemark_kernel", other)
    assert "other sources" in decoders.choose("auto").because
    with pytest.raises(Invalid, match="other sources"):
        decoders.choose("kernel")
