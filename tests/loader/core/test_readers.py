"""How changes are collected, and what is said when it is not by the kernel."""

import sys
from types import ModuleType

import pytest

from contracts.errors import Invalid
from contracts.table import Column, Kind, TableSchema
from loader.core import readers
from loader.core.changes import OpenDecodedChanges
from loader.core.plan import Destination
from runtime.kernel import VERSION
from tests.decoders import needs_kernel
from tests.loader.core.rowmaker import ORDERS, target_of


def without_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tidemark_kernel", None)


@needs_kernel
def test_the_kernel_collects_where_it_was_built() -> None:
    from loader.core.kernel import KernelChanges, collect

    chosen = readers.choose("auto")
    assert (chosen.name, chosen.collect, chosen.because) == ("kernel", collect, "")
    assert chosen == readers.choose("kernel")
    assert isinstance(chosen.collect(Destination(ORDERS, target_of()), 0), KernelChanges)


@needs_kernel
def test_a_target_the_kernel_has_no_form_for_is_collected_readably() -> None:
    other = TableSchema(ORDERS.table, (*ORDERS.columns[:2], Column("total", Kind.BIT, length=64)), ORDERS.key)
    assert isinstance(readers.choose("kernel").collect(Destination(other, target_of()), 0), OpenDecodedChanges)
    more = TableSchema(ORDERS.table, (*ORDERS.columns, Column("more", Kind.INT)), ORDERS.key)
    assert isinstance(readers.choose("kernel").collect(Destination(more, target_of()), 0), OpenDecodedChanges)


def test_without_a_kernel_changes_are_collected_readably_and_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    without_kernel(monkeypatch)
    chosen = readers.choose("auto")
    assert chosen.name == "python"
    assert isinstance(chosen.collect(Destination(ORDERS, target_of()), 0), OpenDecodedChanges)
    assert "was not built" in chosen.because


def test_python_is_taken_at_its_word() -> None:
    assert readers.choose("python") is readers.PYTHON
    assert (readers.PYTHON.name, readers.PYTHON.because) == ("python", "")
    assert isinstance(readers.PYTHON.collect(Destination(ORDERS, target_of()), 0), OpenDecodedChanges)


def test_who_insists_on_a_kernel_that_is_not_there_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    without_kernel(monkeypatch)
    with pytest.raises(Invalid, match=r"loader\.decoder is kernel.*install Rust's cargo"):
        readers.choose("kernel")


def test_a_kernel_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("tidemark_kernel")
    other.VERSION = VERSION + 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tidemark_kernel", other)
    assert "other sources" in readers.choose("auto").because
    with pytest.raises(Invalid, match="other sources"):
        readers.choose("kernel")
