"""Ports that can be left and taken again."""

from __future__ import annotations

import random
import socket

_rng = random.SystemRandom()


def lasting_port(beside: int = 0) -> int:
    """Return a free port that the kernel gives nobody by itself, nor the one `beside` above it.

    A port that the kernel chose may be another's as soon as it is let go, if only for the near
    end of a connection. Below 32768 Linux chooses none (net.ipv4.ip_local_port_range).
    """
    while True:
        port = _rng.randrange(20_000, 32_000 - beside)
        if all(_is_free(each) for each in {port, port + beside}):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
