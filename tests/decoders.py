"""Both decoders, for tests that hold for either: where the kernel was not built, the Python one alone."""

import pytest

from contracts.errors import Invalid
from streamer.core.decoder import DecoderFactory
from streamer.core.decoders import choose


def _kernel_is_built() -> bool:
    try:
        return bool(choose("kernel"))
    except Invalid:
        return False


KERNEL_IS_BUILT = _kernel_is_built()
needs_kernel = pytest.mark.skipif(not KERNEL_IS_BUILT, reason="the kernel was not built: no cargo on this machine")
DECODERS = ("python", pytest.param("kernel", marks=needs_kernel))


def decoder_named(name: str) -> DecoderFactory:
    return choose(name).decoder
