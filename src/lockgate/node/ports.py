"""Listening sockets on the loopback address."""

from __future__ import annotations

import contextlib
import secrets
import socket
from typing import Final

from lockgate.primitives.errors import Unavailable

# None of those that the system gives to whoever asks for any: one could be taken at the next start.
PORTS: Final = range(20_000, 32_000)
TRIES: Final = 200


class PortBusy(Unavailable):
    code = "node.port_busy"
    summary = "The port is taken by another program."
    next_step = "Use port 0, which finds a free one, or stop the other program."


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback address; 0 finds a free port. Raises PortBusy."""
    # With the protocol named: asyncio turns Nagle's delay off only where it sees TCP, and the delay costs 40 ms a call.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PortBusy("cannot listen", port=port) from error
    return listener


def free_listener() -> socket.socket:
    """A listening socket at a free port that stays free between two starts. Raises PortBusy."""
    for _ in range(TRIES):
        with contextlib.suppress(PortBusy):
            return listen(PORTS.start + secrets.randbelow(len(PORTS)))
    raise PortBusy("no free port was found", first=PORTS.start, last=PORTS.stop - 1)


__all__ = ("PORTS", "PortBusy", "free_listener", "listen")
