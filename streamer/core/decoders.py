"""Which decoder runs: the native kernel where it was built, else its Python twin."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

from runtime import kernel
from streamer.core.commits import CommitsMet, commits_met
from streamer.core.decoder import DecoderFactory
from streamer.core.packets import Packets, PythonPackets
from streamer.core.selected import PythonRowPackets, PythonSelectedRows, RowPackets, SelectedRowsFactory
from streamer.core.twin import PythonDecoder


@dataclass(frozen=True, slots=True)
class Decoders:
    """`because`: why it is not the kernel, where that was left open; else empty."""

    name: str
    decoder: DecoderFactory
    packets: Callable[[], Packets]
    commits_met: CommitsMet
    row_packets: Callable[[], RowPackets]
    selected: SelectedRowsFactory
    because: str = ""


PYTHON = Decoders("python", PythonDecoder, PythonPackets, commits_met, PythonRowPackets, PythonSelectedRows)


def choose(wanted: str) -> Decoders:
    """`auto`: the kernel if it is there. Raises Invalid when `kernel` is asked for and it is not."""
    runs, because = kernel.choose("streamer.decoder", wanted)
    if runs:
        native = import_module("streamer.core.kernel")
        return Decoders(
            "kernel",
            native.KernelDecoder,
            native.KernelPackets,
            native.kernel_commits_met,
            native.KernelRowPackets,
            native.KernelSelectedRows,
        )
    return replace(PYTHON, because=because)
