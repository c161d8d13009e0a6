"""Free TCP ports for servers that are about to start."""

import random
import socket

HOST = "127.0.0.1"
# Below Linux' ephemeral range (32768-60999): an outgoing connection of somebody else can't take the port between choice and bind.
CANDIDATES = range(20000, 32000)


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there now. With SO_REUSEADDR, as servers do: old connections in TIME_WAIT take no port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


_handed_out: set[int] = set()


def free_port() -> int:
    """A port nobody listens on and this process never gave out before. Random, so that two stacks starting at once rarely meet."""
    for port in random.sample(CANDIDATES, k=200):
        if port not in _handed_out and is_free(port):
            _handed_out.add(port)
            return port
    raise OSError(f"none of 200 ports tried in {CANDIDATES.start}-{CANDIDATES.stop - 1} is free")
