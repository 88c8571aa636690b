"""Ports of this machine for services that are told their own address before they listen."""

from __future__ import annotations

import itertools
import os
import socket
from contextlib import suppress

_LOWEST, _COUNT = 10_000, 20_000
"""Below those that Linux (from 32768 on), macOS and Windows give to clients and to whoever listens at port 0."""
_numbers = itertools.count(os.getpid() * 101)
_claims: list[socket.socket] = []


def free_port() -> int:
    """A TCP port that nobody listens at, given to nobody else before this process ends.

    Asking the system for any port and closing it again gives the same one twice in one of ten thousand times, and
    leaves it to whoever connects meanwhile. Here a UDP socket on the port's number tells other tests that it is taken.
    """
    for number in itertools.islice(_numbers, _COUNT):
        port, claim = _LOWEST + number % _COUNT, socket.socket(type=socket.SOCK_DGRAM)
        with suppress(OSError), socket.socket() as probe:
            claim.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", port))
            _claims.append(claim)
            return port
        claim.close()
    raise OSError(f"no port from {_LOWEST} to {_LOWEST + _COUNT} is free")
