"""Ports are free when they are given out."""

import socket

from devstack.ports import CANDIDATES, HOST, free_port, is_free


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        assert not is_free(taken.getsockname()[1])
    assert is_free(taken_port := free_port()), taken_port


def test_ports_given_out_differ_and_lie_below_those_of_outgoing_connections() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert set(ports) <= set(CANDIDATES)
    assert CANDIDATES.stop <= 32768
